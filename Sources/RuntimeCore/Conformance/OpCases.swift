import GraphCore
import TensorCore

/// One op with input shapes: every backend runs it in every format and is held against the op's own `evaluate`.
public struct OpCase: Sendable, CustomStringConvertible {
  public let name: String
  public let op: any Op
  public let inputs: [Shape]
  /// Whether weights are as small as those of trained networks, so that sums are about 1: an activation that squashes larger
  /// ones would leave nothing but their errors to see.
  public let hasUnitSums: Bool
  public var description: String { name }

  public init(name: String, op: any Op, inputs: [Shape], hasUnitSums: Bool = false) {
    (self.name, self.op, self.inputs, self.hasUnitSums) = (name, op, inputs, hasUnitSums)
  }

  /// A graph of the one op; parameters are constants.
  public func graph() throws -> (graph: Graph, input: Tensor) {
    var graph = Graph(name: name)
    var ids: [ValueID] = []
    for (index, shape) in inputs.enumerated() {
      let tensor = try Tensor(shape, values(shape.count, seed: index))
      if op.parameterInputs.contains(index) {
        ids.append(graph.addConstant("p\(index)", tensor))
      } else {
        ids.append(graph.addInput("x\(index)", TensorType(shape)))
      }
    }
    graph.setOutputs([try graph.addNode("op", op, ids)])
    return (graph, try Tensor(inputs[0], values(inputs[0].count, seed: 0)))
  }

  public func arguments() throws -> [Tensor] {
    try inputs.indices.filter { !op.parameterInputs.contains($0) }.map {
      try Tensor(inputs[$0], values(inputs[$0].count, seed: $0))
    }
  }

  /// Values in −1…1; statistics of a batch norm must be positive where they are variances.
  private func values(_ count: Int, seed: Int) -> [Float] {
    var state = UInt64(seed &* 7919 &+ 12345)
    let weight = op.parameterInputs.contains(seed) && inputs[seed].rank > 1 ? inputs[seed] : nil
    let scale = hasUnitSums ? weight.map { 3 / Float($0.count / $0[0]).squareRoot() } ?? 1 : 1
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let unit = Float(state >> 40) * 0x1p-24
      return op is BatchNorm && seed == 4 ? unit + 0.5 : (unit * 2 - 1) * scale
    }
  }
}

/// Convolution with awkward sizes: 1×1 images, odd and prime channels, batches, strides, dilation, groups.
public let opCases: [OpCase] = {
  var cases: [OpCase] = []
  func conv(
    _ name: String, _ op: Conv2D, _ x: Shape, outputs: Int, kernel: Pair, bias: Bool = true, residual: Shape? = nil
  ) {
    let weight: Shape = [outputs, x[1] / op.groups, kernel.h, kernel.w]
    cases.append(
      OpCase(
        name: "conv2d " + name, op: op, inputs: [x, weight] + (bias ? [[outputs]] : []) + (residual.map { [$0] } ?? []))
    )
  }
  conv("pointwise", Conv2D(), [1, 16, 9, 7], outputs: 24, kernel: 1)
  conv("pointwise, one pixel", Conv2D(epilogue: .relu6), [1, 37, 1, 1], outputs: 65, kernel: 1)
  conv("pointwise, prime channels, batch 3", Conv2D(), [3, 13, 5, 11], outputs: 17, kernel: 1)
  conv("pointwise, no bias", Conv2D(epilogue: .relu), [1, 8, 14, 14], outputs: 32, kernel: 1, bias: false)
  conv("pointwise, many weights for few pixels", Conv2D(), [2, 250, 5, 3], outputs: 141, kernel: 1)
  conv(
    "3x3, many weights for few pixels", Conv2D(padding: 1, epilogue: .relu), [1, 67, 7, 7], outputs: 75, kernel: 3,
    residual: [1, 75, 7, 7])
  conv(
    "3x3, many weights, stride 2, no bias", Conv2D(stride: 2, padding: 1), [1, 48, 13, 13], outputs: 80, kernel: 3,
    bias: false)
  conv("pointwise, many weights for one pixel", Conv2D(epilogue: .relu6), [1, 331, 1, 1], outputs: 103, kernel: 1)
  conv("pointwise, stride 2", Conv2D(stride: 2), [2, 12, 9, 9], outputs: 20, kernel: 1)
  conv("pointwise, one channel to one", Conv2D(), [1, 1, 3, 3], outputs: 1, kernel: 1)
  conv("3x3", Conv2D(padding: 1), [1, 16, 14, 14], outputs: 32, kernel: 3)
  conv("3x3, 7x7 image", Conv2D(padding: 1, epilogue: .relu), [1, 40, 7, 7], outputs: 33, kernel: 3)
  conv("3x3, batch 2, odd image", Conv2D(padding: 1), [2, 35, 9, 13], outputs: 37, kernel: 3)
  conv("3x3, batch 2, odd image, many tiles", Conv2D(padding: 1), [2, 19, 27, 25], outputs: 35, kernel: 3)
  conv("3x3, no padding, one tile", Conv2D(epilogue: .relu6), [1, 32, 5, 4], outputs: 48, kernel: 3)
  conv("3x3, stride 2", Conv2D(stride: 2, padding: 1), [1, 11, 15, 13], outputs: 19, kernel: 3)
  conv("3x3, dilation 2", Conv2D(padding: 2, dilation: 2), [1, 9, 12, 10], outputs: 10, kernel: 3)
  conv("3x3, batch 2, no padding", Conv2D(), [2, 5, 6, 9], outputs: 7, kernel: 3)
  conv("1x5 and 3x1 taps", Conv2D(padding: Padding(0, 2)), [1, 8, 5, 9], outputs: 8, kernel: Pair(1, 5))
  conv(
    "3x1, stride 2x1", Conv2D(stride: Pair(2, 1), padding: Padding(1, 0)), [1, 10, 9, 6], outputs: 12,
    kernel: Pair(3, 1))
  conv("stem 3x3 of 3 channels", Conv2D(stride: 2, padding: 1), [1, 3, 33, 31], outputs: 32, kernel: 3)
  conv("stem 7x7 of 3 channels", Conv2D(stride: 2, padding: 3), [2, 3, 30, 30], outputs: 64, kernel: 7)
  conv("few channels, dilation 2", Conv2D(padding: 2, dilation: 2), [1, 3, 12, 10], outputs: 10, kernel: 3)
  conv(
    "few channels, dilation 2x1", Conv2D(padding: Padding(2, 1), dilation: Pair(2, 1)), [2, 5, 12, 10], outputs: 18,
    kernel: 3)
  conv("4 channels", Conv2D(padding: 1), [1, 4, 9, 11], outputs: 20, kernel: 3)
  conv("few channels, one tap, stride 2", Conv2D(stride: 2), [2, 3, 9, 9], outputs: 33, kernel: 1)
  conv(
    "few channels, padding many times the image", Conv2D(stride: 300, padding: 300), [1, 3, 1, 1], outputs: 5, kernel: 2
  )
  conv("kernel as large as the image", Conv2D(), [1, 6, 5, 5], outputs: 9, kernel: 5)
  conv("padding larger than the image", Conv2D(padding: 3), [1, 9, 2, 2], outputs: 5, kernel: 3)
  conv("deep", Conv2D(padding: 1), [1, 130, 4, 4], outputs: 21, kernel: 3)
  conv("2 groups", Conv2D(padding: 1, groups: 2), [1, 12, 8, 8], outputs: 10, kernel: 3)
  conv("5 groups, pointwise", Conv2D(groups: 5), [2, 15, 6, 5], outputs: 20, kernel: 1)
  conv("multiplier 2", Conv2D(padding: 1, groups: 6), [1, 6, 7, 7], outputs: 12, kernel: 3)
  conv("depthwise 3x3", Conv2D(padding: 1, groups: 32, epilogue: .relu6), [1, 32, 14, 14], outputs: 32, kernel: 3)
  conv("depthwise 3x3, stride 2", Conv2D(stride: 2, padding: 1, groups: 24), [1, 24, 15, 15], outputs: 24, kernel: 3)
  conv("depthwise 3x3, prime channels", Conv2D(padding: 1, groups: 19), [2, 19, 7, 9], outputs: 19, kernel: 3)
  conv("depthwise 3x3, wide", Conv2D(padding: 1, groups: 3), [1, 3, 5, 41], outputs: 3, kernel: 3)
  conv("depthwise 5x5, dilation 2", Conv2D(padding: 4, dilation: 2, groups: 8), [1, 8, 11, 20], outputs: 8, kernel: 5)
  conv("depthwise 3x3, stride 3", Conv2D(stride: 3, padding: 1, groups: 17), [1, 17, 10, 10], outputs: 17, kernel: 3)
  // Blocks of channels of every kind, one after another, of every set of instructions.
  for channels in [15, 31, 48, 63, 100, 144] {
    conv(
      "depthwise 3x3, \(channels) channels", Conv2D(padding: 1, groups: channels, epilogue: .relu6),
      [1, channels, 3, 9], outputs: channels, kernel: 3)
  }
  conv(
    "depthwise 3x3, stride 2, 100 channels", Conv2D(stride: 2, padding: 1, groups: 100), [1, 100, 5, 11], outputs: 100,
    kernel: 3)
  conv("2 groups, many outputs", Conv2D(groups: 2), [1, 22, 5, 6], outputs: 134, kernel: 1)
  conv("depthwise, one pixel", Conv2D(padding: 1, groups: 5), [1, 5, 1, 1], outputs: 5, kernel: 3, bias: false)

  // As TensorFlow pads what it calls SAME, and with another width on each side.
  let after = Padding(top: 0, left: 0, bottom: 1, right: 1)
  let uneven = Padding(top: 1, left: 2, bottom: 0, right: 1)
  conv("3x3, stride 2, padded behind", Conv2D(stride: 2, padding: after), [1, 16, 14, 14], outputs: 24, kernel: 3)
  conv("3x3, uneven padding", Conv2D(padding: uneven), [2, 20, 9, 11], outputs: 33, kernel: 3)
  conv("3x3, uneven padding, one tile", Conv2D(padding: uneven), [1, 5, 3, 2], outputs: 7, kernel: 3)
  conv("3x3, uneven padding, 2 groups", Conv2D(padding: uneven, groups: 2), [1, 12, 7, 6], outputs: 10, kernel: 3)
  conv("stem, padded behind", Conv2D(stride: 2, padding: after), [2, 3, 32, 30], outputs: 32, kernel: 3)
  conv("stem, uneven padding", Conv2D(stride: 2, padding: uneven), [1, 3, 17, 19], outputs: 16, kernel: 3)
  conv(
    "depthwise 3x3, stride 2, padded behind", Conv2D(stride: 2, padding: after, groups: 24), [1, 24, 14, 14],
    outputs: 24,
    kernel: 3)
  conv("depthwise 3x3, uneven padding", Conv2D(padding: uneven, groups: 19), [2, 19, 7, 9], outputs: 19, kernel: 3)
  conv(
    "depthwise 5x5, uneven padding",
    Conv2D(padding: Padding(top: 4, left: 0, bottom: 1, right: 3), groups: 8), [1, 8, 9, 12], outputs: 8, kernel: 5)

  conv("residual pointwise", Conv2D(), [1, 16, 9, 7], outputs: 24, kernel: 1, residual: [1, 24, 9, 7])
  conv(
    "residual pointwise, prime channels, batch 2", Conv2D(epilogue: .relu6), [2, 13, 5, 11], outputs: 37, kernel: 1,
    residual: [2, 37, 5, 11])
  conv(
    "residual stem of 3 channels", Conv2D(stride: 2, padding: 1, epilogue: .relu), [2, 3, 11, 13], outputs: 35,
    kernel: 3,
    residual: [2, 35, 6, 7])
  for outputs in [24, 48, 88] {
    conv(
      "residual pointwise to \(outputs)", Conv2D(), [1, 20, 5, 7], outputs: outputs, kernel: 1,
      residual: [1, outputs, 5, 7])
  }
  conv("residual pointwise, one pixel", Conv2D(), [1, 37, 1, 1], outputs: 65, kernel: 1, residual: [1, 65, 1, 1])
  conv(
    "residual 3x3", Conv2D(padding: 1, epilogue: .relu), [1, 32, 14, 14], outputs: 40, kernel: 3,
    residual: [1, 40, 14, 14])
  conv(
    "residual 3x3, batch 2, odd image", Conv2D(padding: 1), [2, 35, 9, 13], outputs: 37, kernel: 3,
    residual: [2, 37, 9, 13])
  conv(
    "residual 3x3, 19 wide, stride 2", Conv2D(stride: 2, padding: 1), [1, 9, 11, 37], outputs: 7, kernel: 3,
    residual: [1, 7, 6, 19])
  conv(
    "residual 2 groups", Conv2D(padding: 1, groups: 2), [2, 12, 8, 8], outputs: 10, kernel: 3, residual: [2, 10, 8, 8])
  conv(
    "residual depthwise", Conv2D(padding: 1, groups: 19, epilogue: .relu), [2, 19, 7, 9], outputs: 19, kernel: 3,
    residual: [2, 19, 7, 9])

  func block(
    _ name: String, expand: (op: Conv2D, kernel: Int, channels: Int)? = nil, _ depthwise: Conv2D, _ x: Shape,
    project: Int? = nil, residual: Shape? = nil
  ) {
    var op = DepthwiseBlock(expand: expand?.op, depthwise: depthwise, project: project.map { _ in Conv2D() })
    let wide = expand?.channels ?? x[1]
    op.depthwise.groups = wide
    var inputs = [x]
    if let expand { inputs += [[wide, x[1], expand.kernel, expand.kernel], [wide]] }
    inputs += [[wide, 1, 3, 3], [wide]]
    if let project { inputs += [[project, wide, 1, 1], [project]] }
    cases.append(OpCase(name: "depthwise_block " + name, op: op, inputs: inputs + (residual.map { [$0] } ?? [])))
  }
  let clamped = Conv2D(padding: 1, epilogue: .relu6)
  let strided = Conv2D(stride: 2, padding: 1, epilogue: .relu6)
  let pointwise = Conv2D(epilogue: .relu6)
  block(
    "inverted residual", expand: (pointwise, 1, 48), clamped, [1, 8, 14, 14], project: 8, residual: [1, 8, 14, 14])
  block("stride 2", expand: (pointwise, 1, 36), strided, [1, 6, 15, 17], project: 20)
  block("batch 2, prime channels", expand: (pointwise, 1, 37), clamped, [2, 13, 9, 5], project: 19)
  block(
    "stem", expand: (Conv2D(stride: 2, padding: 1, epilogue: .relu6), 3, 32), clamped, [2, 3, 33, 31], project: 16)
  block("without expansion", clamped, [1, 32, 10, 23], project: 17)
  block("without projection", expand: (pointwise, 1, 40), clamped, [1, 7, 6, 8])
  block(
    "stride 2, padded behind", expand: (pointwise, 1, 36), Conv2D(stride: 2, padding: after), [1, 6, 14, 16],
    project: 20)
  block("uneven padding", expand: (pointwise, 1, 24), Conv2D(padding: uneven), [1, 5, 9, 11], project: 12)
  block(
    "stem, uneven padding", expand: (Conv2D(stride: 2, padding: uneven, epilogue: .relu6), 3, 32), clamped,
    [2, 3, 32, 31], project: 16)
  block("one pixel", expand: (pointwise, 1, 21), clamped, [3, 5, 1, 1], project: 9, residual: [3, 9, 1, 1])
  block(
    "dilation 2, no padding", expand: (pointwise, 1, 16), Conv2D(dilation: 2), [1, 4, 9, 12], project: 33)

  for (name, x, outputs) in [
    ("", Shape([1, 64]), 100), ("batch 3, primes", [3, 37], 41), ("one to one", [1, 1], 1), ("batch 20", [20, 16], 33),
  ] as [(String, Shape, Int)] {
    cases.append(OpCase(name: "linear " + name, op: Linear(), inputs: [x, [outputs, x[1]], [outputs]]))
  }
  for shape in [[1, 16, 6, 6], [2, 13, 5, 7], [1, 3, 1, 1]] as [Shape] {
    let c: Shape = [shape[1]]
    cases.append(OpCase(name: "batch_norm \(shape)", op: BatchNorm(), inputs: [shape, c, c, c, c]))
    cases.append(OpCase(name: "relu \(shape)", op: Activation(.relu), inputs: [shape]))
    cases.append(OpCase(name: "clamp \(shape)", op: Activation(.clamp(Clamp(min: -0.25, max: 0.5))), inputs: [shape]))
    cases.append(OpCase(name: "add \(shape)", op: Binary(.add), inputs: [shape, shape]))
    cases.append(OpCase(name: "add relu \(shape)", op: Binary(.add, epilogue: .relu), inputs: [shape, shape]))
    cases.append(OpCase(name: "multiply \(shape)", op: Binary(.multiply), inputs: [shape, shape]))
    cases.append(
      OpCase(name: "multiply by channel \(shape)", op: Binary(.multiply), inputs: [shape, [1, shape[1], 1, 1]]))
    cases.append(OpCase(name: "global_avg_pool2d \(shape)", op: GlobalAveragePool(), inputs: [shape]))
  }
  for (name, window, shape) in [
    ("3x3 stride 2", Window(kernel: 3, stride: 2, padding: 1), [1, 16, 14, 14]),
    ("2x2 stride 2", Window(kernel: 2, stride: 2), [2, 7, 9, 9]),
    ("3x3 stride 1, wide", Window(kernel: 3, padding: 1), [1, 5, 4, 39]),
    ("2x2 dilation 2", Window(kernel: 2, dilation: 2), [1, 17, 6, 6]),
    ("3x3 stride 3", Window(kernel: 3, stride: 3), [1, 3, 11, 35]),
    ("3x3 stride 2, padded behind", Window(kernel: 3, stride: 2, padding: after), [1, 9, 12, 14]),
    ("3x3, uneven padding", Window(kernel: 3, padding: Padding(top: 1, left: 0, bottom: 0, right: 1)), [2, 5, 7, 9]),
    ("3x3, padding of 2", Window(kernel: 3, padding: 2), [1, 11, 5, 7]),
    ("2x2 stride 3, padded behind", Window(kernel: 2, stride: 3, padding: after), [1, 5, 7, 10]),
  ] as [(String, Window, Shape)] {
    cases.append(OpCase(name: "max_pool2d " + name, op: MaxPool2D(window), inputs: [shape]))
  }
  cases.append(
    OpCase(name: "multiply by channel and image", op: Binary(.multiply), inputs: [[3, 21, 4, 5], [3, 21, 1, 1]]))
  for (name, a, b) in [
    ("a row", [2, 5, 3, 4], [4]), ("each way", [1, 5, 1, 4], [2, 1, 3, 1]), ("a number", [2, 5, 3, 4], []),
    ("a plane", [2, 5, 3, 4], [3, 4]), ("matrices", [3, 1], [1, 7]),
  ] as [(String, Shape, Shape)] {
    cases.append(OpCase(name: "add broadcast, " + name, op: Binary(.add, epilogue: .relu), inputs: [a, b]))
    cases.append(OpCase(name: "multiply broadcast, " + name, op: Binary(.multiply), inputs: [a, b]))
  }
  cases.append(OpCase(name: "flatten", op: Reshape.flatten, inputs: [[2, 5, 3, 4]]))
  cases.append(OpCase(name: "dropout", op: Dropout(probability: 0.2), inputs: [[2, 9]]))
  cases.append(OpCase(name: "convert_format", op: ConvertFormat(to: .nhwc), inputs: [[2, 5, 3, 4]]))
  cases.append(OpCase(name: "convert_format, three channels", op: ConvertFormat(to: .nhwc), inputs: [[2, 3, 5, 7]]))

  // Each op that can end with an epilogue ends with each of them in turn, in every shape above.
  let fusing = cases.filter {
    $0.op is any FusingOp && !Binary.computes(.multiply, $0.op) || $0.op is DepthwiseBlock
  }
  cases += fusing.enumerated().map { index, other in
    func epilogue(_ place: Int, channels: Int) -> Epilogue {
      let all = Epilogue.plain + [.clampChannels(clamps(channels))]
      return all[(index + place) % all.count]
    }
    var op = other.op
    if var block = op as? DepthwiseBlock {
      let wide = other.inputs[block.expand == nil ? 1 : 3][0]
      block.expand?.epilogue = epilogue(0, channels: wide)
      block.depthwise.epilogue = epilogue(1, channels: wide)
      block.project?.epilogue = epilogue(2, channels: other.inputs[block.expand == nil ? 3 : 5][0])
      op = block
    } else if var fusing = op as? any FusingOp {
      let channels = other.inputs.map { $0.rank > 1 ? $0[1] : 1 }.max()!
      fusing.epilogue = epilogue(0, channels: op.parameterInputs.isEmpty ? channels : other.inputs[1][0])
      op = fusing
    }
    return OpCase(name: "\(other.name), another epilogue", op: op, inputs: other.inputs, hasUnitSums: true)
  }
  for shape in [[1, 16, 6, 6], [2, 13, 5, 7], [1, 3, 1, 1], [3, 1037], [5], [2, 7, 1200]] as [Shape] {
    let channels = shape.rank > 1 ? shape[1] : 1
    for function in Epilogue.plain + [.clampChannels(clamps(channels))] {
      let name = if case .clampChannels = function { "clamp by channel" } else { "\(function)" }
      cases.append(OpCase(name: "\(name) \(shape)", op: Activation(function), inputs: [shape]))
    }
  }
  return cases
}()

/// Limits that no two neighbours share.
private func clamps(_ channels: Int) -> [Clamp] {
  (0..<channels).map { Clamp(min: Float($0 % 7) * -0.3, max: Float($0 % 5) + 0.15) }
}
