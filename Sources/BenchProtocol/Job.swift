import struct RuntimeCore.MeasuredPartition

/// Version of the worker protocol that this program speaks; workers of version 1 are understood too.
public let protocolVersion = 2

/// What a worker reads from its standard input: one configuration and what to do with it.
public struct Job: Codable, Sendable, Equatable {
  public enum Action: String, Codable, Sendable, CaseIterable {
    /// Say hello and what memory an empty worker needs.
    case idle
    /// Time inferences.
    case latency
    /// Take every deterministic metric of one steady inference, and hand out the outputs.
    case inspect
    /// Infer once and hand out the outputs: what others are held against.
    case output
    /// Time the frozen control instead of a model.
    case control
    /// Time each node alone.
    case profile
    /// Time each different kernel in a session of its own.
    case kernels
    /// Say which tensors are alive when, and where.
    case memory
    /// Measure what nodes cost on each device, and plan by that where each runs.
    case partition
    /// Find out how fast the device's arithmetic and the machine's memory are at most.
    case peaks
  }

  public var `protocol` = protocolVersion
  public var action: Action
  public var configuration: Configuration?
  /// Iterations to time; nil for as many as fit `minSeconds`.
  public var iterations: Int?
  /// Seconds to time at least, where `iterations` is nil.
  public var minSeconds = 0.25
  /// Iterations before timing; nil for until they are steady.
  public var warmup: Int?
  /// Whether to wait for a line on standard input before the warm-up and before every slice of `iterations`, until it
  /// ends: two interleaved workers on the same processor meet the same disturbances.
  public var interleaved: Bool?
  /// Processors to stay on; nil for all that are allowed.
  public var processors: [Int]?
  /// Share by which every iteration is made longer, to try what a comparison would find.
  public var slowdown: Double?
  /// Where code, stack and heap begin moves every iteration by a per cent or two: drawn anew for every process, so that it
  /// averages out; nil for no shift at all.
  public var layout: Layout?
  /// Bytes that weights and tensors may take together; nil for what the machine has.
  public var maxMemory: Int?
  /// What a configuration with a measured partition runs: see action `partition`.
  public var partition: MeasuredPartition?
  /// What the runner wrote for engines that cannot build the model themselves, and of a model file for every engine.
  public var files: [String: String] = [:]

  /// Bytes by which a process lies elsewhere than another one.
  public struct Layout: Codable, Sendable, Equatable {
    /// Of the environment: moves the stack. The runner sees to it.
    public var stack: Int
    /// Taken from the heap and never given back. The worker sees to it.
    public var heap: Int
    public init(stack: Int, heap: Int) { (self.stack, self.heap) = (stack, heap) }
  }

  public init(_ action: Action, _ configuration: Configuration? = nil) {
    self.action = action
    self.configuration = configuration
  }
}
