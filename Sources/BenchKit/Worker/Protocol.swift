import Foundation
import RuntimeCore
import TensorCore

/// Version of the worker protocol. A runner and a worker of different versions do not understand each other.
public let protocolVersion = 1

/// What a worker reads from its standard input: one configuration and what to do with it.
public struct Job: Codable, Sendable {
  public enum Action: String, Codable, Sendable {
    /// Say hello and what memory an empty worker needs.
    case idle
    /// Time inferences.
    case latency
    /// Count allocations and faults, and hand out the outputs.
    case counts
    /// Infer once and hand out the outputs: what others are held against.
    case output
    /// Time the frozen control instead of a cell.
    case control
    /// Time each node alone.
    case profile
    /// Time each different kernel in a session of its own.
    case kernels
    /// Say which tensors are alive when, and where.
    case memory
    /// Find out how fast the device's arithmetic and the machine's memory are at most.
    case peaks
  }

  public var `protocol` = protocolVersion
  public var action: Action
  public var cell: Cell?
  /// Inferences to time; nil for as many as fit `minTime`.
  public var iterations: Int?
  /// Seconds to time at least, where `iterations` is nil.
  public var minTime = 0.25
  /// Inferences before timing; nil for until they are steady.
  public var warmup: Int?
  /// Whether to wait for a line on standard input before every `iterations` inferences, until it ends: two workers that
  /// take turns on the same processor meet the same disturbances. The first turn is the warm-up.
  public var takesTurns: Bool?
  /// Processors to stay on; nil for all that are allowed.
  public var processors: [Int]?
  /// Share by which every inference is made longer, to try what a comparison would find.
  public var slowdown: Double?
  /// For engines that cannot build the model themselves: files the runner wrote.
  public var files: [String: String] = [:]

  public init(_ action: Action, _ cell: Cell? = nil) {
    self.action = action
    self.cell = cell
  }
}

/// One line a worker writes. Times are nanoseconds.
public enum WorkerLine: Sendable, Equatable {
  case hello(Hello)
  case prepared(Prepared)
  case sample(Sample)
  case profile([NodeTime])
  case trace(Trace)
  case memory(MemoryTimeline)
  case figure(Figure)
  case output(Output)
  /// What throws doubt on the times of this configuration, in a sentence's words.
  case note(String)
  /// The cell cannot run here, and why: a row, not an error.
  case skipped(reason: String)
  case failed(reason: String)

  public struct Hello: Codable, Sendable, Equatable {
    public var engine: String
    public var version: String
    public var `protocol`: Int
    public var isa: String?
    public var processor: String?
    /// Whether jobs with turns are understood.
    public var takesTurns: Bool?
    /// Whether a job's `slowdown` is obeyed.
    public var slowsDown: Bool?
    /// Whether the engine was built without optimisation.
    public var isDebugBuild: Bool?
  }

  public struct Prepared: Codable, Sendable, Equatable {
    public struct PassResult: Codable, Sendable, Equatable {
      public var name: String
      public var rewrites: Int
    }
    public var loadTime: Int
    public var optimiseTime: Int
    public var prepareTime: Int
    public var passes: [PassResult] = []
    /// Digest of the optimised graph's text; cells with the same one and the same other axes run the same code.
    public var graph: String?
    /// Digests of the model's weights and of its input, where outputs are counted.
    public var weights: String?
    public var input: String?
    public var nodes: Int?
    public var macs: Int?
    public var weightBytes: Int?
    public var originalWeightBytes: Int?
    /// Kernel name to number of nodes.
    public var kernels: [String: Int] = [:]
    public var device: String?
  }

  public struct Sample: Codable, Sendable, Equatable {
    public var firstInference: Int
    public var warmup: Int
    public var warmupTime: Int
    /// Whether the last warm-up inferences agreed with those before.
    public var steady: Bool
    public var latencies: [Int]
    /// Inferences that were timed, where only some of their latencies are kept.
    public var timed: Int?
  }

  /// One node of a profile.
  public struct NodeTime: Codable, Sendable, Equatable {
    public var node: String
    public var op: String
    public var kernel: String
    /// Median over the inferences.
    public var time: Int
    /// Nodes of the model that run the same kernel on the same shapes, where only one of them is timed.
    public var count: Int?
    /// Their shapes.
    public var shapes: String?
    /// Multiply-accumulates, and bytes read and written at least.
    public var macs: Int?
    public var bytes: Int?
    /// Calls of malloc and its kin.
    public var allocations: Int?
  }

  /// One inference in time.
  public struct Trace: Codable, Sendable, Equatable {
    public var spans: [TraceSpan]
    /// Bytes of tensors in use after each node; empty where the session does not tell.
    public var liveBytes: [Int]
  }

  public struct Figure: Codable, Sendable, Equatable {
    public var name: String
    public var value: Double?
    public var unavailable: String?
    public init(_ name: String, _ value: Double) { (self.name, self.value) = (name, value) }
    public init(_ name: String, unavailable: String) { (self.name, self.unavailable) = (name, unavailable) }
  }

  public struct Output: Codable, Sendable, Equatable {
    public var shape: Shape
    /// Little-endian float32 in base64: exact, and NaN and infinity need no words of their own.
    public var data: String

    public init(shape: Shape, values: [Float]) {
      self.shape = shape
      data = values.withUnsafeBytes { Data($0) }.base64EncodedString()
    }
    /// nil where the data is not base64 of as many floats as the shape says.
    public var values: [Float]? {
      guard let bytes = Data(base64Encoded: data), bytes.count % 4 == 0, let count = shape.elementCount,
        bytes.count / 4 == count
      else { return nil }
      return bytes.withUnsafeBytes { raw in
        (0..<count).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
      }
    }
  }
}

extension WorkerLine: Codable {
  private enum Key: String, CodingKey { case kind, reason, nodes, text }
  private enum Kind: String, Codable {
    case hello, prepared, sample, profile, trace, memory, figure, output, note, skipped, failed
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    switch try container.decode(Kind.self, forKey: .kind) {
    case .hello: self = .hello(try Hello(from: decoder))
    case .prepared: self = .prepared(try Prepared(from: decoder))
    case .sample: self = .sample(try Sample(from: decoder))
    case .profile: self = .profile(try container.decode([NodeTime].self, forKey: .nodes))
    case .trace: self = .trace(try Trace(from: decoder))
    case .memory: self = .memory(try MemoryTimeline(from: decoder))
    case .figure: self = .figure(try Figure(from: decoder))
    case .output: self = .output(try Output(from: decoder))
    case .note: self = .note(try container.decode(String.self, forKey: .text))
    case .skipped: self = .skipped(reason: try container.decode(String.self, forKey: .reason))
    case .failed: self = .failed(reason: try container.decode(String.self, forKey: .reason))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    func put(_ kind: Kind, _ payload: any Encodable) throws {
      try container.encode(kind, forKey: .kind)
      try payload.encode(to: encoder)
    }
    switch self {
    case .hello(let line): try put(.hello, line)
    case .prepared(let line): try put(.prepared, line)
    case .sample(let line): try put(.sample, line)
    case .profile(let nodes):
      try container.encode(Kind.profile, forKey: .kind)
      try container.encode(nodes, forKey: .nodes)
    case .trace(let line): try put(.trace, line)
    case .memory(let line): try put(.memory, line)
    case .figure(let line): try put(.figure, line)
    case .output(let line): try put(.output, line)
    case .note(let text):
      try container.encode(Kind.note, forKey: .kind)
      try container.encode(text, forKey: .text)
    case .skipped(let reason):
      try container.encode(Kind.skipped, forKey: .kind)
      try container.encode(reason, forKey: .reason)
    case .failed(let reason):
      try container.encode(Kind.failed, forKey: .kind)
      try container.encode(reason, forKey: .reason)
    }
  }
}
