/// What int8 costs a model in accuracy, layer by layer.
public struct QuantizationSurvey: Codable, Sendable {
  public struct Layer: Codable, Sendable {
    public var node: String
    public var op: String
    public var macs: Int
    /// Decibels of the outputs' power over that of the difference, with this layer alone in int8; nil where there is no difference.
    public var signalToNoise: Double?

    package init(node: String, op: String, macs: Int, signalToNoise: Double?) {
      (self.node, self.op, self.macs, self.signalToNoise) = (node, op, macs, signalToNoise)
    }
  }

  /// The worst layers left in float32.
  public struct Kept: Codable, Sendable {
    public var nodes: [String]
    /// Share of the model's multiply-accumulates that they are.
    public var share: Double
    public var signalToNoise: Double?

    package init(nodes: [String], share: Double, signalToNoise: Double?) {
      (self.nodes, self.share, self.signalToNoise) = (nodes, share, signalToNoise)
    }
  }

  /// A signal to noise that was asked for, and what it takes.
  public struct Target: Codable, Sendable {
    /// Decibels.
    public var signalToNoise: Double
    public var kept: Kept
    /// Of all weights with those in float32.
    public var weightBytes: Int

    package init(signalToNoise: Double, kept: Kept, weightBytes: Int) {
      (self.signalToNoise, self.kept, self.weightBytes) = (signalToNoise, kept, weightBytes)
    }
  }

  public var model: String
  /// What ranges were learned from, and outputs compared on.
  public var samples: String
  /// Whether ranges were learned from them: otherwise each inference finds its own.
  public var learnsRanges: Bool
  public var choices: [String]
  public var weightBytes: Int
  public var quantizedWeightBytes: Int
  /// With all layers in int8.
  public var signalToNoise: Double?
  /// From the worst on.
  public var layers: [Layer]
  public var kept: [Kept]
  /// The fewest of the worst layers that have to stay in float32 for it; nil where none was asked for.
  public var target: Target?
  /// Nodes that stay in float32 in any case, by name.
  public var keptAnyway: [String]
  /// The file that was written.
  public var path: String?

  package init(
    model: String, samples: String, learnsRanges: Bool, choices: [String], weightBytes: Int, quantizedWeightBytes: Int,
    signalToNoise: Double?, layers: [Layer], kept: [Kept], target: Target?, keptAnyway: [String],
    path: String?
  ) {
    (self.model, self.samples, self.learnsRanges, self.choices) = (model, samples, learnsRanges, choices)
    (self.weightBytes, self.quantizedWeightBytes) = (weightBytes, quantizedWeightBytes)
    (self.signalToNoise, self.layers, self.kept, self.path) = (signalToNoise, layers, kept, path)
    (self.target, self.keptAnyway) = (target, keptAnyway)
  }
}
