import GraphCore
import TensorCore

/// Ops that move a window over images, and what is done to each channel of them.
let windowTranslations: ONNXTranslations = {
  var ops = ONNXTranslations()

  ops.add(Conv2D.self) { op, node in try node.convolve(op, node.inputs, kernel: node.types[1].shape) }
  ops.add(DepthwiseBlock.self) { op, node in
    var value = node.inputs[0]
    let names = [("expand", op.expand), ("depthwise", op.depthwise), ("project", op.project)]
    let parts = names.compactMap { name, part in part.map { (name, $0) } }
    for (index, (name, part)) in parts.enumerated() {
      let isLast = index == parts.count - 1
      let own = node.inputs[(1 + 2 * index)..<(3 + 2 * index)]
      value = try node.convolve(
        part, [value] + own + (isLast ? node.inputs.dropFirst(1 + 2 * parts.count) : []),
        kernel: node.types[1 + 2 * index].shape, isLast ? "" : name)
    }
  }
  ops.add(MaxPool2D.self) { op, node in node.emit("MaxPool", node.inputs, ONNXNodeWriter.attributes(of: op.window)) }
  ops.add(GlobalAveragePool.self) { _, node in node.emit("GlobalAveragePool", node.inputs) }
  ops.add(BatchNorm.self) { op, node in
    node.emit("BatchNormalization", node.inputs, [.float("epsilon", op.epsilon)])
  }
  return ops
}()

extension ONNXNodeWriter {
  /// - Parameter inputs: a residual among them, which is added behind: ONNX's convolution adds a bias alone.
  @discardableResult
  fileprivate func convolve(
    _ op: Conv2D, _ inputs: [String], kernel: Shape, _ suffix: String = ""
  ) throws -> String {
    let window = Window(
      kernel: Pair(kernel[2], kernel[3]), stride: op.stride, padding: op.padding, dilation: op.dilation)
    let attributes = Self.attributes(of: window) + [.integer("group", op.groups)]
    return try finish(op.epilogue, suffix) { suffix in
      guard inputs.count > 3 else { return emit("Conv", inputs, attributes, suffix) }
      return emit("Add", [emit("Conv", Array(inputs[..<3]), attributes, "conv"), inputs[3]], [], suffix)
    }
  }

  fileprivate static func attributes(of window: Window) -> [Pacer_Onnx_Attribute] {
    let (padding, dilation) = (window.padding, window.dilation)
    return [
      .integers("kernel_shape", [window.kernel.h, window.kernel.w]),
      .integers("strides", [window.stride.h, window.stride.w]),
      .integers("pads", [padding.top, padding.left, padding.bottom, padding.right]),
      .integers("dilations", [dilation.h, dilation.w]),
    ]
  }
}
