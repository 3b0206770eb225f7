import GraphCore
import TensorCore

/// Scales channels between two convolutions so that the weights of both, channel by channel, cover ranges of the same size: what one
/// scale for a whole weight loses least of (cross-layer equalisation, Nagel and others, arXiv 1906.04721).
///
/// Channel `i` of the first is divided by `sᵢ = √(r₁ᵢ / r₂ᵢ)` and the weights that read it are multiplied by it, where `r` are the
/// largest magnitudes; again, until nothing changes much. A clamp between the two is scaled with the channel, and so becomes one for
/// each.
public struct EqualizeChannels: Pass {
  public let name = "equalize-channels"
  public let summary = "scale channels between convolutions so that their weights cover ranges of the same size"
  public let off = "weights are as trained: one scale for all channels of a weight is coarse for some"

  public init() {}

  public func run(on graph: inout Graph, in context: PassContext) throws -> Int {
    try graph.rewrite { graph in
      let pairs = graph.handles.compactMap { Pair(graph, first: $0) }
      guard !pairs.isEmpty else { return 0 }
      for _ in 0..<20 {
        var largest: Float = 0
        for index in pairs.indices { largest = max(largest, try pairs[index].equalize(&graph)) }
        if largest < 1e-3 { break }
      }
      return pairs.count
    }
  }
}

/// Scales channels between a convolution and a depthwise one behind it so that the tensor between them has numbers of the same size in
/// all of them: what one scale for a whole tensor loses least of. Both weights have a scale for each channel, so that they lose nothing.
///
/// Channel `i` of the first is divided by `sᵢ = rᵢ / max r`, where `r` are the largest magnitudes on the samples, and the weights that
/// read it are multiplied by it. A clamp between the two is scaled with the channel.
public struct EqualizeTensors: Pass {
  public let name = "equalize-tensors"
  public let summary = "scale channels before depthwise convolutions so that they have numbers of the same size"
  public let off = "tensors are as the weights make them: one scale for all channels is coarse for some"

  public var observation: Observation

  public init(observing observation: Observation = Observation()) { self.observation = observation }

  public func run(on graph: inout Graph, in context: PassContext) throws -> Int {
    let pairs = try graph.rewrite { graph in
      graph.handles.compactMap { Pair(graph, first: $0) }.filter(\.isDepthwise)
    }
    guard !pairs.isEmpty else { return 0 }
    var largest = pairs.map { [Float](repeating: 0, count: $0.channels) }
    let samples = try observation.inputs(of: graph, in: context)
    try observation.values(pairs.map(\.between), of: graph, on: samples)() { index, tensor in
      let (numbers, channels) = (try tensor.converted(to: .nchw).values, largest[index].count)
      let pixels = tensor.shape.extents[2...].reduce(1, *)
      for (place, number) in numbers.enumerated() where number.isFinite {
        let channel = place / pixels % channels
        largest[index][channel] = max(largest[index][channel], number.magnitude)
      }
    }
    return try graph.rewrite { graph in
      for (pair, ranges) in zip(pairs, largest) {
        let most = ranges.max() ?? 0
        // Channels that were never seen to be much are not to grow without bound where they are.
        try pair.scale(&graph, by: ranges.map { $0 > 0 ? max($0 / most, 1 / 64) : 1 })
      }
      return pairs.count
    }
  }
}

/// Two convolutions, of which the second alone reads the first.
private struct Pair {
  private let first: Rewriter.Handle
  private let weights: (first: ValueID, bias: ValueID?, second: ValueID)
  /// What the first computes and the second reads.
  let between: ValueID
  let channels: Int
  /// Whether the second has a filter for each channel.
  let isDepthwise: Bool

  init?(_ graph: Rewriter, first handle: Rewriter.Handle) {
    guard let node = graph[handle], let conv = node.op as? Conv2D, node.inputs.count <= 3, node.stored == nil,
      conv.epilogue?.clamps(channels: 1)?.allSatisfy(\.isScalable) ?? (conv.epilogue == nil),
      let user = graph.onlyUser(of: node.outputs[0]), let next = graph[user]!.op as? Conv2D,
      graph[user]!.inputs[0] == node.outputs[0], graph[user]!.stored == nil,
      let bias = node.inputs.count > 2 ? .some(.some(node.inputs[2])) : Optional<ValueID?>.some(nil)
    else { return nil }
    let second = graph[user]!.inputs[1]
    channels = graph[node.inputs[1]].type.shape[0]
    isDepthwise = next.isDepthwise(graph[node.outputs[0]].type.shape, graph[second].type.shape)
    // A residual would have to be scaled too; weights that others read must stay as they are.
    guard channels > 0, isDepthwise || next.groups == 1,
      ([node.inputs[1], second] + [bias].compactMap { $0 }).allSatisfy({ id in
        graph.uses(of: id) == 1 && graph[id].type.quantization == nil && graph[id].type.dtype == .float32
          && graph.data(of: id)?.format == .nchw
      })
    else { return nil }
    (first, weights, between) = (handle, (node.inputs[1], bias, second), node.outputs[0])
  }

  /// Places of a weight of the second that multiply a channel.
  private func places(_ channel: Int, in shape: Shape) -> [Int] {
    let taps = shape.extents[2...].reduce(1, *)
    return isDepthwise
      ? Array(channel * taps..<(channel + 1) * taps)
      : (0..<shape[0]).flatMap { output in (0..<taps).map { (output * channels + channel) * taps + $0 } }
  }

  /// - Returns: how far the largest factor is from 1.
  func equalize(_ graph: inout Rewriter) throws -> Float {
    let (before, after) = (graph.data(of: weights.first)!.values, graph.data(of: weights.second)!.values)
    let shape = graph[weights.second].type.shape
    let own = before.count / channels
    var factors = [Float](repeating: 1, count: channels)
    for channel in 0..<channels {
      let own = channel * own..<(channel + 1) * own
      let r1 = before[own].reduce(0) { max($0, $1.magnitude) }
      let r2 = places(channel, in: shape).reduce(0) { max($0, after[$1].magnitude) }
      // Dead channels stay as they are; no channel is scaled to where roundings would matter.
      guard r1 > 1e-8, r2 > 1e-8 else { continue }
      let factor = min(max((r1 / r2).squareRoot(), 1e-4), 1e4)
      guard factor.isFinite else { continue }
      factors[channel] = factor
    }
    try scale(&graph, by: factors)
    return factors.reduce(0) { max($0, ($1 - 1).magnitude) }
  }

  /// Divides what the first computes by a factor for each channel, and makes the second expect that.
  func scale(_ graph: inout Rewriter, by factors: [Float]) throws {
    var (before, after) = (graph.data(of: weights.first)!.values, graph.data(of: weights.second)!.values)
    let shape = graph[weights.second].type.shape
    let own = before.count / channels
    for (channel, factor) in factors.enumerated() {
      for place in channel * own..<(channel + 1) * own { before[place] /= factor }
      for place in places(channel, in: shape) { after[place] *= factor }
    }
    graph.setData(of: weights.first, to: try Tensor(graph[weights.first].type.shape, before))
    graph.setData(of: weights.second, to: try Tensor(shape, after))
    if let bias = weights.bias {
      let values = zip(graph.data(of: bias)!.values, factors).map { $0 / $1 }
      graph.setData(of: bias, to: try Tensor([channels], values))
    }
    if var op = graph[first]!.op as? Conv2D, let clamps = op.epilogue?.clamps(channels: channels) {
      let scaled = zip(clamps, factors).map { Clamp(min: $0.min / $1, max: $0.max / $1) }
      op.epilogue = scaled.allSatisfy { $0 == scaled[0] } ? .clamp(scaled[0]) : .clampChannels(scaled)
      graph.update(first) { $0.op = op }
    }
  }
}

extension Clamp {
  /// Whether a positive factor may be taken out of what it holds.
  fileprivate var isScalable: Bool { !min.isNaN && !max.isNaN }
}
