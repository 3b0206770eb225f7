/// What a machine can measure, how fast it is at most, how noisy it is, and what would make it better.
public struct Doctor: Codable, Sendable {
  /// Something that matters for measuring, as it is here.
  public struct Fact: Codable, Sendable {
    public var name: String
    public var value: String
    /// What to do about it; nil where it is as it should be.
    public var advice: String?

    package init(name: String, value: String, advice: String? = nil) {
      (self.name, self.value, self.advice) = (name, value, advice)
    }
  }

  /// Equal versions against each other.
  public struct Noise: Codable, Sendable {
    public var configuration: String
    public var pairs: Int
    public var seconds: Double
    /// Standard deviation of a pair's log ratio.
    public var sigma: Double
    /// The same of processes that run one after the other.
    public var sigmaInSequence: Double?
    /// Smallest slowdown that a gate of four configurations finds with 90 % power in five minutes.
    public var resolvable: Double?

    package init(
      configuration: String, pairs: Int, seconds: Double, sigma: Double, sigmaInSequence: Double? = nil,
      resolvable: Double? = nil
    ) {
      (self.configuration, self.pairs, self.seconds, self.sigma) = (configuration, pairs, seconds, sigma)
      (self.sigmaInSequence, self.resolvable) = (sigmaInSequence, resolvable)
    }
  }

  public var version: String
  public var environment: MachineDescription
  public var facts: [Fact]
  public var peaks: [Peaks] = []
  public var peaksUnavailable: String?
  public var noise: Noise?
  public var noiseUnavailable: String?

  package init(
    version: String, environment: MachineDescription, facts: [Fact], peaks: [Peaks] = [],
    peaksUnavailable: String? = nil, noise: Noise? = nil, noiseUnavailable: String? = nil
  ) {
    (self.version, self.environment, self.facts, self.peaks) = (version, environment, facts, peaks)
    (self.peaksUnavailable, self.noise, self.noiseUnavailable) = (peaksUnavailable, noise, noiseUnavailable)
  }

  /// Seconds of the gate that is asked about, and its configurations.
  package static let gateSeconds = 300.0
  package static let gateConfigurations = 4
}
