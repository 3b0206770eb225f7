/// A figure of a cell: what it is called, how it is printed, and which way is better.
public struct Metric: Sendable {
  public enum Kind: String, Sendable { case exact, noisy }
  public enum Unit: String, Sendable { case nanoseconds, bytes, count, ratio }

  public var name: String
  public var summary: String
  public var unit: Unit
  public var kind: Kind
  public var lowerIsBetter: Bool
  /// Whether another compiler or C library may give another value for the same code.
  public var dependsOnToolchain: Bool
  /// Share by which two values of the same work may differ.
  public var band: Double
  /// The value in a measured cell; nil where it was not measured.
  public var value: @Sendable (CellResult) -> Double?

  public init(
    _ name: String, _ summary: String, _ unit: Unit, _ kind: Kind, lowerIsBetter: Bool = true,
    dependsOnToolchain: Bool = false, band: Double = 0,
    value: @escaping @Sendable (CellResult) -> Double?
  ) {
    self.name = name
    self.summary = summary
    self.unit = unit
    self.kind = kind
    self.lowerIsBetter = lowerIsBetter
    self.dependsOnToolchain = dependsOnToolchain
    self.band = band
    self.value = value
  }

  /// A figure that the worker gives while it counts, by its own name.
  static func figure(
    _ name: String, _ summary: String, _ unit: Unit, _ kind: Kind, dependsOnToolchain: Bool = false, band: Double = 0
  ) -> Metric {
    Metric(name, summary, unit, kind, dependsOnToolchain: dependsOnToolchain, band: band) { $0.figures[name] }
  }

  /// Whether two values are of different work.
  public func differs(_ a: Double, _ b: Double) -> Bool { abs(a - b) > band * abs(a) }
}

public let standardMetrics: [Metric] = [
  Metric("latency", "median over fresh processes of one inference's wall time", .nanoseconds, .noisy) {
    $0.latency?.value
  },
  Metric("load", "building the graph and making or reading its weights", .nanoseconds, .noisy) {
    $0.medianOfVisits { Double($0.prepared.loadTime) }
  },
  Metric("optimise", "running the passes", .nanoseconds, .noisy) {
    $0.medianOfVisits { Double($0.prepared.optimiseTime) }
  },
  Metric("prepare", "choosing kernels and allocating a session", .nanoseconds, .noisy) {
    $0.medianOfVisits { Double($0.prepared.prepareTime) }
  },
  Metric("first-inference", "the first inference of a process", .nanoseconds, .noisy) {
    $0.medianOfVisits { Double($0.sample.firstInference) }
  },
  Metric("cpu-time", "user and system time per inference, all threads", .nanoseconds, .noisy) {
    $0.medianOfVisits { $0.figures["cpu-time"] }
  },
  Metric("minor-faults", "minor page faults per inference", .count, .noisy) {
    $0.medianOfVisits { $0.figures["minor-faults"] }
  },
  Metric("peak-resident", "peak resident set above that of an empty worker", .bytes, .noisy) {
    $0.medianOfVisits { $0.figures["peak-resident-above-idle"] }
  },
  .figure(
    "heap-allocations", "calls of malloc and its kin in one steady inference, whole process", .count, .exact,
    dependsOnToolchain: true),
  .figure(
    "heap-bytes", "bytes asked of malloc and its kin in one steady inference", .bytes, .exact, dependsOnToolchain: true),
  .figure("tensor-allocations", "allocator calls in one steady inference", .count, .exact),
  .figure("tensor-bytes", "bytes asked of the allocator in one steady inference", .bytes, .exact),
  .figure(
    "tensor-peak-bytes", "most bytes of tensors and working memory in use at once", .bytes, .exact),
  .figure("cache-misses", "requests of one steady inference that a cache sent to the system", .count, .exact),
  .figure(
    "steady-faults", "minor page faults per inference, in the best of a few windows of inferences", .count, .noisy),
  .figure("arena-bytes", "the planned block", .bytes, .exact),
  .figure("device-upload", "a GPU's own time for bringing inputs into its layout", .nanoseconds, .noisy),
  .figure("device-compute", "a GPU's own time for all nodes", .nanoseconds, .noisy),
  .figure("device-download", "a GPU's own time for bringing outputs to the host", .nanoseconds, .noisy),
  .figure("device-submits", "submissions to a GPU's queue for one inference", .count, .exact),
  .figure("device-dispatches", "calls of shaders for one inference", .count, .exact),
  .figure("device-barriers", "barriers between them", .count, .exact),
  .figure("device-upload-bytes", "bytes brought to the GPU for one inference", .bytes, .exact),
  .figure("device-download-bytes", "bytes brought back", .bytes, .exact),
  .figure("device-memory", "memory on the GPU: constants, tensors, working memory", .bytes, .exact),
  Metric("weight-bytes", "weights as they lie in memory after the passes", .bytes, .exact) {
    $0.prepared?.weightBytes.map(Double.init)
  },
  Metric("nodes", "nodes of the optimised graph", .count, .exact) { $0.prepared?.nodes.map(Double.init) },
  Metric("macs", "multiply-accumulates of one inference", .count, .exact) { $0.prepared?.macs.map(Double.init) },
  Metric("error", "largest difference from the reference output, over its largest value", .ratio, .exact) {
    $0.accuracy?.relative
  },
  .figure(
    "instructions", "instructions of one inference, counted by callgrind", .count, .exact, dependsOnToolchain: true,
    band: 0.001),
]
