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

  /// - Parameter files: what the job names: of a model file the ONNX whose extents are fixed, and the list of its inputs.
  /// - Throws: ``Unsupported`` where there is no op for a node, and what reading throws.
  package init(_ configuration: Configuration, files: [String: String], _ runtime: Runtime) throws {
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

  /// Of all inputs together; of a single one its own.
  static func digest(_ inputs: [Tensor]) -> String {
    guard inputs.count != 1 else { return inputs[0].digest.hex }
    var digest = Digest()
    for input in inputs { digest.combine(input.digest.value) }
    return digest.hex
  }
}
