import BenchModel
import BenchProtocol
import BenchRunner
import BenchWorker
import Foundation
import ModelFiles
import Pacer

/// Runs models on the inputs that came with them, in each of some configurations, and holds what they compute against the outputs
/// that came with them.
struct ModelVerification {
  private let runtime: Runtime
  /// What runs a graph, by what the configuration is called.
  private let targets: [Target]
  /// Nil for those that the test data brings, or the ecosystem's.
  private let rtol: Double?
  private let atol: Double?
  /// Of the ONNX project's own runner.
  static let usual = (rtol: 1e-3, atol: 1e-7)

  private struct Target {
    let label: String
    let settings: Settings
    let placer: Placer
  }

  /// - Parameter configurations: of no model, or of a `.pacer` file.
  /// - Throws: ``UserError`` where a backend cannot run here.
  init(_ runtime: Runtime, _ configurations: [Configuration], rtol: Double?, atol: Double?) throws {
    (self.runtime, self.rtol, self.atol) = (runtime, rtol, atol)
    let catalog = Harness.current.catalog
    let labels = Labels.of(configurations, catalog.axes, passes: catalog.passes.map(\.name))
    targets = try zip(labels, configurations).map { label, configuration in
      let settings = try Settings(configuration, in: runtime)
      if case .unavailable(let reason) = settings.backend.availability(settings.options) {
        throw UserError("backend \(settings.backend.name) is unavailable: \(reason)")
      }
      guard settings.backend.computesOutputs else {
        throw UserError("backend \(settings.backend.name) computes nothing")
      }
      return Target(
        label: label, settings: settings,
        placer: try Placer(settings.backend, fallback: settings.fallback, settings.options))
    }
  }

  /// - Parameter name: what it is called in reports.
  func verify(_ model: String, as name: String) -> Verification.Case {
    var result = Verification.Case(name: name, op: Verification.Case.several, status: .passed)
    do {
      if ModelReference.file(path: model, digest: "").isPacerFile {
        let file = try PacerFile(model)
        try file.verifyContents()
        result.wholeBytes = file.byteCount
        let data = try TestData(beside: model)
        guard !data.dataSets.isEmpty else { return result }
        let ports = try file.ports.inputs
        // Data of the model that it was made of may be of other extents than it was made for.
        do { for set in data.dataSets { _ = try set.inputs(ports, of: model) } } catch {
          result.reason = "\(error)"
          return result
        }
        try verify(data, with: ports, &result) { _ in try Import(file) }
      } else {
        let file = try ONNXFile(model)
        let operators = file.operators
        if operators.count == 1 { result.op = operators.first! }
        result.missing = file.missingOperators.keys.sorted()
        try file.checkOperators()
        let data = try TestData(beside: model)
        guard !data.dataSets.isEmpty else {
          (result.status, result.reason) = (.noData, "no folder test_data_set_0 lies beside it")
          return result
        }
        try verify(data, with: file.inputs, &result) { try Import(file, $0) }
      }
      if !result.outputs.allSatisfy(\.holds) { result.status = .differs }
    } catch let error as Unsupported {
      (result.status, result.reason) = (.unsupported, error.description)
    } catch {
      (result.status, result.reason) = (.failed, "\(error)")
    }
    return result
  }

  /// - Parameter read: the model for these values of its inputs.
  private func verify(
    _ data: TestData, with ports: [ONNXFile.Port], _ result: inout Verification.Case,
    _ read: ([String: Tensor]) throws -> Import
  ) throws {
    var last: Import?
    for set in data.dataSets {
      let tensors = try set.inputs(ports, of: data.model)
      let values = try Dictionary(tensors.map { ($0.name, try Tensor($0)) }) { first, _ in first }
      let model = try last.flatMap { $0.fits(values) ? $0 : nil } ?? read(values)
      last = model
      result.fixed = Set(result.fixed).union(model.fixed.keys).sorted()
      for target in targets { result.outputs += try outputs(of: model, values, on: target, set, data) }
    }
  }

  /// A model as a graph, and what of the data it is for.
  private struct Import {
    let graph: Graph
    /// Nil where any data is right.
    let shapes: [String: Shape]?
    let fixed: [String: Tensor]
    /// Nil of a model that is not optimised.
    let file: PacerFile?

    init(_ file: ONNXFile, _ values: [String: Tensor]) throws {
      let (graph, fixed) = try file.graph(for: values)
      (self.graph, shapes, self.file) = (graph, values.mapValues(\.shape), nil)
      self.fixed = values.filter { fixed.contains($0.key) }
    }

    init(_ file: PacerFile) throws {
      (graph, shapes, fixed, self.file) = (try file.graph(), nil, [:], file)
    }

    func fits(_ values: [String: Tensor]) -> Bool {
      guard let shapes else { return true }
      return values.mapValues(\.shape) == shapes && fixed.allSatisfy { values[$0.key]?.digest == $0.value.digest }
    }

    /// With the passes that are to run on it.
    func work(_ settings: Settings, _ runtime: Runtime) throws -> (graph: Graph, passes: [any Pass]) {
      guard let file else { return (graph, try runtime.passes(settings)) }
      let work = try file.work(settings, runtime)
      return (work.graph, work.remaining)
    }
  }

  private func outputs(
    of read: Import, _ values: [String: Tensor], on target: Target, _ set: TestData.DataSet, _ data: TestData
  ) throws -> [Verification.Output] {
    let (graph, passes) = try read.work(target.settings, runtime)
    let optimised = try Pipeline(passes, checksNumbers: false).run(on: graph, for: target.placer).graph
    let session = try target.placer.prepare(optimised).makeSession()
    for (id, input) in zip(optimised.inputs, session.inputs) { input.write(values[optimised[id].name]!) }
    try session.run()
    if let failure = session.failure { throw failure }
    if let place = set.outputs.keys.max(), place >= session.outputs.count {
      throw BadFile(set.outputs[place]!, "the model has \(session.outputs.count) outputs")
    }
    guard !set.outputs.isEmpty else { throw BadFile(data.model, "\(set.name) has no output_0.pb") }
    return try set.outputs.sorted { $0.key < $1.key }.map { place, path in
      let found = try session.outputs[place].actual.converted(to: .nchw)
      let expected = try Tensor(TensorFile(path))
      let isSame = found.type.dtype == expected.type.dtype && found.shape == expected.shape
      var rtol = rtol ?? data.rtol ?? Self.usual.rtol
      if expected.type.dtype == .bfloat16 { rtol = max(rtol, Difference.rtolOfBFloat16) }
      return Verification.Output(
        configuration: target.label, dataSet: set.name, name: read.graph[read.graph.outputs[place]].name,
        type: "\(found.type)",
        difference: isSame
          ? Difference(found.doubles, expected.doubles, rtol: rtol, atol: atol ?? data.atol ?? Self.usual.atol)
          : Difference(), reason: isSame ? nil : "\(found.type), expected is \(expected.type)")
    }
  }
}
