import GraphCore
import TensorCore

/// Pixels one invocation of a convolution sums.
private let pixelsPerInvocation = 4

private struct Convolution {
  let op: Conv2D
  let from: TexelLayout
  let to: TexelLayout
  let kernel: Pair
  var hasBias: Int32

  init?(_ request: VulkanRequest) {
    guard let op = request.node.op as? Conv2D else { return nil }
    let weight = request.inputs[1].shape
    (self.op, from, to) = (op, request.layout(0), request.result)
    kernel = Pair(weight[2], weight[3])
    hasBias = request.inputs.count > 2 ? 1 : 0
  }
  var inSize: Pair { Pair(from.height, from.width) }
  var outSize: Pair { Pair(to.height, to.width) }
  /// Whether a tap can fall outside the image.
  var isPadded: Bool {
    let reach = Pair(
      (to.height - 1) * op.stride.h + (kernel.h - 1) * op.dilation.h - op.padding.h,
      (to.width - 1) * op.stride.w + (kernel.w - 1) * op.dilation.w - op.padding.w)
    return op.padding != 0 || reach.h >= from.height || reach.w >= from.width
  }
  func reads(weight: Dispatch.Operand) -> [Dispatch.Operand] {
    [.input(0), weight] + (hasBias == 1 ? [.input(2)] : [])
  }
}

/// Convolution of one group, 8 outputs × some pixels at a time.
@Sendable func panelKernel(_ request: VulkanRequest) -> VulkanKernel? {
  guard let conv = Convolution(request), conv.op.groups == 1 else { return nil }
  let pixels = conv.to.images * conv.to.pixels
  // Where a fetch is a call into the sampler, as in Mesa's software driver, lanes share what they fetch.
  let sharesWeights =
    request.device.isSoftware && request.device.hasShuffle && request.device.subgroupSize % 8 == 0
    && request.storage == .texels
  let groupSize = request.device.subgroupSize
  let perGroup = groupSize * pixelsPerInvocation
  var push = PushConstants()
  push.add(conv.from, conv.to)
  push.add(conv.inSize, conv.outSize, conv.kernel, conv.op.stride, conv.op.padding, conv.op.dilation)
  push.add(pixels, conv.from.quads, conv.to.quads)
  push.add(conv.op.activation)
  let weights = VulkanWeights.ready(request, VulkanWeights.convolution)
  let dispatch = Dispatch(
    shader: sharesWeights ? "convolution-lanes" : "convolution",
    constants: [Int32(pixelsPerInvocation), conv.hasBias, conv.isPadded ? 1 : 0], push: push, groupSize: groupSize,
    groups: ((pixels + perGroup - 1) / perGroup, (conv.to.quads + 1) / 2), reads: conv.reads(weight: weights.weight))
  return VulkanKernel(
    name: sharesWeights ? "panels8-lanes" : "panels8", scratchTexels: weights.scratchTexels,
    dispatches: weights.dispatches + [dispatch])
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
  push.add(conv.inSize, conv.outSize, conv.op.padding)
  push.add(conv.op.stride.h, conv.op.dilation.h, conv.kernel.h, blocks, conv.to.images)
  push.add(conv.op.activation)
  let weights = VulkanWeights.ready(request, VulkanWeights.depthwise)
  let groupSize = request.device.subgroupSize
  let dispatch = Dispatch(
    shader: "depthwise",
    constants: [
      Int32(pixelsPerInvocation), conv.hasBias, Int32(conv.kernel.w), Int32(conv.op.stride.w),
      Int32(conv.op.dilation.w),
    ],
    push: push, groupSize: groupSize, groups: ((count + groupSize - 1) / groupSize, conv.to.quads),
    reads: conv.reads(weight: weights.weight))
  return VulkanKernel(
    name: "depthwise", scratchTexels: weights.scratchTexels, dispatches: weights.dispatches + [dispatch])
}

/// Convolution of any groups.
@Sendable func groupedKernel(_ request: VulkanRequest) -> VulkanKernel? {
  guard let conv = Convolution(request) else { return nil }
  let pixels = conv.to.images * conv.to.pixels
  let weight = request.inputs[1].shape
  var push = PushConstants()
  push.add(conv.from, conv.to)
  push.add(conv.inSize, conv.outSize, conv.kernel, conv.op.stride, conv.op.padding, conv.op.dilation)
  push.add(pixels, weight[1], weight[0] / conv.op.groups, weight[0])
  push.add(conv.op.activation)
  let dispatch = Dispatch(
    shader: "grouped", constants: [conv.hasBias], push: push, groupSize: 64,
    groups: ((pixels + 63) / 64, conv.to.quads),
    reads: conv.reads(weight: .input(1)))
  return VulkanKernel(name: "grouped", dispatches: [dispatch])
}
