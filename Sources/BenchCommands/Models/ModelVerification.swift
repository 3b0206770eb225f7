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
  private let targets: [(label: String, passes: [any Pass], placer: Placer)]
  /// Nil for those that the test data brings, or the ecosystem's.
  private let rtol: Double?
  private let atol: Double?
  /// Of the ONNX project's own runner.
  static let usual = (rtol: 1e-3, atol: 1e-7)

  /// - Parameter configurations: of no model.
  /// - Throws: ``UserError`` where a backend cannot run here.
  init(_ runtime: Runtime, _ configurations: [Configuration], rtol: Double?, atol: Double?) throws {
    (self.runtime, self.rtol, self.atol) = (runtime, rtol, atol)
    let catalog = Harness.current.catalog
    let labels = Labels.of(configurations, catalog.axes, passes: catalog.passes.map(\.name))
    targets = try zip(labels, configurations).map { label, configuration in
      let settings = try Settings(configuration, WorkerCatalog(runtime: runtime))
      if case .unavailable(let reason) = settings.backend.availability(settings.options) {
        throw UserError("backend \(settings.backend.name) is unavailable: \(reason)")
      }
      guard settings.backend.computesOutputs else {
        throw UserError("backend \(settings.backend.name) computes nothing")
      }
      return (
        label, try runtime.passes(settings), try Placer(settings.backend, fallback: settings.fallback, settings.options)
      )
    }
  }

  /// - Parameter name: what it is called in reports.
  func verify(_ model: String, as name: String) -> Verification.Case {
    var result = Verification.Case(name: name, op: Verification.Case.several, status: .passed)
    do {
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
      var last: Import?
      for set in data.dataSets {
        let values = try Dictionary(set.inputs(of: file).map { ($0.name, try Tensor($0)) }) { first, _ in first }
        let read = try last.flatMap { $0.fits(values) ? $0 : nil } ?? Import(file, values)
        last = read
        result.fixed = Set(result.fixed).union(read.fixed.keys).sorted()
        for target in targets {
          result.outputs += try outputs(of: read, values, on: target, set, data)
        }
      }
      if !result.outputs.allSatisfy(\.holds) { result.status = .differs }
    } catch let error as Unsupported {
      (result.status, result.reason) = (.unsupported, error.description)
    } catch {
      (result.status, result.reason) = (.failed, "\(error)")
    }
    return result
  }

  /// A model as a graph, and what of the data it is for.
  private struct Import {
    let graph: Graph
    let shapes: [String: Shape]
    let fixed: [String: Tensor]

    init(_ file: ONNXFile, _ values: [String: Tensor]) throws {
      let (graph, fixed) = try file.graph(for: values)
      (self.graph, shapes) = (graph, values.mapValues(\.shape))
      self.fixed = values.filter { fixed.contains($0.key) }
    }

    func fits(_ values: [String: Tensor]) -> Bool {
      values.mapValues(\.shape) == shapes && fixed.allSatisfy { values[$0.key]?.digest == $0.value.digest }
    }
  }

  private func outputs(
    of read: Import, _ values: [String: Tensor], on target: (label: String, passes: [any Pass], placer: Placer),
    _ set: TestData.DataSet, _ data: TestData
  ) throws -> [Verification.Output] {
    let optimised = try Pipeline(target.passes, checksNumbers: false).run(on: read.graph, for: target.placer).graph
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
