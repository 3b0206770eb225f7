import GraphCore
import TensorCore

/// Computes transposed convolutions by ordinary ones: each place of a stride is a convolution with the taps that meet it, all of them
/// together one convolution of as many times the outputs, whose channels are then spread over the pixels.
public struct SplitTransposed: Pass {
  public let name = "split-transposed"
  public let summary = "compute transposed convolutions as convolutions whose channels are spread over pixels"
  public let off = "transposed convolutions run on the op's own loops"

  public init() {}

  public func run(on graph: inout Graph, in context: PassContext) throws -> Int {
    let rewrites = try graph.rewrite { graph in
      var rewrites = 0
      for handle in graph.handles {
        guard let split = Split(graph, handle) else { continue }
        try split.apply(to: &graph)
        rewrites += 1
      }
      return rewrites
    }
    if rewrites > 0 { graph.removeUnused() }
    return rewrites
  }
}

private struct Split {
  let handle: Rewriter.Handle
  let node: Node
  let op: ConvTranspose2D
  let weight: Tensor
  /// Taps of each place of a stride.
  let taps: Pair
  let output: Shape

  init?(_ graph: Rewriter, _ handle: Rewriter.Handle) {
    guard let node = graph[handle], let op = node.op as? ConvTranspose2D, op.groups == 1, op.dilation == 1,
      node.stored == nil, op.epilogue?.channelLimits.isEmpty != false, graph[node.outputs[0]].type.dtype == .float32,
      let weight = graph.data(of: node.inputs[1]), weight.type.dtype == .float32,
      node.inputs.count < 3
        || graph.data(of: node.inputs[2]) != nil && graph[node.inputs[2]].type.quantization == nil
    else { return nil }
    let (shape, output) = (weight.shape, graph[node.outputs[0]].type.shape)
    let taps = Pair((shape[2] + op.stride.h - 1) / op.stride.h, (shape[3] + op.stride.w - 1) / op.stride.w)
    let input = graph[node.inputs[0]].type.shape
    // What is cut out has to be there.
    guard op.padding.top + output[2] <= op.stride.h * (input[2] + taps.h - 1),
      op.padding.left + output[3] <= op.stride.w * (input[3] + taps.w - 1), output.count > 0
    else { return nil }
    (self.handle, self.node, self.op, self.weight, self.taps, self.output) = (handle, node, op, weight, taps, output)
  }

  func apply(to graph: inout Rewriter) throws {
    let (channels, outputs, height, width) = (weight.shape[0], weight.shape[1], weight.shape[2], weight.shape[3])
    let (stride, phases) = (op.stride, op.stride.h * op.stride.w)
    let source = try weight.converted(to: .nchw).values
    var values = [Float](repeating: 0, count: phases * outputs * channels * taps.h * taps.w)
    for c in 0..<channels {
      for o in 0..<outputs {
        for y in 0..<height {
          for x in 0..<width {
            // The further a tap is from its place, the earlier comes the pixel that it takes.
            let (phase, row) = (y % stride.h * stride.w + x % stride.w, taps.h - 1 - y / stride.h)
            let target = ((phase * outputs + o) * channels + c) * taps.h + row
            values[target * taps.w + taps.w - 1 - x / stride.w] = source[((c * outputs + o) * height + y) * width + x]
          }
        }
      }
    }
    var inputs = [node.inputs[0]]
    inputs.append(
      graph.addWeight(
        node.name + ".split", try Tensor([phases * outputs, channels, taps.h, taps.w], values), like: node.inputs[1]))
    if node.inputs.count > 2 {
      let bias = try graph.data(of: node.inputs[2])!.rounded(to: .float32).values
      let repeated = try Tensor([phases * outputs], (0..<phases).flatMap { _ in bias })
      inputs.append(graph.addWeight(node.name + ".split-bias", repeated, like: node.inputs[2]))
    }
    let place = handle
    let sums = try graph.insert(
      node.name + ".sums", Conv2D(padding: Padding(taps.h - 1, taps.w - 1), epilogue: op.epilogue), inputs,
      before: place, placed: node.placed)
    var result = try graph.insert(
      node.name + ".spread", DepthToSpace(block: stride, isBlockMajor: true), [sums], before: place,
      placed: node.placed)
    let shape = graph[result].type.shape
    let cuts = [(2, op.padding.top), (3, op.padding.left)].compactMap { axis, start in
      start == 0 && shape[axis] == output[axis]
        ? nil : Slice.Cut(axis: axis, start: start, end: start + output[axis])
    }
    if !cuts.isEmpty {
      result = try graph.insert(node.name, Slice(cuts), [result], before: place, placed: node.placed)
    }
    graph.remove(handle, readersRead: result)
  }
}
