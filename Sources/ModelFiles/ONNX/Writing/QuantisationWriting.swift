import GraphCore
import TensorCore

/// Ops on integers that stand for numbers, and to and from them.
let quantisationTranslations: ONNXTranslations = {
  var ops = ONNXTranslations()

  ops.add(QuantizeLinear.self) { op, node in
    // Without a zero point the type has to be said, if it is not the usual one.
    let isSaid = node.inputs.count < 3 && op.dtype != .uint8
    let dtype = isSaid ? [Pacer_Onnx_Attribute.integer("output_dtype", Int(op.dtype.onnx))] : []
    node.emit(
      "QuantizeLinear", node.inputs, node.scaleAxis(op.axis, op.blockSize) + dtype,
      since: node.quantisationSet(op.dtype, op.blockSize, saysType: isSaid))
  }
  ops.add(DequantizeLinear.self) { op, node in
    node.emit(
      "DequantizeLinear", node.inputs, node.scaleAxis(op.axis, op.blockSize),
      since: node.quantisationSet(node.types[0].dtype, op.blockSize))
  }
  ops.add(DynamicQuantizeLinear.self) { _, node in
    node.emit("DynamicQuantizeLinear", node.inputs, [], outputs: node.results)
  }
  ops.add(MatMulInteger.self) { _, node in node.emit("MatMulInteger", node.inputs) }
  ops.add(QLinearMatMul.self) { _, node in
    node.emit("QLinearMatMul", node.inputs, since: node.types[1].dtype == .float16 ? 21 : 13)
  }
  ops.add(ConvInteger.self) { op, node in
    node.emit("ConvInteger", node.inputs, op.window.onnx + [.integer("group", op.groups)])
  }
  ops.add(QLinearConv.self) { op, node in
    node.emit("QLinearConv", node.inputs, op.window.onnx + [.integer("group", op.groups)])
  }
  return ops
}()

extension ONNXNodeWriter {
  /// Of one scale for all, the axis means nothing, and may be one that is not there.
  fileprivate func scaleAxis(_ axis: Int, _ blockSize: Int) -> [Pacer_Onnx_Attribute] {
    let isOne = types[1].shape.count == 1 && types[1].shape.rank <= 1 && blockSize == 0
    return (isOne ? [] : [.integer("axis", axis)]) + (blockSize == 0 ? [] : [.integer("block_size", blockSize)])
  }

  /// The operator set that has integers of this type, such blocks, and scales of the type they have here.
  fileprivate func quantisationSet(_ dtype: DType, _ blockSize: Int, saysType: Bool = false) -> Int {
    if blockSize > 0 || saysType || dtype == .int16 || dtype == .uint16 { return 21 }
    return types[1].dtype == .float16 ? 19 : 13
  }
}
