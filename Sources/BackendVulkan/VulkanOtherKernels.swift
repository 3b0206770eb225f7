import GraphCore
import TensorCore

@Sendable func linearKernel(_ request: VulkanRequest) -> VulkanKernel? {
  guard let op = request.node.op as? Linear, request.inputs[0].shape.rank == 2 else { return nil }
  let (from, to) = (request.layout(0), request.result)
  let hasBias = request.inputs.count > 2
  var push = PushConstants()
  push.add(from.quads, to.quads)
  push.add(op.epilogue)
  let weights = VulkanWeights.ready(request, VulkanWeights.linear)
  let groupSize = request.device.subgroupSize
  // A workgroup has whole sums: both are powers of two.
  let parts = invocationsPerSum(quads: from.quads, most: groupSize) {
    (to.quads * $0 + groupSize - 1) / groupSize * to.images >= request.wantedSubgroups
  }
  let dispatch = Dispatch(
    shader: "linear", constants: [hasBias ? 1 : 0, Int32(parts)], push: push, groupSize: groupSize,
    groups: ((to.quads * parts + groupSize - 1) / groupSize, to.images),
    reads: [.input(0), weights.weight] + (hasBias ? [.input(2)] : [])
  ).finished(op.epilogue)
  return VulkanKernel(
    name: "linear", scratch: weights.scratch, dispatches: weights.dispatches + [dispatch])
}

@Sendable func elementwiseKernel(_ request: VulkanRequest) -> VulkanKernel? {
  let layout = request.result
  func kernel(
    _ name: String, _ operation: Int32, _ epilogue: Epilogue? = nil, _ epsilon: Float = 0, inputs: Int,
    imageTexels: Int = 0
  ) -> VulkanKernel {
    var push = PushConstants()
    push.add(layout.texels, layout.quads, layout.quadStride, layout.channels, imageTexels)
    push.add(epilogue)
    push.add(epsilon)
    return VulkanKernel(
      name: name,
      dispatches: [
        Dispatch.over(layout.texels, "elementwise", [operation], push, reads: (0..<inputs).map { .input($0) })
          .finished(epilogue)
      ])
  }
  switch request.node.op {
  // What is read is widened and what is stored is rounded by every shader.
  case is Cast, is Dropout: return kernel("cast", 0, inputs: 1)
  case let op as Activation:
    let isClamp = if case .clamp = op.function { true } else { !op.function.channelLimits.isEmpty }
    return kernel(isClamp ? "clamp" : "\(op.function)", 0, op.function, 0, inputs: 1)
  case let op as Binary where op.function == .add && request.inputs[0].widened == request.inputs[1].widened:
    return kernel("add", 1, op.epilogue, 0, inputs: 2)
  case let op as Binary
  where op.function == .multiply && request.inputs[0].widened == request.inputs[1].widened:
    return kernel("multiply", 3, inputs: 2)
  case let op as Binary
  where op.function == .multiply && request.inputs[0].widened == request.output.widened
    && request.output.shape.rank == 4:
    let (image, scale) = (request.output.shape, request.inputs[1].shape)
    guard scale.rank == 4, scale[1] == image[1], scale[2] == 1, scale[3] == 1, scale[0] == 1 || scale[0] == image[0]
    else { return nil }
    return kernel(
      "multiply-by-channel", 4, inputs: 2, imageTexels: scale[0] == 1 ? 0 : layout.quads * layout.pixels)
  case let op as BatchNorm: return kernel("batch-norm", 2, nil, op.epsilon, inputs: 5)
  default: return nil
  }
}

@Sendable func poolKernel(_ request: VulkanRequest) -> VulkanKernel? {
  let (from, to) = (request.layout(0), request.result)
  let inSize = Pair(from.height, from.width)
  let window: Window
  switch request.node.op {
  case let op as MaxPool2D: window = op.window
  case is GlobalAveragePool: window = Window(kernel: inSize)
  default: return nil
  }
  let isMean = request.node.op is GlobalAveragePool
  var push = PushConstants()
  push.add(from, to)
  push.add(inSize, Pair(to.height, to.width), window.kernel, window.stride, window.padding.before, window.dilation)
  push.add(to.quads, to.texels)
  return VulkanKernel(
    name: isMean ? "mean-pool" : "max-pool",
    dispatches: [.over(to.texels, "pool", [isMean ? 1 : 0], push, reads: [.input(0)])])
}

/// Whether an op makes one row of each image of a batch: the only change of shape that shaders know.
func flattens(_ op: any Op, _ input: TensorType, _ output: TensorType) -> Bool {
  op is Reshape && input.shape.rank >= 2 && output.shape.rank == 2 && output.shape[0] == input.shape[0]
}

/// Flattening of images of more than one pixel, and changes of format.
@Sendable func rearrangeKernel(_ request: VulkanRequest) -> VulkanKernel? {
  guard flattens(request.node.op, request.inputs[0], request.output) || request.node.op is ConvertFormat else {
    return nil
  }
  let (from, to) = (request.layout(0), request.result)
  var push = PushConstants()
  push.add(from, to)
  push.add(from.pixels, to.quads, to.pixels, to.channels, to.texels)
  let flattens = request.node.op is Reshape
  // A shader sees a dropped rank as channels: flattening reads pixels of quads, a new format the same quads elsewhere.
  return VulkanKernel(
    name: flattens ? "flatten" : "rearrange",
    dispatches: [.over(to.texels, "rearrange", [flattens ? 1 : 0], push, reads: [.input(0)])])
}
