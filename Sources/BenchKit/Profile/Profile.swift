import Foundation
import RuntimeCore

/// Where one cell's time and bytes go, node by node, over several fresh processes.
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

    /// What kind of work it is: the op, and of convolutions which.
    public var kind: String {
      ["depthwise", "pointwise"].first { kernel.hasPrefix($0) }.map { "\($0) \(op)" } ?? op
    }
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
  public var cell: Cell
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

  /// Those for which anything runs.
  public var working: [Node] { nodes.filter { $0.kernel != "view" } }

  /// Sum of all nodes over the whole inference without profiling.
  public var coverage: Double { working.reduce(0) { $0 + $1.time.value } / plain.value }
  /// What profiling made an inference longer by.
  public var cost: Double { profiled.value / plain.value - 1 }

  /// Profiles a cell in so many fresh processes.
  /// - Throws: ``UserError`` with the worker's reason where one of them fails.
  public static func measure(
    _ cell: Cell, label: String, workers: Workers, processes: Int, version: String, command: String,
    environment: MachineDescription, progress: (Int) -> Void
  ) async throws -> Profile {
    var outcomes: [JobOutcome] = []
    for process in 0..<processes {
      try Task.checkCancellation()
      progress(process)
      var job = Job(.profile, cell)
      job.minTime = 0.3
      job.processors = Processors.choose(cell.threads)
      let outcome = await workers.perform(cell, job)
      if let reason = outcome.failure ?? outcome.skipped { throw UserError("\(label) cannot be profiled: \(reason)") }
      outcomes.append(outcome)
    }
    func estimate(_ name: String) throws -> Estimate {
      let values = outcomes.compactMap { $0.figures.first { $0.name == name }?.value }
      guard values.count == outcomes.count else {
        throw UserError("the worker gives no \(name): it is another version")
      }
      guard values.allSatisfy({ $0 > 0 }) else { throw UserError("the worker gave a \(name) of 0 ns") }
      return Estimate(geometric: values)
    }
    var profile = Profile(
      version: version, command: command, cell: cell, label: label, environment: environment,
      plain: try estimate("plain-inference"), profiled: try estimate("profiled-inference"))
    let runs = outcomes.compactMap(\.profiles.first)
    guard let first = runs.first, !first.isEmpty else { throw UserError("the worker gave no profile") }
    profile.nodes = try first.map { node in
      let times = try WorkerLine.NodeTime.times(of: node.node, in: runs)
      return Node(
        name: node.node, op: node.op, kernel: node.kernel, time: Estimate(geometric: times), macs: node.macs ?? 0,
        bytes: node.bytes ?? 0, allocations: node.allocations)
    }
    profile.passes = outcomes[0].prepared?.passes ?? []
    profile.trace = outcomes[0].trace
    do {
      profile.peaks = try await Peaks.measure(
        workers, backend: cell.backend, isa: cell.isa, threads: cell.threads)
    } catch let error as UserError { profile.peaksUnavailable = error.description }
    return profile
  }

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
  }

  /// Kinds of work, the most time first.
  public var kinds: [Kind] {
    working.map(\.kind).uniqued().map { name in
      let all = working.filter { $0.kind == name }
      let counts = all.compactMap(\.allocations)
      return Kind(
        name: name, nodes: all.count, time: all.reduce(0) { $0 + $1.time.value }, macs: all.reduce(0) { $0 + $1.macs },
        bytes: all.reduce(0) { $0 + $1.bytes }, allocations: counts.count == all.count ? counts.reduce(0, +) : nil)
    }.sorted { $0.time > $1.time }
  }

  /// Two profiles, joined by node in the second's order.
  public static func difference(_ base: Profile, _ head: Profile) -> Document {
    var names = head.working.map(\.name)
    names += base.working.map(\.name).filter { !names.contains($0) }
    let rows = names.map { name in
      let (a, b) = (base.nodes.first { $0.name == name }, head.nodes.first { $0.name == name })
      var row = Comparison.NodeDifference(
        model: head.cell.model, cell: head.label, node: name, op: (b ?? a)?.op ?? "", baseKernel: a?.kernel,
        headKernel: b?.kernel)
      (row.base, row.head) = (a?.time.value, b?.time.value)
      if let a, let b, min(a.time.count, b.time.count) >= Estimate.runsForVerdict {
        row.ratio = MedianInterval(
          value: b.time.value / a.time.value, low: b.time.low / a.time.high, high: b.time.high / a.time.low,
          count: min(a.time.count, b.time.count))
      }
      return row
    }
    var document = Document("\(base.cell.model), \(base.label) → \(head.cell.model), \(head.label)")
    document.text(
      "\(Format.time(base.plain.value)) (\(base.version)) → \(Format.time(head.plain.value)) (\(head.version)).")
    document.note(
      "the two profiles are of different sessions, so that all nodes may have moved together with the machine; "
        + "`bench-suite compare` times the nodes of two versions in turns.")
    document.text("`~`: the intervals of the two have values in common.")
    document.table(Comparison.table(rows, base: "base", head: "head"))
    return document
  }
}
