import GraphCore
import TensorCore

/// Pixels one invocation of a convolution sums.
private let pixelsPerInvocation = 4

/// Quads of channels that each of the invocations that share a sum is left with at least.
private let fewestQuads = 2

/// Invocations that share each sum over some quads of channels, a power of two: more of them until a device has enough to do.
/// - Parameters:
///   - most: what a workgroup takes.
///   - isBusy: with so many.
func invocationsPerSum(quads: Int, most: Int, isBusy: (Int) -> Bool) -> Int {
  var parts = 1
  while 2 * parts <= most, quads >= 2 * parts * fewestQuads, !isBusy(parts) { parts *= 2 }
  return parts
}

/// A specialisation constant that is true or false.
private func flag(_ value: Bool) -> Int32 { value ? 1 : 0 }

private struct Convolution {
  let op: Conv2D
  let from: TexelLayout
  let to: TexelLayout
  let kernel: Pair
  let hasBias: Bool
  let hasResidual: Bool

  init?(_ request: VulkanRequest) {
    guard let op = request.node.op as? Conv2D else { return nil }
    let weight = request.inputs[1].shape
    (self.op, from, to) = (op, request.layout(0), request.result)
    kernel = Pair(weight[2], weight[3])
    hasBias = request.inputs.count > 2
    hasResidual = request.inputs.count > 3
  }
  var inSize: Pair { Pair(from.height, from.width) }
  var outSize: Pair { Pair(to.height, to.width) }
  /// Whether a tap can fall outside the image.
  var isPadded: Bool {
    let reach = Pair(
      (to.height - 1) * op.stride.h + (kernel.h - 1) * op.dilation.h - op.padding.top,
      (to.width - 1) * op.stride.w + (kernel.w - 1) * op.dilation.w - op.padding.left)
    return op.padding != 0 || reach.h >= from.height || reach.w >= from.width
  }
  func reads(weight: Dispatch.Operand) -> [Dispatch.Operand] { [.input(0), weight] + added }
  /// What goes to the sums: bias and residual.
  var added: [Dispatch.Operand] { (hasBias ? [.input(2)] : []) + (hasResidual ? [.input(3)] : []) }
}

/// The shader of convolutions of one group, 8 outputs × some pixels at a time.
private struct PanelShader {
  let file: String
  let name: String
  private let request: VulkanRequest
  private var groupSize: Int { request.device.subgroupSize }

  init(_ request: VulkanRequest) {
    self.request = request
    // Where a fetch is a call into the sampler, as in Mesa's software driver, lanes share what they fetch. Those of a subgroup have to be
    // of one part: there as many invocations as a subgroup has lie along x, and come first.
    let sharesWeights =
      request.device.isSoftware && request.device.hasShuffle && request.device.subgroupSize % 8 == 0
      && request.storage == .texels
    let multipliesHalves = (request.node.op as? Conv2D)?.multipliesFloat16 == true
    file = "convolution" + (sharesWeights ? "-lanes" : "") + (multipliesHalves ? "-halves" : "")
    name = "panels8" + (sharesWeights ? "-lanes" : "") + (multipliesHalves ? "-halves" : "")
  }

  /// Pixels that an invocation sums, and invocations that share a sum's channels: fewer of the one, and where it is one pixel more of the
  /// other, until a device has enough to do. None sums pixels that all lie behind the last.
  private func division(count: Int, columns: Int, quads: Int) -> (pixels: Int, parts: Int) {
    func subgroups(_ pixels: Int) -> Int { (count + groupSize * pixels - 1) / (groupSize * pixels) * columns }
    var pixels = pixelsPerInvocation
    while pixels > 1, subgroups(pixels) < request.wantedSubgroups || (pixels - 1) * groupSize >= count { pixels /= 2 }
    guard pixels == 1 else { return (pixels, 1) }
    let sharing = request.device.maxSharedBytes / (2 * groupSize * 16) + 1
    // No device takes fewer than 128 along y.
    let parts = invocationsPerSum(quads: quads, most: min(request.device.maxInvocations / groupSize, sharing, 128)) {
      $0 * subgroups(1) >= request.wantedSubgroups
    }
    return (1, parts)
  }

  func dispatch(
    from: TexelLayout, to: TexelLayout, kernel: Pair, op: Conv2D, isPadded: Bool, hasBias: Bool,
    hasResidual: Bool = false, products: Int = 1, reads: [Dispatch.Operand], writes: Dispatch.Operand
  ) -> Dispatch {
    let count = to.images / products * to.pixels
    let panels = (to.quads + 1) / 2
    let (pixels, parts) = division(count: count, columns: panels * products, quads: from.quads)
    let perGroup = groupSize * pixels
    var push = PushConstants()
    push.add(from, to)
    push.add(
      Pair(from.height, from.width), Pair(to.height, to.width), kernel, op.stride, op.padding.before, op.dilation)
    push.add(count, from.quads, to.quads)
    push.add(op.epilogue)
    let isBatched = to.images > products
    let isPointwise = kernel == 1 && op.stride == 1 && !isPadded && !isBatched
    return Dispatch(
      shader: file,
      constants: [
        Int32(pixels), flag(hasBias), flag(isPadded), flag(isBatched), flag(isPointwise),
        from.channels <= 4 ? Int32(from.channels) : 0, flag(hasResidual), Int32(parts),
      ],
      push: push, groupSize: groupSize,
      groups: ((count + perGroup - 1) / perGroup, panels), products: products, reads: reads, writes: writes
    ).finished(op.epilogue)
  }
}

/// Convolution of one group, directly.
@Sendable func panelKernel(_ request: VulkanRequest) -> VulkanKernel? {
  guard let conv = Convolution(request), conv.op.groups == 1 else { return nil }
  let weights = VulkanWeights.ready(request, VulkanWeights.convolution)
  let shader = PanelShader(request)
  let dispatch = shader.dispatch(
    from: conv.from, to: conv.to, kernel: conv.kernel, op: conv.op, isPadded: conv.isPadded,
    hasBias: conv.hasBias, hasResidual: conv.hasResidual, reads: conv.reads(weight: weights.weight), writes: .output)
  return VulkanKernel(
    name: shader.name, scratch: weights.scratch, dispatches: weights.dispatches + [dispatch])
}

/// 3×3 convolution of stride 1 by Winograd's F(4×4, 3×3): 36 products of matrices for 4×4 pixels instead of 144.
@Sendable func winogradKernel(_ request: VulkanRequest) -> VulkanKernel? {
  guard
    let conv = Convolution(request), conv.op.algorithm == .winograd,
    conv.op.allowsWinograd(request.inputs[1].shape)
  else { return nil }
  let tiles = Pair((conv.to.height + 3) / 4, (conv.to.width + 3) / 4)
  let count = conv.to.images * tiles.h * tiles.w
  let shader = PanelShader(request)
  func matrices(_ channels: Int) -> TexelLayout { TexelLayout(TensorType([36, channels, 1, count])) }
  let (from, to) = (matrices(conv.from.channels), matrices(conv.to.channels))
  // Working memory is over twice the image: what does not fit goes directly.
  let largest = max(from.texels, to.texels, 36 * conv.from.quads * conv.to.quads * 4)
  guard largest * 16 <= request.device.maxBufferRange, largest <= request.device.maxTexels else { return nil }

  // Weights: 36 matrices of panels, made once where they are packed, otherwise each time.
  let weights = VulkanWeights.ready(request, VulkanWeights.convolution)
  let isPacked = weights.dispatches.isEmpty
  let perTap = conv.from.quads * 8
  let perMatrix = (conv.to.quads + 1) / 2 * perTap
  var push = PushConstants()
  push.add(perTap, perMatrix)
  let transformed: Dispatch.Operand = isPacked ? .prepared : .scratch(1)
  let transform = Dispatch.over(
    perMatrix, "winograd-weights", [], push, reads: [weights.weight], writes: transformed)
  var scratch = isPacked ? [] : weights.scratch + [36 * perMatrix]
  let (values, sums) = (Dispatch.Operand.scratch(scratch.count), Dispatch.Operand.scratch(scratch.count + 1))
  scratch += [from.texels, to.texels]

  push = PushConstants()
  push.add(conv.from)
  push.add(conv.to.images)
  push.add(conv.inSize, tiles, conv.op.padding.before)
  push.add(from.texels / 36)
  let input = Dispatch.over(from.texels / 36, "winograd-input", [], push, reads: [.input(0)], writes: values)
  let product = shader.dispatch(
    from: from, to: to, kernel: 1, op: Conv2D(), isPadded: false, hasBias: false, products: 36,
    reads: [values, transformed], writes: sums)
  push = PushConstants()
  push.add(conv.to)
  push.add(conv.to.images)
  push.add(conv.outSize, tiles)
  push.add(to.texels / 36)
  push.add(conv.op.epilogue)
  let output = Dispatch.over(
    to.texels / 36, "winograd-output", [flag(conv.hasBias), flag(conv.hasResidual)], push, reads: [sums] + conv.added
  ).finished(conv.op.epilogue)
  return VulkanKernel(
    name: "winograd4-" + shader.name, scratch: scratch, prepared: isPacked ? (36 * perMatrix, [transform]) : nil,
    dispatches: (isPacked ? [] : weights.dispatches + [transform]) + [input, product, output])
}

/// Depthwise convolution, neighbours of a row at a time.
@Sendable func depthwiseKernel(_ request: VulkanRequest) -> VulkanKernel? {
  guard let conv = Convolution(request), conv.op.isDepthwise(request.inputs[0].shape, request.inputs[1].shape) else {
    return nil
  }
  let blocks = (conv.to.width + pixelsPerInvocation - 1) / pixelsPerInvocation
  let count = conv.to.images * conv.to.height * blocks
  var push = PushConstants()
  push.add(conv.from, conv.to)
  push.add(conv.inSize, conv.outSize, conv.op.padding.before)
  push.add(conv.op.stride.h, conv.op.dilation.h, conv.kernel.h, blocks, conv.to.images)
  push.add(conv.op.epilogue)
  let weights = VulkanWeights.ready(request, VulkanWeights.depthwise)
  let groupSize = request.device.subgroupSize
  let dispatch = Dispatch(
    shader: "depthwise",
    constants: [
      Int32(pixelsPerInvocation), flag(conv.hasBias), Int32(conv.kernel.w), Int32(conv.op.stride.w),
      Int32(conv.op.dilation.w), flag(conv.to.images > 1), flag(conv.hasResidual),
    ],
    push: push, groupSize: groupSize, groups: ((count + groupSize - 1) / groupSize, conv.to.quads),
    reads: conv.reads(weight: weights.weight)
  ).finished(conv.op.epilogue)
  return VulkanKernel(
    name: "depthwise", scratch: weights.scratch, dispatches: weights.dispatches + [dispatch])
}

/// Convolution of any groups.
@Sendable func groupedKernel(_ request: VulkanRequest) -> VulkanKernel? {
  guard let conv = Convolution(request) else { return nil }
  let pixels = conv.to.images * conv.to.pixels
  let weight = request.inputs[1].shape
  var push = PushConstants()
  push.add(conv.from, conv.to)
  push.add(conv.inSize, conv.outSize, conv.kernel, conv.op.stride, conv.op.padding.before, conv.op.dilation)
  push.add(pixels, weight[1], weight[0] / conv.op.groups, weight[0])
  push.add(conv.op.epilogue)
  let dispatch = Dispatch(
    shader: "grouped", constants: [flag(conv.hasBias), flag(conv.hasResidual)], push: push, groupSize: 64,
    groups: ((pixels + 63) / 64, conv.to.quads),
    reads: conv.reads(weight: .input(1))
  ).finished(conv.op.epilogue)
  return VulkanKernel(name: "grouped", dispatches: [dispatch])
}
