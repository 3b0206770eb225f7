import BenchProtocol
import Foundation
import ModelFiles
import Pacer

/// An entry of the list of a model's inputs that a job names: elements in order, little-endian, in a file of their own.
package struct InputFile: Codable, Sendable {
  package var name: String
  /// As NumPy spells it out: `float32`.
  package var type: String
  package var shape: [Int]
  package var file: String

  package init(name: String, type: DType, shape: [Int], file: String) {
    (self.name, self.type, self.shape, self.file) = (name, type.longName, shape, file)
  }

  /// The list in a file.
  package static func list(_ path: String) throws -> [InputFile] {
    do { return try JSONDecoder().decode([InputFile].self, from: Data(contentsOf: URL(fileURLWithPath: path))) } catch {
      throw BadFile(path, "it is no list of inputs: \(error)")
    }
  }

  /// - Throws: ``BadFile``.
  func tensor() throws -> Tensor {
    guard let dtype = DType(longName: type) else { throw BadFile(file, "\(type) is no type of elements") }
    guard let data = try? Data(contentsOf: URL(fileURLWithPath: file)) else { throw BadFile(file, "it cannot be read") }
    guard data.count == TensorFile.byteCount(dtype, shape) else {
      throw BadFile(file, "it has \(data.count) bytes, which are not those of \(TensorType(Shape(shape), dtype))")
    }
    return try Tensor(TensorFile(name: name, kind: dtype, shape: shape, data: data))
  }
}

/// A configuration's model with its weights and inputs, ready to be optimised.
package struct ModelWork: Sendable {
  package var graph: Graph
  /// One for each input of the graph.
  package var inputs: [Tensor]
  /// Of a file that is optimised already, the passes that are still to run; else nil, for those of the configuration.
  package private(set) var remaining: [any Pass]?
  /// What its times should be read with.
  package private(set) var notes: [String] = []

  /// - Parameters:
  ///   - files: what the job names: of an ONNX file one whose extents are fixed, and the list of its inputs; of a `.pacer` file
  ///     itself, and the list where its own inputs are not taken.
  ///   - settings: what it is to run on; nil where the model is built in.
  /// - Throws: ``Unsupported`` where there is no op for a node, and what reading throws.
  package init(
    _ configuration: Configuration, files: [String: String], _ runtime: Runtime, for settings: Settings? = nil
  ) throws {
    if configuration.modelReference.isPacerFile {
      guard let path = files["pacer"], let settings else {
        throw UserError("the job names no file of \(configuration.model)")
      }
      self = try ModelWork(PacerFile(path), files["inputs"], configuration, settings, runtime)
      return
    }
    guard configuration.modelReference.path != nil else {
      let shapes: InputShapes? = configuration["shape"].flatMap { InputShapes(axisValue: $0) }
      let built = try ModelInput(
        runtime.model(configuration.model), shape: shapes?.only, weights: configuration["weights"]?.text,
        picture: configuration["input"]?.text)
      (graph, inputs) = (built.graph, [built.input])
      return
    }
    guard let model = files["onnx"], let list = files["inputs"] else {
      throw UserError("the job names no files of \(configuration.model)")
    }
    let given = try InputFile.list(list)
    var graph: Graph
    do {
      graph = try ONNXFile(model).graph(Dictionary(given.map { ($0.name, $0.shape) }) { first, _ in first })
    } catch let error as Unsupported {
      // The file by the name it has for who measures it, not by that of its copy.
      throw Unsupported(error.description.replacing(model, with: configuration.model))
    } catch let error as BadFile where error.path == model { throw BadFile(configuration.model, error.reason) }
    graph.name = configuration.model
    guard graph.inputs.map({ graph[$0].name }) == given.map(\.name) else {
      throw BadFile(list, "its inputs are not those of \(configuration.model)")
    }
    (self.graph, inputs) = (graph, try given.map { try $0.tensor() })
  }

  /// - Parameter list: of its inputs; nil for those that it brings.
  private init(
    _ file: PacerFile, _ list: String?, _ configuration: Configuration, _ settings: Settings, _ runtime: Runtime
  ) throws {
    MappedFiles.explainBusErrors()
    guard settings.passes.isEmpty else { throw UserError("passes: \(configuration.model) is optimised already") }
    let work = try file.work(settings, runtime)
    var graph = work.graph
    graph.name = configuration.model
    (self.graph, remaining, notes) = (graph, work.remaining, work.notes)
    let wanted = graph.inputs.map { (name: graph[$0].name, type: graph[$0].type) }
    guard let list else {
      inputs = file.bundledInputs.map(\.tensor)
      guard inputs.count == wanted.count else { throw UserError("\(configuration.model) brings no inputs") }
      return
    }
    let given = try InputFile.list(list)
    inputs = try given.map { try $0.tensor() }
    guard given.map(\.name) == wanted.map(\.name), inputs.map(\.type) == wanted.map(\.type) else {
      throw BadFile(list, "its inputs are not those of \(configuration.model)")
    }
  }

  /// Of all inputs together; of a single one its own.
  static func digest(_ inputs: [Tensor]) -> String {
    guard inputs.count != 1 else { return inputs[0].digest.hex }
    var digest = Digest()
    for input in inputs { digest.combine(input.digest.value) }
    return digest.hex
  }
}

extension PacerFile {
  /// The graph for a configuration's backend, the passes that are still to run on it, and what its times should be read with.
  /// - Throws: ``BadFile``, ``UnknownName`` where there is no pass that it asks for.
  package func work(
    _ settings: Settings, _ runtime: Runtime
  ) throws -> (graph: Graph, remaining: [any Pass], notes: [String]) {
    let precision = settings.precisionPasses
    var (graph, passes) = try graph(for: settings.backend, after: precision, passes: runtime.passes)
    var notes: [String] = []
    if passes.count > precision.count {
      let target = Self.packedFor(settings.backend).map { precision.isEmpty ? "variant for \($0)" : "such variant" }
      notes = ["no \(target ?? "variant for \(settings.backend.name)"): weights were packed at load"]
    }
    // The oracle takes weights where they are.
    let kernels = (settings.backend as? CPUBackend)?.kernels
    let isOracle = kernels == .reference
    if settings.options.hugePages, kernels != nil, !isOracle, try graph.copyMappedWeights() > 0 {
      notes.append("weights were copied out of the file, for huge pages")
    }
    return (graph, passes, notes)
  }
}
