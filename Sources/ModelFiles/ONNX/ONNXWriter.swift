import Foundation
import GraphCore
import SwiftProtobuf
import TensorCore

/// A graph as an ONNX model (operator set 13), for engines that read that.
///
/// Only graphs in NCHW order with weights as the model has them can be written: before `channels-last` and
/// `prepack-weights`.
public enum ONNXWriter {
  /// The bytes of a `.onnx` file with the weights in it.
  /// - Throws: ``Unsupported`` naming the first node that ONNX has no word for.
  public static func write(_ graph: Graph) throws -> Data {
    var writer = Writer(graph: graph)
    return try writer.model().serializedData()
  }
}

private struct Writer {
  let graph: Graph
  var output = Pacer_Onnx_Graph()
  var written: Set<ValueID> = []

  init(graph: Graph) { self.graph = graph }

  mutating func model() throws -> Pacer_Onnx_Model {
    output.name = graph.name
    output.input = graph.inputs.map(info)
    output.output = graph.outputs.map(info)
    for node in graph.nodes { try add(node) }
    var set = Pacer_Onnx_OperatorSet()
    set.version = 13
    var model = Pacer_Onnx_Model()
    model.irVersion = 8
    model.producerName = "pacer"
    model.opsetImport = [set]
    model.graph = output
    return model
  }

  private mutating func add(_ node: Node) throws {
    guard node.outputs.allSatisfy({ graph[$0].type.format == .nchw }) else {
      throw Unsupported("\(node.name) is not in nchw; export the graph before channels-last")
    }
    if let other = (node.inputs + node.outputs).map({ graph[$0].type }).first(where: { $0.dtype != .float32 }) {
      throw Unsupported("\(node.name): ONNX export writes f32 alone, not \(other)")
    }
    for id in node.inputs { try addInitializer(id) }
    let inputs = node.inputs.map { graph[$0].name }
    let result = graph[node.outputs[0]].name
    let rank = graph[node.outputs[0]].type.shape.rank
    switch node.op {
    case let op as Conv2D:
      let kernel = graph[node.inputs[1]].type.shape
      var attributes = window(
        Window(kernel: Pair(kernel[2], kernel[3]), stride: op.stride, padding: op.padding, dilation: op.dilation))
      attributes.append(integer("group", op.groups))
      guard inputs.count > 3 else {
        return emit("Conv", node.name, inputs, result, attributes, then: op.epilogue, rank)
      }
      // ONNX's convolution adds a bias alone.
      emit("Conv", node.name, Array(inputs[..<3]), result + ".conv", attributes)
      emit("Add", node.name + ".residual", [result + ".conv", inputs[3]], result, [], then: op.epilogue, rank)
    case let op as BatchNorm:
      emit("BatchNormalization", node.name, inputs, result, [float("epsilon", op.epsilon)])
    case let op as Activation:
      finish(op.function, rank, node.name, inputs[0], result)
    case let op as Binary where op.function == .add:
      emit("Add", node.name, inputs, result, [], then: op.epilogue, rank)
    case let op as Binary where op.function == .multiply:
      emit("Mul", node.name, inputs, result, [])
    case let op as MaxPool2D:
      emit("MaxPool", node.name, inputs, result, window(op.window))
    case is GlobalAveragePool: emit("GlobalAveragePool", node.name, inputs, result, [])
    case Reshape.flatten as Reshape: emit("Flatten", node.name, inputs, result, [integer("axis", 1)])
    case is Dropout: emit("Identity", node.name, inputs, result, [])
    case let op as Linear:
      emit("Gemm", node.name, inputs, result, [integer("transB", 1)], then: op.epilogue, rank)
    default: throw Unsupported("\(node.name): ONNX export knows no \(node.op.name)")
    }
  }

  private mutating func emit(
    _ type: String, _ name: String, _ inputs: [String], _ result: String, _ attributes: [Pacer_Onnx_Attribute],
    then epilogue: Epilogue? = nil, _ rank: Int = 0
  ) {
    var node = Pacer_Onnx_Node()
    node.opType = type
    node.name = name
    node.input = inputs
    node.output = [epilogue == nil ? result : result + ".sum"]
    node.attribute = attributes
    output.node.append(node)
    if let epilogue { finish(epilogue, rank, name + ".activation", result + ".sum", result) }
  }

  /// - Parameter rank: of the result, along whose second axis channels lie.
  private mutating func finish(_ epilogue: Epilogue, _ rank: Int, _ name: String, _ input: String, _ result: String) {
    switch epilogue {
    case .clamp(.relu): emit("Relu", name, [input], result, [])
    case .clamp(let clamp):
      let limits = [("min", clamp.min), ("max", clamp.max)].map { constant("\(name).\($0)", [$1], []) }
      emit("Clip", name, [input] + limits, result, [])
    case .clampChannels(let clamps):
      let shape = [clamps.count] + [Int](repeating: 1, count: max(rank - 2, 0))
      let (low, high) = (
        constant("\(name).min", clamps.map(\.min), shape), constant("\(name).max", clamps.map(\.max), shape)
      )
      emit("Max", name + ".low", [input, low], result + ".low", [])
      emit("Min", name, [result + ".low", high], result, [])
    // ONNX's own HardSwish is of a later operator set.
    case .hardSwish:
      finish(.hardSigmoid, rank, name + ".gate", input, result + ".gate")
      emit("Mul", name, [input, result + ".gate"], result, [])
    case .hardSigmoid: emit("HardSigmoid", name, [input], result, [float("alpha", 1 / 6), float("beta", 0.5)])
    case .sigmoid: emit("Sigmoid", name, [input], result, [])
    case .silu:
      emit("Sigmoid", name + ".gate", [input], result + ".gate", [])
      emit("Mul", name, [input, result + ".gate"], result, [])
    }
  }

  /// A constant of the file's own.
  private mutating func constant(_ name: String, _ values: [Float], _ shape: [Int]) -> String {
    var tensor = Pacer_Onnx_Tensor()
    tensor.name = name
    tensor.dims = shape.map(Int64.init)
    tensor.dataType = 1
    tensor.rawData = values.map(\.bitPattern.littleEndian).withUnsafeBytes { Data($0) }
    output.initializer.append(tensor)
    return name
  }

  private mutating func addInitializer(_ id: ValueID) throws {
    guard let tensor = graph.data(of: id), written.insert(id).inserted else { return }
    let dense = try tensor.converted(to: .nchw)
    var initializer = Pacer_Onnx_Tensor()
    initializer.name = graph[id].name
    initializer.dims = dense.shape.extents.map(Int64.init)
    initializer.dataType = 1
    initializer.rawData = dense.values.withUnsafeBytes { Data($0) }
    output.initializer.append(initializer)
  }

  private func window(_ window: Window) -> [Pacer_Onnx_Attribute] {
    let (padding, dilation) = (window.padding, window.dilation)
    return [
      integers("kernel_shape", [window.kernel.h, window.kernel.w]),
      integers("strides", [window.stride.h, window.stride.w]),
      integers("pads", [padding.top, padding.left, padding.bottom, padding.right]),
      integers("dilations", [dilation.h, dilation.w]),
    ]
  }

  private func info(_ id: ValueID) -> Pacer_Onnx_ValueInfo {
    var info = Pacer_Onnx_ValueInfo()
    info.name = graph[id].name
    info.type.tensorType.elemType = 1
    info.type.tensorType.shape.dim = graph[id].type.shape.extents.map {
      var dimension = Pacer_Onnx_TensorShape.Dimension()
      dimension.dimValue = Int64($0)
      return dimension
    }
    return info
  }

  private func integer(_ name: String, _ value: Int) -> Pacer_Onnx_Attribute {
    var attribute = Pacer_Onnx_Attribute()
    (attribute.name, attribute.i, attribute.type) = (name, Int64(value), 2)
    return attribute
  }
  private func integers(_ name: String, _ values: [Int]) -> Pacer_Onnx_Attribute {
    var attribute = Pacer_Onnx_Attribute()
    (attribute.name, attribute.ints, attribute.type) = (name, values.map(Int64.init), 7)
    return attribute
  }
  private func float(_ name: String, _ value: Float) -> Pacer_Onnx_Attribute {
    var attribute = Pacer_Onnx_Attribute()
    (attribute.name, attribute.f, attribute.type) = (name, value, 1)
    return attribute
  }
}
