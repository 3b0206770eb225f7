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
  ops.add(ConvolutionND.self) { op, node in
    node.emit("Conv", node.inputs, op.window.onnx + [.integer("group", op.groups)])
  }
  ops.add(ConvTranspose2D.self) { op, node in
    let kernel = node.types[1].shape
    let window = Window(
      kernel: Pair(kernel[2], kernel[3]), stride: op.stride, padding: op.padding, dilation: op.dilation)
    let padding = [op.outputPadding.h, op.outputPadding.w]
    try node.finish(op.epilogue) { node.transposed(WindowND(window), op.groups, padding, $0) }
  }
  ops.add(ConvTransposeND.self) { op, node in node.transposed(op.window, op.groups, op.outputPadding) }

  ops.add(MaxPool2D.self) { op, node in node.emit("MaxPool", node.inputs, WindowND(op.window).onnx) }
  ops.add(AveragePool2D.self) { op, node in node.average(WindowND(op.window), countsPadding: op.countsPadding) }
  ops.add(PoolND.self) { op, node in try node.pool(op) }
  ops.add(MaxUnpool.self) { op, node in
    // The extents that it would work out itself are no larger than those that are said.
    let kernel = [Int](repeating: 1, count: op.shape.rank - 2)
    node.emit(
      "MaxUnpool", node.inputs + [try node.integers(op.shape.extents, "shape")], [.integers("kernel_shape", kernel)])
  }
  ops.add(GlobalAveragePool.self) { _, node in node.emit("GlobalAveragePool", node.inputs) }
  return ops
}()

extension WindowND {
  var onnx: [Pacer_Onnx_Attribute] {
    [
      .integers("kernel_shape", kernel), .integers("strides", strides), .integers("pads", before + after),
      .integers("dilations", dilations),
    ]
  }
}

extension ONNXNodeWriter {
  /// - Parameter inputs: a residual among them, which is added behind: ONNX's convolution adds a bias alone.
  @discardableResult
  fileprivate func convolve(
    _ op: Conv2D, _ inputs: [String], kernel: Shape, _ suffix: String = ""
  ) throws -> String {
    let window = Window(
      kernel: Pair(kernel[2], kernel[3]), stride: op.stride, padding: op.padding, dilation: op.dilation)
    let attributes = WindowND(window).onnx + [.integer("group", op.groups)]
    return try finish(op.epilogue, suffix) { suffix in
      guard inputs.count > 3 else { return emit("Conv", inputs, attributes, suffix) }
      return emit("Add", [emit("Conv", Array(inputs[..<3]), attributes, "conv"), inputs[3]], [], suffix)
    }
  }

  @discardableResult
  fileprivate func transposed(
    _ window: WindowND, _ groups: Int, _ outputPadding: [Int], _ suffix: String = ""
  ) -> String {
    emit(
      "ConvTranspose", inputs, window.onnx + [.integer("group", groups), .integers("output_padding", outputPadding)],
      suffix)
  }

  fileprivate func average(_ window: WindowND, countsPadding: Bool, roundsUp: Bool = false) {
    // Its windows were dense before.
    let isDense = window.dilations.allSatisfy { $0 == 1 }
    emit(
      "AveragePool", inputs,
      (isDense ? window.onnx.dropLast() : window.onnx) + [
        .integer("count_include_pad", countsPadding ? 1 : 0), .integer("ceil_mode", roundsUp ? 1 : 0),
      ], since: isDense ? 13 : 19)
  }

  fileprivate func pool(_ op: PoolND) throws {
    var window = op.window
    // What the last windows reach behind the padding is more padding, which is to be less than the kernel and may not count;
    // else it is what rounding up gives.
    let wider = zip(window.after, op.overhang).map { $0 + $1 }
    let counts = op.function == .average(countsPadding: true)
    let isPadding = op.overhang.allSatisfy { $0 == 0 } || !counts && zip(wider, window.kernel).allSatisfy { $0 < $1 }
    if isPadding { window.after = wider }
    let roundsUp = !isPadding
    guard isPadding || op.overhang == window.overhang(on: types[0].shape) else {
      throw Unsupported("\(node.name): ONNX has no windows that reach so far behind the padding")
    }
    let rounding = Pacer_Onnx_Attribute.integer("ceil_mode", roundsUp ? 1 : 0)
    switch op.function {
    case .maximum:
      let order = op.indices.map { [Pacer_Onnx_Attribute.integer("storage_order", $0 == .rows ? 0 : 1)] } ?? []
      emit("MaxPool", inputs, window.onnx + [rounding] + order, outputs: results)
    case .average(let countsPadding): average(window, countsPadding: countsPadding, roundsUp: roundsUp)
    case .norm(let p): emit("LpPool", inputs, window.onnx + [rounding, .integer("p", p)], since: 18)
    }
  }
}
