import Foundation
import GraphCore
import SwiftProtobuf
import TensorCore

/// What an ONNX file says of its inputs and outputs, for whoever runs it with an engine that reads ONNX.
public struct ONNXFile: Sendable {
  public struct Port: Sendable {
    public var name: String
    /// Nil where it is no tensor, or of a type that is not supported.
    public var kind: DType?
    /// Extents; a text names one that is not fixed.
    public var extents: [Extent]

    package init(name: String, kind: DType?, extents: [Extent]) {
      (self.name, self.kind, self.extents) = (name, kind, extents)
    }
  }
  public enum Extent: Sendable, Equatable {
    case fixed(Int)
    case named(String)
  }

  public let path: String
  /// Those that are no initialisers, in the file's order.
  public let inputs: [Port]
  public let outputs: [Port]
  /// Other files that hold its weights, relative to its folder.
  public let externalFiles: [String]
  let model: Pacer_Onnx_Model

  /// - Throws: ``BadFile``.
  public init(_ path: String) throws {
    let data: Data
    do { data = try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe) } catch {
      throw BadFile(path, "it cannot be read: no such file, or no permission")
    }
    try self.init(path, data)
  }

  /// - Parameter data: what the file holds.
  init(_ path: String, _ data: Data) throws {
    self.path = path
    guard let model = try? Pacer_Onnx_Model(serializedBytes: data), !model.graph.node.isEmpty else {
      throw BadFile(path, "it is no ONNX model, or one without nodes")
    }
    self.model = model
    let constants = Set(model.graph.initializer.map(\.name))
    inputs = model.graph.input.filter { !constants.contains($0.name) }.map(Port.init)
    outputs = model.graph.output.map(Port.init)
    var files = Set<String>()
    Self.collect(model.graph, &files)
    externalFiles = files.sorted()
    for name in externalFiles {
      let parts = name.split(separator: "/", omittingEmptySubsequences: false)
      guard !name.isEmpty, !name.hasPrefix("/"), !parts.contains("..") else {
        throw BadFile(path, "its weights lie in \"\(name)\", outside of its folder")
      }
    }
  }

  private static func collect(_ graph: Pacer_Onnx_Graph, _ files: inout Set<String>) {
    func add(_ tensor: Pacer_Onnx_Tensor) {
      guard tensor.dataLocation == 1 else { return }
      for entry in tensor.externalData where entry.key == "location" { files.insert(entry.value) }
    }
    for tensor in graph.initializer { add(tensor) }
    for attribute in graph.node.flatMap(\.attribute) {
      if attribute.hasT { add(attribute.t) }
      for tensor in attribute.tensors { add(tensor) }
      for body in (attribute.hasG ? [attribute.g] : []) + attribute.graphs { collect(body, &files) }
    }
  }

  /// The file with its inputs' extents as given, by name.
  public func fixing(_ shapes: [String: [Int]]) throws -> Data {
    var model = model
    for index in model.graph.input.indices {
      guard let shape = shapes[model.graph.input[index].name] else { continue }
      var type = Pacer_Onnx_TensorShape()
      type.dim = shape.map { extent in
        var dimension = Pacer_Onnx_TensorShape.Dimension()
        dimension.dimValue = Int64(extent)
        return dimension
      }
      model.graph.input[index].type.tensorType.shape = type
    }
    // What followed from the other extents.
    for index in model.graph.output.indices {
      for dimension in model.graph.output[index].type.tensorType.shape.dim.indices {
        if case .dimParam = model.graph.output[index].type.tensorType.shape.dim[dimension].value {
          model.graph.output[index].type.tensorType.shape.dim[dimension].value = nil
        }
      }
    }
    return try model.serializedData()
  }
}

extension ONNXFile.Port {
  init(_ info: Pacer_Onnx_ValueInfo) {
    let type = info.type.tensorType
    self.init(
      name: info.name, kind: DType(onnx: type.elemType),
      extents: type.shape.dim.enumerated().map { index, dimension in
        switch dimension.value {
        case .dimValue(let extent) where extent > 0: .fixed(Int(extent))
        case .dimParam(let name) where !name.isEmpty: .named(name)
        default: .named("axis \(index)")
        }
      })
  }

  /// As a user may write it.
  public var words: String {
    let extents = extents.map { extent in
      switch extent {
      case .fixed(let number): "\(number)"
      case .named(let name): name
      }
    }
    return
      "\(name) \(kind?.longName ?? "of another type") \(extents.isEmpty ? "scalar" : extents.joined(separator: "×"))"
  }

  /// Names of extents that the file does not fix.
  public var unfixed: [String] { extents.compactMap { if case .named(let name) = $0 { name } else { nil } } }

  public var isFixed: Bool { extents.allSatisfy { if case .fixed = $0 { true } else { false } } }

  /// Whether a tensor of this shape may be put there.
  public func accepts(_ shape: [Int]) -> Bool {
    shape.count == extents.count
      && zip(shape, extents).allSatisfy { if case .fixed(let wanted) = $1 { $0 == wanted } else { true } }
  }
}
