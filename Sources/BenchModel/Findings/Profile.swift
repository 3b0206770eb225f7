import BenchProtocol
import BenchStatistics
import Foundation
import RuntimeCore

/// Where one configuration's time and bytes go, node by node, over several fresh processes.
public struct Profile: Codable, Sendable {
  public static let schema = "pacer-profile-1"

  public struct Node: Codable, Sendable {
    public var name: String
    public var op: String
    public var kernel: String
    /// Nanoseconds, over processes.
    public var time: Estimate
    public var macs: Int
    public var bytes: Int
    /// Calls of malloc and its kin; nil where they cannot be counted.
    public var allocations: Int?

    package init(
      name: String, op: String, kernel: String, time: Estimate, macs: Int, bytes: Int, allocations: Int? = nil
    ) {
      (self.name, self.op, self.kernel, self.time) = (name, op, kernel, time)
      (self.macs, self.bytes, self.allocations) = (macs, bytes, allocations)
    }

    /// What kind of work it is: the op, of convolutions which, and whether it multiplies integers.
    public var kind: String {
      (["depthwise", "pointwise"].first { kernel.hasPrefix($0) }.map { "\($0) \(op)" } ?? op)
        + (multipliesIntegers ? " int8" : "")
    }
    public var multipliesIntegers: Bool { Peaks.multipliesIntegers(kernel) }
    /// Operations a second; nil where it multiplies nothing.
    public var speed: Double? { macs > 0 ? 2 * Double(macs) / time.value * 1e9 : nil }
    /// Bytes a second, of those it has to move at least.
    public var bandwidth: Double { Double(bytes) / time.value * 1e9 }
    /// Operations a byte.
    public var intensity: Double { bytes > 0 ? 2 * Double(macs) / Double(bytes) : 0 }
  }

  public var schema = Profile.schema
  public var version: String
  public var command: String
  public var configuration: Configuration
  public var label: String
  public var environment: MachineDescription
  public var peaks: Peaks?
  /// Why there are none.
  public var peaksUnavailable: String?
  /// In the order in which they run.
  public var nodes: [Node] = []
  /// Nanoseconds of one inference as it is, and with the clock read after each node.
  public var plain: Estimate
  public var profiled: Estimate
  public var passes: [WorkerLine.Prepared.PassResult] = []
  public var trace: WorkerLine.Trace?
  /// Where nodes run; nil where all run on one backend.
  public var placement: WorkerLine.Prepared.Placement?

  package init(
    version: String, command: String, configuration: Configuration, label: String, environment: MachineDescription,
    peaks: Peaks? = nil, peaksUnavailable: String? = nil, nodes: [Node] = [], plain: Estimate, profiled: Estimate,
    passes: [WorkerLine.Prepared.PassResult] = [], trace: WorkerLine.Trace? = nil
  ) {
    (self.version, self.command, self.configuration, self.label) = (version, command, configuration, label)
    (self.environment, self.peaks, self.peaksUnavailable, self.nodes) = (environment, peaks, peaksUnavailable, nodes)
    (self.plain, self.profiled, self.passes, self.trace) = (plain, profiled, passes, trace)
  }

  /// Those for which anything runs.
  public var working: [Node] { nodes.filter { $0.kernel != "view" } }

  /// Sum of all nodes over the whole inference without profiling.
  public var coverage: Double { working.reduce(0) { $0 + $1.time.value } / plain.value }
  /// What profiling made an inference longer by.
  public var cost: Double { profiled.value / plain.value - 1 }

  public static func read(_ url: URL) throws -> Profile {
    let data = try readFile(url)
    do {
      let profile = try CheckedJSON.decode(Profile.self, from: data)
      try require(profile.schema == schema, "schema", profile.schema, "this version reads \(schema)")
      for (name, estimate) in profile.nodes.map({ ($0.name, $0.time) }) + [("plain", profile.plain)] {
        try require(estimate.value > 0, "time of \(name)", estimate.value, "a time is above 0")
      }
      for node in profile.nodes {
        for count in [node.macs, node.bytes, node.allocations ?? 0] {
          try require((0...1 << 44).contains(count), "counts of \(node.name)", count, "counts are from 0 to 2⁴⁴")
        }
      }
      try require(profile.nodes.count <= 100_000, "nodes", profile.nodes.count, "at most 100,000")
      return profile
    } catch {
      throw UserError("\(url.path) is no profile of Pacer: \(error); `bench-suite profile MODEL` writes them")
    }
  }

  // MARK: By kind

  public struct Kind: Sendable {
    public var name: String
    public var nodes: Int
    public var time: Double
    public var macs: Int
    public var bytes: Int
    public var allocations: Int?
    public var multipliesIntegers: Bool
  }

  /// Kinds of work, the most time first.
  public var kinds: [Kind] {
    working.map(\.kind).uniqued().map { name in
      let all = working.filter { $0.kind == name }
      let counts = all.compactMap(\.allocations)
      return Kind(
        name: name, nodes: all.count, time: all.reduce(0) { $0 + $1.time.value }, macs: all.reduce(0) { $0 + $1.macs },
        bytes: all.reduce(0) { $0 + $1.bytes }, allocations: counts.count == all.count ? counts.reduce(0, +) : nil,
        multipliesIntegers: all[0].multipliesIntegers)
    }.sorted { $0.time > $1.time }
  }
}
