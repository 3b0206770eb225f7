import BenchModel
import BenchProtocol
import ModelFiles
import Pacer

/// The inputs of a model in a file, and what the user says of their shapes.
struct ModelPorts {
  /// Of the file, or the model's name.
  var path: String
  var inputs: [ONNXFile.Port]

  /// The extents of each input, by name: as asked for, or as the file fixes them.
  /// - Throws: ``UserError`` where neither says them.
  func shapes(_ asked: InputShapes?) throws -> [String: [Int]] {
    let asked = try self.asked(asked)
    return try Dictionary(inputs.map { ($0.name, try asked[$0.name] ?? fixed($0)) }) { first, _ in first }
  }

  /// Those that were asked for.
  /// - Throws: ``UserError`` where it is not said of which input one is, or there is none of the name.
  func asked(_ shapes: InputShapes?) throws -> [String: [Int]] {
    if let only = shapes?.only {
      guard inputs.count <= 1 else {
        throw UserError("\(path) has several inputs (\(inputList)): write --shape NAME=…+OTHER=…")
      }
      return inputs.isEmpty ? [:] : [inputs[0].name: only.extents]
    }
    var (asked, extents): ([String: [Int]], [String: Int]) = ([:], [:])
    for (name, shape) in shapes?.named ?? [] {
      if inputs.contains(where: { $0.name == name }) {
        asked[name] = shape.extents
      } else if shape.rank == 1, inputs.contains(where: { $0.extents.contains(.named(name)) }) {
        extents[name] = shape[0]
      } else {
        throw UserError("shape: \(path) has no input and no extent \(name); it has \(inputList)")
      }
    }
    for port in inputs where asked[port.name] == nil {
      let known = port.extents.map { extent in
        switch extent {
        case .fixed(let number): number
        case .named(let name): extents[name]
        }
      }
      if !extents.isEmpty, known.allSatisfy({ $0 != nil }) { asked[port.name] = known.compactMap { $0 } }
    }
    return asked
  }

  /// The extents that the file fixes.
  /// - Throws: ``UserError`` where it does not.
  func fixed(_ port: ONNXFile.Port) throws -> [Int] {
    try port.extents.map { extent in
      guard case .fixed(let number) = extent else {
        throw UserError(
          "\(path): the shape of input \(port.words) is not fixed; say --shape "
            + (inputs.count > 1 ? "\(port.name)=" : "") + port.example
            + (port.unfixed.isEmpty ? "" : ", or --dim " + port.unfixed.map { "\($0)=…" }.joined(separator: " --dim ")))
      }
      return number
    }
  }

  var inputList: String { inputs.map(\.words).joined(separator: ", ") }
}

extension ONNXFile.Port {
  /// A shape as it may be asked for.
  fileprivate var example: String {
    extents.enumerated().map { index, extent in
      if case .fixed(let number) = extent {
        "\(number)"
      } else {
        index < 1 ? "1" : extents.count == 4 ? "224" : "128"
      }
    }.joined(separator: "x")
  }
}

extension ONNXFile {
  var ports: ModelPorts { ModelPorts(path: path, inputs: inputs) }
}

extension PacerFile {
  /// Those of its portable graph.
  /// - Throws: ``BadFile``.
  var ports: ModelPorts {
    get throws {
      let graph = try graph()
      return ModelPorts(graph, path: path)
    }
  }
}

extension ModelPorts {
  /// Those of a graph, all of fixed extents.
  init(_ graph: Graph, path: String) {
    self.path = path
    inputs = graph.inputs.map { id in
      let type = graph[id].type
      return ONNXFile.Port(
        name: graph[id].name, kind: type.dtype, extents: type.shape.extents.map(ONNXFile.Extent.fixed))
    }
  }
}
