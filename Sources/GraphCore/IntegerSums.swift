import TensorCore

/// An op whose sums of products are exact where its tensors are integers that stand for numbers.
///
/// Such a node is computed, to the bit, as quantised networks are everywhere: `sum` is int32, of products without their zero points, and
/// the bias, which is int32 too. With `scale = scale(x) · scale(weight)` for each output, rounded to float32:
///
/// - Stored as integers, without a residual, and with no activation but a clamp: `saturate(round(Float(sum) · (scale / scale(result)))
///   + zeroPoint)`, halves to even, and held within the integers that the clamp's limits become.
/// - Anything else: `real = Float(sum) · scale`, plus the number that the residual stands for, through the activation; stored as integers
///   `saturate(round(real / scale(result)) + zeroPoint)`.
///
/// Each of these is one operation of float32, rounded on its own.
protocol IntegerSums: FusingOp {
  /// The convolution of integers that it is.
  func convolution(_ weight: Shape) -> ConvInteger
  /// Its input and its weight as that has them.
  func images(_ x: Tensor, _ weight: Tensor) throws -> (x: Tensor, weight: Tensor)
}

extension Conv2D: IntegerSums {
  func convolution(_ weight: Shape) -> ConvInteger {
    let window = Window(kernel: Pair(weight[2], weight[3]), stride: stride, padding: padding, dilation: dilation)
    return ConvInteger(WindowND(window), groups: groups)
  }
  func images(_ x: Tensor, _ weight: Tensor) -> (x: Tensor, weight: Tensor) { (x, weight) }
}

extension Linear: IntegerSums {
  func convolution(_ weight: Shape) -> ConvInteger { ConvInteger(WindowND(kernel: [1])) }
  /// Each row is an image of one pixel.
  func images(_ x: Tensor, _ weight: Tensor) throws -> (x: Tensor, weight: Tensor) {
    let depth = weight.shape[1]
    return (
      try x.reshaped(to: [x.shape.count / max(depth, 1), depth, 1]),
      try weight.reshaped(to: [weight.shape[0], depth, 1])
    )
  }
}

extension Node {
  /// Whether its sums are exact: see ``IntegerSums``.
  package static func sumsIntegers(_ op: any Op, _ inputs: [TensorType]) -> Bool {
    guard op is any IntegerSums, inputs.count > 1, let x = inputs[0].quantization, let weight = inputs[1].quantization,
      x.axis == nil, weight.axis == nil || weight.axis == 0,
      [inputs[0], inputs[1]].allSatisfy({ $0.dtype == .int8 || $0.dtype == .uint8 })
    else { return false }
    guard inputs.count > 2 else { return true }
    // The bias has the scale of the products, or its integers are none that could be added to them.
    guard inputs[2].dtype == .int32, let bias = inputs[2].quantization else { return false }
    return bias.zeroPoints.allSatisfy { $0 == 0 } && (bias.axis != nil || Set(weight.scales).count == 1)
      && bias.scales == Self.scales(x, weight, outputs: bias.axis == nil ? 1 : inputs[1].shape[0])
  }

  /// Whether it multiplies 8-bit integers and adds them up exactly.
  package static func multipliesIntegers(_ op: any Op, _ inputs: [TensorType]) -> Bool {
    op is DynamicLinear || op is DynamicRecurrent || sumsIntegers(op, inputs)
  }

  /// Whether it is a mean of integers, whose sums are exact as long as float32 holds them.
  package static func averagesIntegers(_ op: any Op, _ inputs: [TensorType]) -> Bool {
    guard op is GlobalAveragePool || op is AveragePool2D, let quantization = inputs[0].quantization else {
      return false
    }
    return quantization.axis == nil && (inputs[0].dtype == .int8 || inputs[0].dtype == .uint8)
  }

  /// Of sums, by output.
  package static func scales(_ x: Quantization, _ weight: Quantization, outputs: Int) -> [Float] {
    (0..<outputs).map { x.scales[0] * weight.scales[weight.axis == nil ? 0 : $0] }
  }

  /// Its result where its sums are exact.
  func evaluateIntegers(_ op: any IntegerSums, _ inputs: [Tensor]) throws -> Tensor {
    let (x, weight) = (inputs[0], inputs[1])
    let (input, filter) = (x.type.quantization!, weight.type.quantization!)
    let shape = try op.checkedOutputTypes(for: inputs.map(\.type))[0].shape
    let outputs = weight.shape[0]
    func zero(_ tensor: Tensor, _ quantization: Quantization) throws -> Tensor {
      try Tensor(Shape([quantization.zeroPoints.count]), quantization.zeroPoints.map(Int64.init), tensor.type.dtype)
    }
    func plain(_ tensor: Tensor) throws -> Tensor { try Tensor(tensor.shape, tensor.allIntegers(), tensor.type.dtype) }
    let images = try op.images(plain(x), plain(weight))
    let sums = try op.convolution(weight.shape)
      .evaluate([images.x, images.weight, zero(x, input), zero(weight, filter)])[0]
    let bias = try inputs.count > 2 ? inputs[2].allIntegers() : nil
    let scales = Self.scales(input, filter, outputs: outputs)
    // Channels of an image, columns of a row.
    let pixels = sums.shape.extents[2...].reduce(1, *)
    func channel(_ index: Int) -> Int { index / pixels % outputs }
    let all = try sums.allIntegers().enumerated().map { index, sum in
      Int32(truncatingIfNeeded: sum + (bias.map { $0[$0.count > 1 ? channel(index) : 0] } ?? 0))
    }
    let residual = try inputs.count > 3 ? inputs[3].widened().values : nil
    let finish = op.epilogue.map { epilogue in (0..<outputs).map { epilogue.function(channel: $0) } }
    guard let stored, let result = stored.quantization else {
      let reals = all.enumerated().map { index, sum in
        let real = Float(sum) * scales[channel(index)] + (residual?[index] ?? 0)
        return finish?[channel(index)](real) ?? real
      }
      let tensor = try Tensor(shape, reals)
      return try stored.map { try tensor.stored(as: $0) } ?? tensor
    }
    let (scale, zeroPoint) = (result.scales[0], Int(result.zeroPoints[0]))
    let clamps = op.epilogue?.clamps(channels: outputs)
    let isClamped = op.epilogue == nil || clamps != nil
    let integers = all.enumerated().map { index, sum in
      let channel = channel(index)
      guard residual == nil, isClamped else {
        let real = Float(sum) * scales[channel] + (residual?[index] ?? 0)
        return stored.dtype.quantized((finish?[channel](real) ?? real) / scale, zeroPoint: zeroPoint)
      }
      let integer = stored.dtype.quantized(Float(sum) * (scales[channel] / scale), zeroPoint: zeroPoint)
      guard let clamp = clamps?[channel] else { return integer }
      return min(
        max(integer, stored.dtype.quantized(clamp.min / scale, zeroPoint: zeroPoint)),
        stored.dtype.quantized(clamp.max / scale, zeroPoint: zeroPoint))
    }
    return try Tensor(quantized: shape, integers, stored)
  }
}

extension Epilogue {
  /// The limits of each channel, if it is nothing but limits.
  package func clamps(channels: Int) -> [Clamp]? {
    switch self {
    case .clamp(let clamp): [Clamp](repeating: clamp, count: channels)
    case .clampChannels(let clamps): clamps
    default: nil
    }
  }
}
