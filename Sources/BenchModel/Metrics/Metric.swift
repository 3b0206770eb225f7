import BenchProtocol

/// Something that is measured of a configuration: what it is called and counted in, which way is better, and whether it is
/// the same in every run. A probe in the worker reads it; what stands here reads it from a record.
public struct Metric: Sendable {
  public enum Kind: String, Sendable, Codable {
    /// The same in every run of the same code: compared exactly.
    case deterministic
    /// Different from run to run: compared in pairs.
    case sampled
  }

  public enum Direction: String, Sendable, Codable { case lowerIsBetter, higherIsBetter }

  public var name: String
  public var summary: String
  public var unit: Unit
  public var kind: Kind
  public var direction: Direction
  /// Heading of its column in the main table; nil where it has none there.
  public var column: String?
  /// Whether another compiler or C library may give another value for the same code.
  public var dependsOnToolchain: Bool
  /// Share by which two values of the same work may differ.
  public var tolerance: Double
  /// The value of a measured row; nil where it was not measured.
  public var value: @Sendable (Row) -> Double?

  public init(
    _ name: String, _ summary: String, _ unit: Unit, _ kind: Kind, direction: Direction = .lowerIsBetter,
    column: String? = nil, dependsOnToolchain: Bool = false, tolerance: Double = 0,
    value: @escaping @Sendable (Row) -> Double?
  ) {
    (self.name, self.summary, self.unit, self.kind, self.direction) = (name, summary, unit, kind, direction)
    (self.column, self.dependsOnToolchain, self.tolerance) = (column, dependsOnToolchain, tolerance)
    self.value = value
  }

  /// A metric that a probe reads by its own name: once in an inspection, or in every run, of which this is the median.
  public static func reading(
    _ name: String, _ summary: String, _ unit: Unit, _ kind: Kind, direction: Direction = .lowerIsBetter,
    column: String? = nil, dependsOnToolchain: Bool = false, tolerance: Double = 0
  ) -> Metric {
    Metric(
      name, summary, unit, kind, direction: direction, column: column, dependsOnToolchain: dependsOnToolchain,
      tolerance: tolerance
    ) { $0.metrics[name] ?? $0.medianOfRuns(name) }
  }

  /// Whether two values are of different work.
  public func differs(_ a: Double, _ b: Double) -> Bool { abs(a - b) > tolerance * abs(a) }

  /// Whether the first of two values is better.
  public func isBetter(_ value: Double, than other: Double) -> Bool {
    direction == .lowerIsBetter ? value < other : value > other
  }
}

/// Nanoseconds of one iteration, which everything else here is about.
public let latencyMetric = Metric(
  "latency", "median over fresh processes of one inference's wall time", .nanoseconds, .sampled
) { $0.latency?.value }

public let standardMetrics: [Metric] = [
  latencyMetric,
  .reading("load", "building the graph and making or reading its weights", .nanoseconds, .sampled),
  .reading("optimise", "running the passes", .nanoseconds, .sampled),
  .reading("prepare", "choosing kernels and allocating a session", .nanoseconds, .sampled),
  .reading("first-inference", "the first inference of a process", .nanoseconds, .sampled),
  .reading("cpu-time", "user and system time per inference, all threads", .nanoseconds, .sampled),
  .reading("minor-faults", "minor page faults per inference", .count, .sampled),
  .reading(
    "energy", "energy per inference of the whole machine, or of its processor packages where those have counters",
    .joules, .sampled),
  .reading("temperature", "the hottest thermal zone after the last inference", .celsius, .sampled),
  .reading(
    "frequency", "mean clock of the processors that may be used, after inferences", .megahertz, .sampled,
    direction: .higherIsBetter),
  .reading(
    "voluntary-switches", "times a thread of the process waited for something, per inference", .count, .sampled),
  .reading(
    "involuntary-switches", "times a thread of the process was stopped for another, per inference", .count, .sampled),
  .reading(
    "throttled", "times a processor or its package was slowed down by its heat during a run's inferences", .count,
    .sampled),
  .reading(
    "heap-allocations", "calls of malloc and its kin in one steady inference, whole process", .count, .deterministic,
    column: "mallocs", dependsOnToolchain: true),
  .reading(
    "heap-bytes", "bytes asked of malloc and its kin in one steady inference", .bytes, .deterministic,
    dependsOnToolchain: true),
  .reading(
    "tensor-allocations", "allocator calls in one steady inference", .count, .deterministic, column: "tensors"),
  .reading("tensor-bytes", "bytes asked of the allocator in one steady inference", .bytes, .deterministic),
  .reading("tensor-peak-bytes", "peak live bytes of tensors and working memory", .bytes, .deterministic),
  .reading("cache-misses", "requests of one steady inference that a cache sent to the system", .count, .deterministic),
  .reading("peak-resident", "peak resident set above that of an empty worker", .bytes, .sampled, column: "peak"),
  .reading(
    "huge-pages", "bytes of the process on pages of 2 MiB", .bytes, .sampled, direction: .higherIsBetter),
  .reading(
    "steady-faults", "minor page faults per inference, in the best of a few windows of inferences", .count, .sampled),
  .reading("arena-bytes", "the planned block", .bytes, .deterministic),
  .reading("device-upload", "a GPU's own time for bringing inputs into its layout", .nanoseconds, .sampled),
  .reading("device-compute", "a GPU's own time for all nodes", .nanoseconds, .sampled),
  .reading("device-download", "a GPU's own time for bringing outputs to the host", .nanoseconds, .sampled),
  .reading("device-submits", "submissions to a GPU's queue for one inference", .count, .deterministic),
  .reading("device-dispatches", "calls of shaders for one inference", .count, .deterministic),
  .reading("device-barriers", "barriers between them", .count, .deterministic),
  .reading("device-upload-bytes", "bytes brought to the GPU for one inference", .bytes, .deterministic),
  .reading("device-download-bytes", "bytes brought back", .bytes, .deterministic),
  .reading("device-memory", "memory on the GPU: constants, tensors, working memory", .bytes, .deterministic),
  Metric(
    "delegated-nodes", "nodes that run on the devices asked for, rather than on the processor behind them", .count,
    .deterministic, direction: .higherIsBetter
  ) { $0.prepared?.placement.map { Double($0.delegatedNodes) } },
  Metric("border-copies", "copies of tensors to and from devices for one inference", .count, .deterministic) {
    $0.prepared?.placement.map { Double($0.copies) }
  },
  Metric("border-bytes", "bytes of those copies", .bytes, .deterministic) {
    $0.prepared?.placement.map { Double($0.copiedBytes) }
  },
  Metric("planned-time", "what a measured partition expected an inference to take", .nanoseconds, .sampled) {
    $0.prepared?.placement?.expected.flatMap { $0.unmeasuredNodes == nil ? $0.totalNs : nil }
  },
  .reading("driver-models", "models that drivers are to execute for one inference", .count, .deterministic),
  .reading(
    "driver-fallbacks", "of those, computed by the processor since a driver failed, per inference", .count, .sampled),
  .reading(
    "driver-kept-bytes", "bytes not copied for one inference, since they stay in a driver's memory between two models",
    .bytes, .deterministic, direction: .higherIsBetter),
  .reading("driver-time", "time in drivers per inference, by their own clocks", .nanoseconds, .sampled),
  .reading("driver-wait", "of that, waiting for other executions on the same device", .nanoseconds, .sampled),
  .reading("driver-cpu-time", "processor time of drivers' processes per inference", .nanoseconds, .sampled),
  .reading("driver-hardware-time", "time on the devices of drivers per inference", .nanoseconds, .sampled),
  Metric("weight-bytes", "weights as they lie in memory after the passes", .bytes, .deterministic) {
    $0.prepared?.weightBytes.map(Double.init)
  },
  Metric("nodes", "nodes of the optimised graph", .count, .deterministic) { $0.prepared?.nodes.map(Double.init) },
  Metric("macs", "multiply-accumulates of one inference", .count, .deterministic) {
    $0.prepared?.macs.map(Double.init)
  },
  Metric(
    "error", "largest difference from the reference output, over its largest value", .ratio, .deterministic,
    column: "error"
  ) { $0.accuracy?.relative },
  .reading(
    "instructions", "instructions of one inference, counted by callgrind", .count, .deterministic,
    dependsOnToolchain: true, tolerance: 0.001),
]

extension WorkerLine.Prepared.Placement {
  /// Nodes that are neither on the processor's own code behind drivers, nor on what is behind that.
  var delegatedNodes: Int {
    nodes.filter { name, _ in Self.isDevice(name) }.reduce(0) { $0 + $1.value }
  }

  /// Whether a backend is a device, rather than the processor behind devices.
  static func isDevice(_ backend: String) -> Bool { backend != "cpu" && !backend.hasPrefix("nnapi-") }

  /// Where the nodes run, and why not elsewhere: the most first.
  var text: String {
    func list(_ counts: [String: Int], _ text: (String, Int) -> String) -> String {
      counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map(text).joined(separator: ", ")
    }
    return list(nodes) { "\($1) on \($0)" } + (reasons.isEmpty ? "" : " (" + list(reasons) { "\($1) × \($0)" } + ")")
  }
}
