import GraphCore
import TensorCore

/// Stores weights and most tensors as 8-bit integers that stand for numbers; sums of their products are exact.
///
/// Convolutions and linear layers are computed on integers: their weights become int8 around zero, their inputs uint8 over the range
/// that the tensor was seen to have, their biases int32. What lies between them is stored as such integers too, where it is of use to
/// them; what is computed of it is computed in float32. The graph's inputs and outputs stay what they are. A convolution that an addition
/// alone reads is not rounded in between, so that one that adds a residual gives the same. What is concatenated is rounded as the whole.
///
/// With ``RangeObserver/dynamic`` only linear and recurrent layers are put into integers, each by itself (``DynamicLinear``,
/// ``DynamicRecurrent``), and no samples are asked for.
public struct QuantizeInt8: Pass {
  public let name = "quantize-int8"
  public let summary = "store weights and what they multiply as 8-bit integers, and multiply those"
  public let off = "weights and tensors are 32-bit floats"
  public let tolerance = Pipeline.quantisedTolerance

  public var options: Options
  public var observation: Observation

  public struct Options: Sendable, Hashable {
    public var observer = RangeObserver.percentile
    /// Whether each output of a weight has a scale of its own.
    public var scalesChannels = true
    /// Bits of uint8, 7 or 8, that a range is spread over: with 7, as PyTorch's `reduce_range`, sums of two products fit into 16 bits.
    /// What lies outside of the range may take the eighth.
    public var activationBits = 8
    /// Bits of int8, 7 or 8, that weights are spread over: with 7, which are ±64 as ONNX Runtime's `reduce_range`, sums of two
    /// products fit into 16 bits whatever is multiplied, and AVX2 has an instruction for those. Of depthwise filters always 8.
    public var weightBits = 8
    /// Whether biases make good what rounding weights moves the mean of each output by: of trained MobileNetV2 that is most of what
    /// it loses (Nagel and others, arXiv 1906.04721, §4.2).
    public var correctsBias = true
    /// Nodes that stay in float32, by name.
    public var kept: Set<String> = []

    public init() {}
  }

  public init(_ options: Options = Options(), observing observation: Observation = Observation()) {
    (self.options, self.observation) = (options, observation)
  }

  public func run(on graph: inout Graph, in context: PassContext) throws -> Int {
    for name in options.kept.sorted() where !graph.nodes.contains(where: { $0.name == name }) {
      throw UnknownName(kind: "node to keep in float32", name: name, known: graph.nodes.map(\.name))
    }
    guard (7...8).contains(options.activationBits), (7...8).contains(options.weightBits) else {
      throw Unsupported(
        "\(name): 7 or 8 bits, not \(options.activationBits) of activations and \(options.weightBits) of weights")
    }
    guard options.observer != .dynamic else { return try quantizeDynamically(&graph) }
    let outputs = graph.outputs.map { graph[$0].type }
    let unfused = try graph.rewrite { try $0.separateFunctions(kept: options.kept) }
    let plan = try graph.rewrite { QuantizationPlan($0, options) }
    guard !plan.products.isEmpty else { return unfused }
    let samples = try observation.inputs(of: graph, in: context)
    let types = plan.types(try ranges(of: plan.stored, in: graph, on: samples), in: graph)
    let weights = try plan.weights(types, in: graph, options)
    let shifts = options.correctsBias ? try shifts(weights, in: graph, on: samples) : [:]
    let rewrites = try graph.rewrite { try plan.apply(to: &$0, types, weights, shifts: shifts) }
    graph.removeUnused()
    guard graph.outputs.map({ graph[$0].type }) == outputs else {
      throw GraphError("\(name) changed the types of the outputs of \(graph.name): this is a fault of the pass")
    }
    return unfused + rewrites
  }

  /// Linear and recurrent layers whose inputs become integers as they come.
  private func quantizeDynamically(_ graph: inout Graph) throws -> Int {
    guard options.activationBits == 8 else {
      throw Unsupported(
        "\(name): ranges that each inference finds are spread over 8 bits, not \(options.activationBits)")
    }
    let rewrites = try graph.rewrite { graph in
      var rewrites = 0
      // Of one that several layers read there is one again.
      var weights: [ValueID: ValueID] = [:]
      for handle in graph.handles {
        let node = graph[handle]!
        guard !options.kept.contains(node.name) else { continue }
        switch node.op {
        case let op as Linear
        where QuantizationPlan.hasKnownWeights(node, in: graph) && op.epilogue?.channelLimits.isEmpty != false:
          guard let weight = try graph.dynamicWeight(node, 1, options, &weights) else { continue }
          graph.update(handle) { ($0.op, $0.inputs[1]) = (DynamicLinear(epilogue: op.epilogue), weight) }
        case let op as Recurrent where node.stored == nil && graph.types(of: node.inputs).allSatisfy(\.isDynamicInput):
          guard let w = try graph.dynamicWeight(node, 1, options, &weights),
            let r = try graph.dynamicWeight(node, 2, options, &weights)
          else { continue }
          graph.update(handle) { changed in
            (changed.op, changed.inputs[1], changed.inputs[2]) = (DynamicRecurrent(op), w, r)
          }
        default: continue
        }
        rewrites += 1
      }
      return rewrites
    }
    graph.removeUnused()
    return rewrites
  }

  private var levels: Int { options.activationBits == 7 ? 127 : 255 }

  /// What values are stored as, from what they were on the samples.
  private func ranges(
    of values: [ValueID], in graph: Graph, on samples: [[Tensor]]
  ) throws -> [ValueID: StoredType] {
    let observed = try observation.values(values, of: graph, on: samples)
    func each(_ body: (Int, [Float]) throws -> Void) throws { try observed { try body($0, $1.values) } }
    var extremes = [ClosedRange<Float>?](repeating: nil, count: values.count)
    try each { index, numbers in
      var (low, high) = (extremes[index]?.lowerBound ?? .infinity, extremes[index]?.upperBound ?? -.infinity)
      for number in numbers where number.isFinite { (low, high) = (min(low, number), max(high, number)) }
      guard low <= high else {
        throw GraphError("\(graph[values[index]].name) has no finite number on a calibration sample")
      }
      extremes[index] = low...high
    }
    var histograms = extremes.map { Histogram($0!) }
    if options.observer != .minMax { try each { histograms[$0].add($1) } }
    return Dictionary(
      uniqueKeysWithValues: zip(values, histograms).map { id, histogram in
        (id, StoredType.covering(options.observer.range(of: histogram, levels: levels), levels: levels))
      })
  }

  /// What each output of the convolutions and linear layers is larger by with rounded weights, in the mean over samples and pixels: the
  /// layer itself, of the network's own numbers and of what was added to its weights by rounding them. To count roundings of the numbers
  /// too was measured to be no better.
  private func shifts(
    _ weights: [ValueID: IntegerWeights], in graph: Graph, on samples: [[Tensor]]
  ) throws -> [ValueID: [Float]] {
    var errors = graph
    var outputs: [(of: ValueID, mean: ValueID)] = []
    for node in graph.nodes {
      guard let output = node.outputs.first, let made = weights[output], var op = node.op as? any FusingOp,
        let exact = graph.data(of: node.inputs[1])
      else { continue }
      op.epilogue = nil
      let rounding = zip(try made.weight.widened().values, exact.values).map { $0 - $1 }
      let weight = errors.addConstant("\(node.name).rounding", try Tensor(exact.shape, rounding))
      var mean = try errors.addNode("\(node.name).error", op, [node.inputs[0], weight])
      // Of an image the mean of all pixels; of rows all of them.
      if errors[mean].type.shape.rank == 4 {
        mean = try errors.addNode("\(node.name).error.mean", GlobalAveragePool(), [mean])
      }
      outputs.append((output, mean))
    }
    guard !outputs.isEmpty else { return [:] }
    var sums = outputs.map { [Double](repeating: 0, count: weights[$0.of]!.weight.shape[0]) }
    var counts = sums
    try observation.values(outputs.map(\.mean), of: errors, on: samples)() { index, tensor in
      let numbers = try tensor.converted(to: .nchw).values
      let channels = sums[index].count
      // Ranges are of what is finite too.
      for (place, number) in numbers.enumerated() where number.isFinite {
        sums[index][place % channels] += Double(number)
        counts[index][place % channels] += 1
      }
    }
    return Dictionary(
      uniqueKeysWithValues: outputs.indices.map { index in
        (outputs[index].of, zip(sums[index], counts[index]).map { Float($0 / max($1, 1)) })
      })
  }
}

extension TensorType {
  /// Of a layer that is to find ranges by itself: float32, or the lengths of sequences.
  fileprivate var isDynamicInput: Bool {
    dtype == .float32 && quantization == nil && !isUpperBound || dtype == .int32 && quantization == nil
  }
}

extension Rewriter {
  /// A known weight of a layer, `[…, outputs, depth]`, as `[all outputs, depth]` of int8.
  /// - Returns: nil where it is not known before a run.
  fileprivate mutating func dynamicWeight(
    _ node: Node, _ input: Int, _ options: QuantizeInt8.Options, _ made: inout [ValueID: ValueID]
  ) throws -> ValueID? {
    let id = node.inputs[input]
    if let known = made[id] { return known }
    guard let weight = data(of: id), weight.format == .nchw, weight.shape.rank >= 2, weight.type.dtype == .float32
    else {
      return nil
    }
    let depth = weight.shape.extents.last!
    let matrix = try weight.reshaped(to: Shape([weight.shape.count / max(depth, 1), depth]))
    let integers = try IntegerWeights(
      node, matrix, bias: nil, input: Quantization(scale: 1, zeroPoint: 0), bits: options.weightBits,
      scalesChannels: options.scalesChannels)
    made[id] = integers.map { addWeight(self[id].name + ".int8", $0.weight, like: id) }
    return made[id]
  }
}

extension StoredType {
  /// uint8 whose first integers stand for a range, and for 0 exactly.
  static func covering(_ range: ClosedRange<Float>, levels: Int) -> StoredType {
    let (low, high) = (Double(min(range.lowerBound, 0)), Double(max(range.upperBound, 0)))
    let scale = Float((high - low) / Double(levels))
    // Nothing but zeros, or next to nothing.
    guard scale >= .leastNormalMagnitude, scale.isFinite else { return StoredType(.uint8, scale: 1) }
    let zero = (-low / Double(scale)).rounded(.toNearestOrEven)
    return StoredType(.uint8, scale: scale, zeroPoint: Int32(min(max(zero, 0), Double(levels))))
  }
}

extension Rewriter {
  /// Takes activations that are more than limits out of the convolutions and linear layers before them: of integers they are tables.
  fileprivate mutating func separateFunctions(kept: Set<String>) throws -> Int {
    var count = 0
    let order = Dictionary(uniqueKeysWithValues: handles.enumerated().map { ($1, $0) })
    for handle in handles {
      let node = self[handle]!
      guard node.op is Conv2D || node.op is Linear, var op = node.op as? any FusingOp, let function = op.epilogue,
        node.inputs.count <= 3, !kept.contains(node.name), node.stored == nil
      else { continue }
      switch function {
      case .clamp, .clampChannels: continue
      default: break
      }
      op.epilogue = nil
      let (output, isOutput) = (node.outputs[0], outputs.contains(node.outputs[0]))
      guard !isOutput else { continue }
      let readers = users(of: output)
      update(handle) { $0.op = op }
      let activated = try insert(
        node.name + ".activation", Activation(function), [output],
        before: readers.min { order[$0]! < order[$1]! }, placed: node.placed)
      for reader in readers { replaceUses(of: output, with: activated, in: reader) }
      count += 1
    }
    return count
  }
}
