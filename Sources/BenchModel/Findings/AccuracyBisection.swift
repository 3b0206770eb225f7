import BenchProtocol

/// Where a backend's numbers leave those of the reference: every node's output, held against the scalar oracle's.
public struct AccuracyBisection: Codable, Sendable {
  /// One node's output on the backend.
  public struct NodeOutput: Codable, Sendable {
    public var node: String
    public var op: String
    public var kernel: String
    /// Largest difference from the oracle over its largest value, of the op alone on the oracle's inputs.
    public var alone: Double
    /// The same in the whole network, where the differences of all ops before it have grown.
    public var inNetwork: Double
    public var hasNaN: Bool
    /// Zero everywhere, where the oracle is not.
    public var isZero: Bool
    /// Whether a second run gave the same bits.
    public var repeats: Bool

    package init(
      node: String, op: String, kernel: String, alone: Double, inNetwork: Double, hasNaN: Bool, isZero: Bool,
      repeats: Bool
    ) {
      (self.node, self.op, self.kernel, self.alone) = (node, op, kernel, alone)
      (self.inNetwork, self.hasNaN, self.isZero, self.repeats) = (inNetwork, hasNaN, isZero, repeats)
    }
  }

  public var configuration: Configuration
  public var device: String
  public var tolerance: Double
  /// In the order in which they run.
  public var nodes: [NodeOutput]
  /// How far the output of the graph as it is usually run is off: with every output kept, tensors share no memory.
  public var asRun: Double

  package init(configuration: Configuration, device: String, tolerance: Double, nodes: [NodeOutput], asRun: Double) {
    (self.configuration, self.device, self.tolerance, self.nodes) = (configuration, device, tolerance, nodes)
    self.asRun = asRun
  }
  /// How much more than an op alone its output in the network may be off: differences grow from op to op, in
  /// MobileNetV2 about twentyfold. A wrong one is off by everything.
  package static let growth = 50.0

  public func isWrong(_ node: NodeOutput) -> Bool {
    node.hasNaN || node.isZero || !node.repeats || isOff(node)
  }
  package func isOff(_ node: NodeOutput) -> Bool {
    node.alone > tolerance || node.inNetwork > Self.growth * tolerance
  }
  /// The first node whose output is not what it should be: its kernel is the one to look at.
  public var culprit: NodeOutput? { nodes.first(where: isWrong) }

  /// Whether only the network as it is usually run is wrong.
  public var sharesWrongly: Bool { culprit == nil && asRun > Self.growth * tolerance }
  public var isRight: Bool { culprit == nil && !sharesWrongly }
}
