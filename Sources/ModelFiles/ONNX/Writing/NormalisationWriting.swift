import GraphCore
import TensorCore

/// Ops that bring elements to a common scale.
let normalisationTranslations: ONNXTranslations = {
  var ops = ONNXTranslations()

  ops.add(BatchNorm.self) { op, node in
    node.emit("BatchNormalization", node.inputs, [.float("epsilon", op.epsilon)])
  }
  ops.add(InstanceNorm.self) { op, node in
    node.emit("InstanceNormalization", node.inputs, [.float("epsilon", op.epsilon)])
  }
  ops.add(LayerNorm.self) { op, node in try node.write(op) }
  ops.add(LocalResponseNorm.self) { op, node in
    node.emit(
      "LRN", node.inputs,
      [
        .integer("size", op.size), .float("alpha", op.alpha), .float("beta", op.beta), .float("bias", op.bias),
      ])
  }
  ops.add(Softmax.self) { op, node in
    node.emit(op.isLogarithm ? "LogSoftmax" : "Softmax", node.inputs, [.integer("axis", op.axis)])
  }
  ops.add(Hardmax.self) { op, node in node.emit("Hardmax", node.inputs, [.integer("axis", op.axis)]) }
  return ops
}()

extension ONNXNodeWriter {
  fileprivate func write(_ op: LayerNorm) throws {
    let (dtype, shape) = (types[0].dtype, types[0].shape)
    var inputs = inputs
    // A scale there has to be.
    if inputs.count == 1 {
      let ones = Shape(Array(shape.extents[op.axis...]))
      inputs.append(try constant(Tensor(ones, [Double](repeating: 1, count: ones.count), dtype), "scale"))
    }
    let attributes: [Pacer_Onnx_Attribute] = [.integer("axis", op.axis), .float("epsilon", op.epsilon)]
    if op.isRootMeanSquare {
      guard !op.givesStatistics else { throw Unsupported("\(node.name): ONNX gives no mean square") }
      emit("RMSNormalization", inputs, attributes, since: 23)
      return
    }
    // Statistics are float32 there, whatever is normalised.
    let isDouble = op.givesStatistics && dtype == .float64
    let outputs = isDouble ? [results[0], fresh("mean"), fresh("deviation")] : results
    emit("LayerNormalization", inputs, attributes, outputs: outputs, since: 17)
    if isDouble {
      for (output, result) in zip(outputs, results).dropFirst() {
        emit("Cast", [output], [.integer("to", Int(dtype.onnx))], outputs: [result])
      }
    }
  }
}
