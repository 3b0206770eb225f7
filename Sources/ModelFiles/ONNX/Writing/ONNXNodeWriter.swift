import GraphCore
import TensorCore

/// A node of ours while it becomes nodes of ONNX's.
struct ONNXNodeWriter {
  let node: Node
  let writer: ONNXGraphWriter
  /// What it reads, by its names in the file, and of which types: narrow floats that are computed on have been widened.
  var inputs: [String]
  var types: [TensorType]
  /// What its results are to be called.
  var results: [String]

  init(_ node: Node, in writer: ONNXGraphWriter, inputs: [String], types: [TensorType], results: [String]) {
    (self.node, self.writer, self.inputs, self.types, self.results) = (node, writer, inputs, types, results)
  }

  /// Of its first result, as it is computed.
  var result: TensorType { writer.graph[node.outputs[0]].type }

  // MARK: Nodes

  /// Adds a node of one output.
  /// - Parameters:
  ///   - suffix: of what is not yet the result; empty for the result.
  ///   - since: the operator set that brought the operator in this form.
  @discardableResult
  func emit(
    _ type: String, _ inputs: [String], _ attributes: [Pacer_Onnx_Attribute] = [], _ suffix: String = "",
    since: Int = 13
  ) -> String {
    let name = suffix.isEmpty ? results[0] : fresh(suffix)
    emit(type, inputs, attributes, outputs: [name], since: since)
    return name
  }

  func emit(
    _ type: String, _ inputs: [String], _ attributes: [Pacer_Onnx_Attribute], outputs: [String], since: Int = 13
  ) {
    writer.file.operatorSet = max(writer.file.operatorSet, since)
    writer.append(type, inputs, outputs, attributes)
  }

  func cast(_ input: String, to dtype: DType, _ suffix: String = "") -> String {
    emit("Cast", [input], [.integer("to", Int(dtype.onnx))], suffix)
  }

  func fresh(_ suffix: String) -> String { writer.file.fresh("\(writer.name(of: node.outputs[0])).\(suffix)") }

  /// A graph of an op as an attribute of ONNX's.
  /// - Parameter captures: what it reads of the graph around it, which are its last inputs.
  func body(_ name: String, _ body: GraphBody, captures: [String]) throws -> Pacer_Onnx_Attribute {
    var attribute = Pacer_Onnx_Attribute()
    (attribute.name, attribute.type) = (name, 5)
    attribute.g = try ONNXGraphWriter(body.graph, in: writer.file, captures: captures).write()
    return attribute
  }

  // MARK: Constants

  func constant(_ tensor: Tensor, _ suffix: String) throws -> String {
    let name = fresh(suffix)
    try writer.addConstant(name, tensor)
    return name
  }
  func scalar(_ value: Double, _ dtype: DType, _ suffix: String) throws -> String {
    try constant(Tensor([], [value], dtype), suffix)
  }
  /// A list of int64, as shapes and axes are.
  func integers(_ values: [Int], _ suffix: String) throws -> String {
    try constant(Tensor([values.count], elements: values.map(Int64.init)), suffix)
  }

  // MARK: Activations

  /// What is computed, and then an activation.
  /// - Parameter compute: adds nodes for what comes before it, the last one with this suffix.
  @discardableResult
  func finish(
    _ epilogue: Epilogue?, _ suffix: String = "", _ compute: (_ suffix: String) throws -> String
  ) throws -> String {
    guard let epilogue else { return try compute(suffix) }
    return try activate(epilogue, compute(suffix.isEmpty ? "sum" : suffix + ".sum"), suffix)
  }

  @discardableResult
  func activate(_ epilogue: Epilogue, _ input: String, _ suffix: String = "") throws -> String {
    let prefix = suffix.isEmpty ? "" : suffix + "."
    let dtype = types[0].dtype
    switch epilogue {
    case .clamp(.relu): return emit("Relu", [input], [], suffix)
    case .clamp(let clamp):
      let limits = try [("min", clamp.min), ("max", clamp.max)].map { name, limit in
        limit.isFinite ? try scalar(Double(limit), dtype, prefix + name) : ""
      }
      return emit("Clip", [input] + limits, [], suffix)
    case .clampChannels(let clamps):
      let shape = Shape([clamps.count] + [Int](repeating: 1, count: max(result.shape.rank - 2, 0)))
      let low = try constant(Tensor(shape, clamps.map { Double($0.min) }, dtype), prefix + "min")
      let high = try constant(Tensor(shape, clamps.map { Double($0.max) }, dtype), prefix + "max")
      return emit("Min", [emit("Max", [input, low], [], prefix + "low"), high], [], suffix)
    // ONNX's own HardSwish is newer than operator set 13, which more engines read.
    case .hardSwish:
      return emit("Mul", [input, try activate(.hardSigmoid, input, prefix + "gate")], [], suffix)
    case .hardSigmoid:
      return emit("HardSigmoid", [input], [.float("alpha", 1 / 6), .float("beta", 0.5)], suffix)
    case .sigmoid: return emit("Sigmoid", [input], [], suffix)
    case .silu: return emit("Mul", [input, try activate(.sigmoid, input, prefix + "gate")], [], suffix)
    }
  }
}

/// Adds the nodes that an op becomes.
typealias ONNXTranslation = @Sendable (any Op, ONNXNodeWriter) throws -> Void

/// What ops become, by their types.
struct ONNXTranslations {
  private(set) var byType: [ObjectIdentifier: ONNXTranslation] = [:]

  mutating func add<Kind: Op>(_: Kind.Type, _ body: @escaping @Sendable (Kind, ONNXNodeWriter) throws -> Void) {
    byType[ObjectIdentifier(Kind.self)] = { op, node in try body(op as! Kind, node) }
  }
}

/// What each of our ops becomes.
let onnxTranslations: [ObjectIdentifier: ONNXTranslation] = {
  var all: [ObjectIdentifier: ONNXTranslation] = [:]
  for group in [
    elementwiseTranslations, shapeTranslations, indexTranslations, windowTranslations, imageTranslations,
    matrixTranslations, normalisationTranslations, quantisationTranslations, recurrentTranslations,
    controlTranslations,
  ] {
    all.merge(group.byType) { first, _ in first }
  }
  return all
}()

extension Pacer_Onnx_Attribute {
  static func integer(_ name: String, _ value: Int) -> Self {
    var attribute = Self()
    (attribute.name, attribute.i, attribute.type) = (name, Int64(value), 2)
    return attribute
  }
  static func integers(_ name: String, _ values: [Int]) -> Self {
    var attribute = Self()
    (attribute.name, attribute.ints, attribute.type) = (name, values.map(Int64.init), 7)
    return attribute
  }
  static func float(_ name: String, _ value: Float) -> Self {
    var attribute = Self()
    (attribute.name, attribute.f, attribute.type) = (name, value, 1)
    return attribute
  }
  static func floats(_ name: String, _ values: [Float]) -> Self {
    var attribute = Self()
    (attribute.name, attribute.floats, attribute.type) = (name, values, 6)
    return attribute
  }
  static func string(_ name: String, _ value: String) -> Self {
    var attribute = Self()
    (attribute.name, attribute.s, attribute.type) = (name, .init(value.utf8), 3)
    return attribute
  }
  static func strings(_ name: String, _ values: [String]) -> Self {
    var attribute = Self()
    (attribute.name, attribute.strings, attribute.type) = (name, values.map { .init($0.utf8) }, 8)
    return attribute
  }
}
