import Foundation
import GraphCore
import TensorCore

/// A node of an ONNX graph while it is read: its attributes, what it reads, and the nodes that are made of it.
struct ONNXNode {
  let proto: Pacer_Onnx_Node
  let reader: ONNXGraphReader
  private let attributes: [String: Pacer_Onnx_Attribute]

  init(_ proto: Pacer_Onnx_Node, in reader: ONNXGraphReader) {
    (self.proto, self.reader) = (proto, reader)
    attributes = Dictionary(proto.attribute.map { ($0.name, $0) }) { first, _ in first }
  }

  /// Of the node, or of what it computes where it has none.
  var name: String { proto.name.isEmpty ? proto.output.first { !$0.isEmpty } ?? proto.opType : proto.name }
  /// The operator set that says what it means.
  var version: Int { reader.version }

  // MARK: Attributes

  func has(_ attribute: String) -> Bool { attributes[attribute] != nil }
  func integer(_ attribute: String, _ standard: Int) -> Int { attributes[attribute].map { Int($0.i) } ?? standard }
  func flag(_ attribute: String, _ standard: Bool = false) -> Bool { integer(attribute, standard ? 1 : 0) != 0 }
  func float(_ attribute: String, _ standard: Float) -> Float { attributes[attribute]?.f ?? standard }
  func string(_ attribute: String, _ standard: String) -> String {
    attributes[attribute].map { String(decoding: $0.s, as: UTF8.self) } ?? standard
  }
  /// Nil where there is no such attribute.
  func integers(_ attribute: String) -> [Int]? { attributes[attribute].map { $0.ints.map(Int.init) } }
  func floats(_ attribute: String) -> [Float]? { attributes[attribute].map(\.floats) }
  func strings(_ attribute: String) -> [String]? {
    attributes[attribute].map { $0.strings.map { String(decoding: $0, as: UTF8.self) } }
  }
  func tensor(_ attribute: String) throws -> Tensor? {
    guard let attribute = attributes[attribute], attribute.hasT else { return nil }
    return try reader.file.tensor(attribute.t)
  }
  func sparseTensor(_ attribute: String) throws -> Tensor? {
    guard let attribute = attributes[attribute], attribute.hasSparseTensor else { return nil }
    return try reader.file.tensor(attribute.sparseTensor)
  }
  func body(_ attribute: String) throws -> Pacer_Onnx_Graph {
    guard let attribute = attributes[attribute], attribute.hasG else { throw GraphError("it has no \(attribute)") }
    return attribute.g
  }

  // MARK: Inputs

  var inputCount: Int { proto.input.count }
  /// All of them; none may be left out.
  var inputs: [ValueID] { get throws { try proto.input.indices.map(input) } }

  func has(_ input: Int) -> Bool { input < proto.input.count && !proto.input[input].isEmpty }
  func input(_ index: Int) throws -> ValueID {
    guard has(index) else { throw GraphError("input \(index) is missing") }
    return try reader.value(proto.input[index])
  }
  func optional(_ index: Int) throws -> ValueID? { has(index) ? try input(index) : nil }
  func type(_ index: Int) throws -> TensorType { reader.graph[try input(index)].type }
  func type(of id: ValueID) -> TensorType { reader.graph[id].type }
  func shape(_ index: Int) throws -> Shape { try type(index).shape }

  /// The data of an input that has to be known before a run; nil where it is left out.
  /// - Throws: ``Unsupported`` where it depends on what a run reads.
  func known(_ index: Int) throws -> Tensor? {
    guard has(index) else { return nil }
    guard let tensor = reader.needed(try input(index)) else {
      throw Unsupported(
        "its input \(proto.input[index]) has to be known before a run, and depends on what is read then")
    }
    return tensor
  }
  /// The same as whole numbers.
  func knownIntegers(_ index: Int) throws -> [Int]? {
    guard let tensor = try known(index) else { return nil }
    return try tensor.indices
  }
  func knownFloats(_ index: Int) throws -> [Float]? { try known(index)?.values }

  /// Whole numbers that were an attribute and became an input.
  func integers(_ attribute: String, orInput index: Int, since change: Int) throws -> [Int]? {
    version < change ? integers(attribute) : try knownIntegers(index)
  }

  // MARK: Nodes

  /// Adds a node of one output.
  /// - Parameter suffix: tells it from the others that are made of this one.
  func add(_ op: any Op, _ inputs: [ValueID], _ suffix: String = "") throws -> ValueID {
    try addAll(op, inputs, suffix)[0]
  }

  /// Adds a node: what it computes of narrow floats is stored as such again.
  func addAll(_ op: any Op, _ inputs: [ValueID], _ suffix: String = "") throws -> [ValueID] {
    let (name, types) = (suffix.isEmpty ? name : "\(name).\(suffix)", inputs.map(type))
    guard !op.elementTypes.isAny,
      let narrow = types.first(where: { $0.dtype == .float16 || $0.dtype == .bfloat16 })?.dtype
    else { return try reader.add(name, op, inputs) }
    let results = try op.checkedOutputTypes(for: types)
    if results.allSatisfy({ $0.dtype == .float32 }) {
      return try reader.add(name, op, inputs, stored: StoredType(dtype: narrow, quantization: nil))
    }
    // Beside what is no float each is stored by a node of its own.
    return try reader.add(name, op, inputs).enumerated().map { index, id in
      results[index].dtype == .float32 ? try cast(id, to: narrow, "stored\(index)") : id
    }
  }

  func constant(_ tensor: Tensor, _ suffix: String) -> ValueID {
    reader.graph.addConstant("\(name).\(suffix)", tensor)
  }
  /// A number of an element type.
  func constant(_ value: Double, _ dtype: DType, _ suffix: String) throws -> ValueID {
    constant(try Tensor([], [value], dtype), suffix)
  }
  func reshape(_ id: ValueID, to shape: Shape, _ suffix: String = "reshape") throws -> ValueID {
    type(of: id).shape == shape && !type(of: id).isUpperBound ? id : try add(Reshape(to: shape), [id], suffix)
  }
}

/// Makes nodes of one of ONNX's, and answers with what they compute, in the order of its outputs.
typealias ONNXBuilder = @Sendable (ONNXNode) throws -> [ValueID]

/// What each of ONNX's operators becomes.
let onnxOps: [String: ONNXBuilder] = {
  var ops: [String: ONNXBuilder] = [:]
  for group in [
    elementwiseOps, shapeOps, windowOps, matrixOps, indexOps, quantisationOps, recurrentOps, controlOps,
    normalisationOps,
    resizeOps, detectionOps,
  ] { ops.merge(group) { first, _ in first } }
  return ops
}()
