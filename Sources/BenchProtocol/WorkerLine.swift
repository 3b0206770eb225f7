import Foundation
import RuntimeCore
import TensorCore

/// One line that a worker writes. Each kind means one thing; times are nanoseconds.
public enum WorkerLine: Sendable, Equatable {
  case hello(Hello)
  case prepared(Prepared)
  /// An interleaved worker waits for a line now.
  case ready
  case warmed(Warmed)
  /// A slice of timed iterations.
  case sample(Sample)
  case profile([NodeTime])
  case trace(Trace)
  case memory(MemoryTimeline)
  case partition(MeasuredPartition)
  case metric(Reading)
  case output(Output)
  /// What throws doubt on the times of this configuration, in a sentence's words.
  case note(String)
  /// The configuration cannot run here, and why: a row, not an error.
  case skipped(reason: String)
  case failed(reason: String)

  public struct Hello: Codable, Sendable, Equatable {
    public var engine: String
    public var version: String
    public var `protocol`: Int
    public var isa: String?
    public var processor: String?
    /// Whether interleaved jobs are understood.
    public var interleaves: Bool?
    /// Whether a job's `slowdown` is obeyed.
    public var obeysSlowdown: Bool?
    /// Whether the engine was built without optimisation.
    public var isDebugBuild: Bool?

    public init(
      engine: String, version: String, protocol: Int = protocolVersion, isa: String? = nil, processor: String? = nil,
      interleaves: Bool? = nil, obeysSlowdown: Bool? = nil, isDebugBuild: Bool? = nil
    ) {
      (self.engine, self.version, self.protocol, self.isa) = (engine, version, `protocol`, isa)
      (self.processor, self.interleaves, self.obeysSlowdown) = (processor, interleaves, obeysSlowdown)
      self.isDebugBuild = isDebugBuild
    }
  }

  public struct Prepared: Codable, Sendable, Equatable {
    public struct PassResult: Codable, Sendable, Equatable {
      public var name: String
      public var rewrites: Int
      public init(name: String, rewrites: Int) { (self.name, self.rewrites) = (name, rewrites) }
    }
    public var loadNs: Int
    /// Nil for an engine that does not tell optimising from preparing.
    public var optimiseNs: Int?
    public var prepareNs: Int
    public var passes: [PassResult]?
    /// Digest of the optimised graph's text; configurations with the same one and the same other axes run the same code.
    public var graph: String?
    /// Digests of the model's weights and of its input, in an inspection.
    public var weights: String?
    public var input: String?
    public var nodes: Int?
    public var macs: Int?
    public var weightBytes: Int?
    public var originalWeightBytes: Int?
    /// Whether the model itself, before any pass, rounds numbers to integers: another order of additions rounds some to the next.
    public var isQuantised: Bool?
    /// Kernel name to number of nodes.
    public var kernels: [String: Int]?
    public var device: String?
    /// Where the nodes run; nil where all run on the backend that was asked for.
    public var placement: Placement?

    public struct Placement: Codable, Sendable, Equatable {
      /// Backend name to number of nodes.
      public var nodes: [String: Int]
      /// Why nodes do not run on a backend that is preferred, to number of nodes.
      public var reasons: [String: Int]
      /// Copies of tensors between backends in one inference, and their bytes.
      public var copies: Int
      public var copiedBytes: Int
      /// Runs of nodes on one backend, one after the other.
      public var segments: Int?
      /// Of a measured partition, what it was expected to cost, and what NNAPI's own choice would by the same times.
      public var expected: MeasuredPartition.Cost?
      public var unmeasured: MeasuredPartition.Cost?
      public init(nodes: [String: Int], reasons: [String: Int], copies: Int, copiedBytes: Int) {
        (self.nodes, self.reasons, self.copies, self.copiedBytes) = (nodes, reasons, copies, copiedBytes)
      }
    }

    public init(loadNs: Int, optimiseNs: Int? = nil, prepareNs: Int) {
      (self.loadNs, self.optimiseNs, self.prepareNs) = (loadNs, optimiseNs, prepareNs)
    }
  }

  /// What came before the first timed iteration.
  public struct Warmed: Codable, Sendable, Equatable {
    public var firstInferenceNs: Int
    /// Iterations after the first.
    public var iterations: Int
    public var timeNs: Int
    /// Whether the last iterations agreed with those before.
    public var steady: Bool

    public init(firstInferenceNs: Int, iterations: Int, timeNs: Int, steady: Bool) {
      (self.firstInferenceNs, self.iterations, self.timeNs) = (firstInferenceNs, iterations, timeNs)
      self.steady = steady
    }
  }

  public struct Sample: Codable, Sendable, Equatable {
    public var latenciesNs: [Int]
    /// Iterations that were timed, where only some of their latencies are kept.
    public var timed: Int?

    public init(latenciesNs: [Int], timed: Int? = nil) { (self.latenciesNs, self.timed) = (latenciesNs, timed) }
  }

  /// One node of a profile.
  public struct NodeTime: Codable, Sendable, Equatable {
    public var node: String
    public var op: String
    public var kernel: String
    /// Median over the iterations.
    public var timeNs: Int
    /// Nodes of the model that run the same kernel on the same shapes, where only one of them is timed.
    public var count: Int?
    /// Their shapes.
    public var shapes: String?
    /// Multiply-accumulates, and bytes read and written at least.
    public var macs: Int?
    public var bytes: Int?
    /// Calls of malloc and its kin.
    public var allocations: Int?

    public init(node: String, op: String, kernel: String, timeNs: Int) {
      (self.node, self.op, self.kernel, self.timeNs) = (node, op, kernel, timeNs)
    }
  }

  /// One inference in time.
  public struct Trace: Codable, Sendable, Equatable {
    public var spans: [TraceSpan]
    /// Bytes of tensors in use after each node; empty where the session does not tell.
    public var liveBytes: [Int]
    public init(spans: [TraceSpan], liveBytes: [Int]) { (self.spans, self.liveBytes) = (spans, liveBytes) }
  }

  /// What one metric read, or why it could not.
  public struct Reading: Codable, Sendable, Equatable {
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
  /// Every kind of line there is.
  package enum Kind: String, Codable, CaseIterable {
    case hello, prepared, ready, warmed, sample, profile, trace, memory, partition, metric, output, note, skipped,
      failed
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    switch try container.decode(Kind.self, forKey: .kind) {
    case .hello: self = .hello(try Hello(from: decoder))
    case .prepared: self = .prepared(try Prepared(from: decoder))
    case .ready: self = .ready
    case .warmed: self = .warmed(try Warmed(from: decoder))
    case .sample: self = .sample(try Sample(from: decoder))
    case .profile: self = .profile(try container.decode([NodeTime].self, forKey: .nodes))
    case .trace: self = .trace(try Trace(from: decoder))
    case .memory: self = .memory(try MemoryTimeline(from: decoder))
    case .partition: self = .partition(try MeasuredPartition(from: decoder))
    case .metric: self = .metric(try Reading(from: decoder))
    case .output: self = .output(try Output(from: decoder))
    case .note: self = .note(try container.decode(String.self, forKey: .text))
    case .skipped: self = .skipped(reason: try container.decode(String.self, forKey: .reason))
    case .failed: self = .failed(reason: try container.decode(String.self, forKey: .reason))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    func put(_ kind: Kind, _ payload: (any Encodable)? = nil) throws {
      try container.encode(kind, forKey: .kind)
      try payload?.encode(to: encoder)
    }
    switch self {
    case .hello(let line): try put(.hello, line)
    case .prepared(let line): try put(.prepared, line)
    case .ready: try put(.ready)
    case .warmed(let line): try put(.warmed, line)
    case .sample(let line): try put(.sample, line)
    case .profile(let nodes):
      try put(.profile)
      try container.encode(nodes, forKey: .nodes)
    case .trace(let line): try put(.trace, line)
    case .memory(let line): try put(.memory, line)
    case .partition(let line): try put(.partition, line)
    case .metric(let line): try put(.metric, line)
    case .output(let line): try put(.output, line)
    case .note(let text):
      try put(.note)
      try container.encode(text, forKey: .text)
    case .skipped(let reason):
      try put(.skipped)
      try container.encode(reason, forKey: .reason)
    case .failed(let reason):
      try put(.failed)
      try container.encode(reason, forKey: .reason)
    }
  }
}
