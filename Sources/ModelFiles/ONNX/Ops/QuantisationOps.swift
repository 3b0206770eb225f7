import Foundation
import GraphCore
import TensorCore

/// Operators on integers that stand for numbers, and to and from them.
let quantisationOps: [String: ONNXBuilder] = {
  var ops: [String: ONNXBuilder] = [:]

  ops["QuantizeLinear"] = { node in
    var inputs = [try node.input(0), try node.input(1)]
    if let zero = try node.optional(2) {
      // Integers of four bits are read as those of eight; numbers are not rounded to them.
      let name = node.proto.input[2]
      if let kind = node.reader.file.model.graph.initializer.first(where: { $0.name == name })?.dataType,
        DType(onnx: kind) == nil
      {
        throw Unsupported("ONNX's type \(kind) is not written")
      }
      inputs.append(zero)
    }
    var dtype = inputs.count > 2 ? node.type(of: inputs[2]).dtype : .uint8
    let (wanted, precision) = (node.integer("output_dtype", 0), node.integer("precision", 0))
    if wanted != 0, inputs.count == 2 {
      guard let type = DType(onnx: Int32(clamping: wanted)) else {
        throw Unsupported("ONNX's type \(wanted) is not read")
      }
      dtype = type
    }
    // Of narrower floats too, divisions are float32.
    guard precision == 0 || precision == 1 else { throw Unsupported("divisions in ONNX's type \(precision)") }
    let (axis, blockSize) = try node.scaleAxis(of: inputs[0], scale: inputs[1])
    return [try node.add(QuantizeLinear(to: dtype, axis: axis, blockSize: blockSize), inputs)]
  }
  ops["DequantizeLinear"] = { node in
    var inputs = [try node.input(0), try node.input(1)]
    if let zero = try node.optional(2) { inputs.append(zero) }
    let (axis, blockSize) = try node.scaleAxis(of: inputs[0], scale: inputs[1])
    let op = DequantizeLinear(axis: axis, blockSize: blockSize)
    guard node.integer("output_dtype", 0) != 0 else { return [try node.add(op, inputs)] }
    guard let dtype = DType(onnx: Int32(clamping: node.integer("output_dtype", 0))) else {
      throw Unsupported("ONNX's type \(node.integer("output_dtype", 0)) is not read")
    }
    // Products are rounded once, to the type they are asked in.
    inputs[1] = try node.cast(inputs[1], to: .float32, "scale")
    return [try node.cast(node.add(op, inputs, dtype == .float32 ? "" : "wide"), to: dtype)]
  }
  ops["DynamicQuantizeLinear"] = { node in try node.addAll(DynamicQuantizeLinear(), [node.input(0)]) }

  ops["MatMulInteger"] = { node in [try node.add(MatMulInteger(), node.withZeroPoints())] }
  ops["QLinearMatMul"] = { node in [try node.add(QLinearMatMul(), node.inputs)] }
  ops["ConvInteger"] = { node in
    [try node.add(ConvInteger(node.integerWindow(weight: 1), groups: node.integer("group", 1)), node.withZeroPoints())]
  }
  ops["QLinearConv"] = { node in
    [try node.add(QLinearConv(node.integerWindow(weight: 3), groups: node.integer("group", 1)), node.inputs)]
  }
  return ops
}()

extension ONNXNode {
  /// Where scales lie along.
  fileprivate func scaleAxis(of id: ValueID, scale: ValueID) throws -> (axis: Int, blockSize: Int) {
    let (shape, scales, blockSize) = (type(of: id).shape, type(of: scale).shape, integer("block_size", 0))
    // Of one scale for all, the axis means nothing, and may be one that is not there.
    if scales.count == 1, scales.rank <= 1, blockSize == 0 { return (0, 0) }
    return (try shape.axis(integer("axis", 1), "its scales"), blockSize)
  }

  /// Two tensors and their zero points, up to the last that is there.
  fileprivate func withZeroPoints() throws -> [ValueID] {
    var inputs = [try input(0), try input(1)]
    if has(2) {
      inputs.append(try input(2))
    } else if has(3) {
      inputs.append(try constant(0, type(of: inputs[0]).dtype, "zero"))
    }
    if has(3) { inputs.append(try input(3)) }
    return inputs
  }

  fileprivate func integerWindow(weight: Int) throws -> WindowND {
    let window = try ONNXWindow(self, image: shape(0), kernel: Array(shape(weight).extents.dropFirst(2)))
    return WindowND(
      kernel: window.kernel, strides: window.strides, dilations: window.dilations, before: window.before,
      after: window.after)
  }
}
