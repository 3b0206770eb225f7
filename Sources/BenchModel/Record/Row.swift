import BenchProtocol
import BenchStatistics
import Foundation

public enum RowStatus: String, Codable, Sendable, CaseIterable {
  case pending
  case measured
  /// Cannot run here; the reason says why.
  case unavailable
  case failed
  /// The output is wrong, so no time is shown.
  case invalid
  /// There is nothing to hold the output against, so no time is shown.
  case unchecked
  /// Runs the same code as another row; measured there.
  case same
}

/// A configuration of an experiment, and all that was found out about it.
public struct Row: Sendable {
  public let configuration: Configuration
  /// The configuration's: what rows are joined by.
  public let id: String
  public var label: String
  public var status = RowStatus.pending
  public var reason: String?
  /// Id of the row that stands for this one.
  public var sameAs: String?
  /// Id of the row that ratios are taken against; nil for that row itself.
  public var baseline: String?
  /// Whether the report concludes on it.
  public var isHeadline = true
  /// What throws doubt on its times, each once, in sentences.
  public var notes: [String] = []
  public var prepared: WorkerLine.Prepared?
  public var hello: WorkerLine.Hello?
  /// Deterministic ones of an inspection.
  public var metrics: [String: Double] = [:]
  public var unavailableMetrics: [String: String] = [:]
  public var accuracy: Accuracy?
  public var outputDigest: String?
  /// Of the reference output that the accuracy is taken against.
  public var expectedDigest: String?
  /// Where that comes from: an engine with its version, or a file; nil for Pacer's oracle.
  public var expectedFrom: String?
  public var runs: [Run] = []
  /// Of a record that keeps no latencies: the 5th, 25th, 50th, 75th and 95th percentile of all of them.
  public var quantilesNs: [Double]?
  /// Of a record that keeps no readings of single runs: their medians, and the iterations they timed.
  public var medians: [String: Double] = [:]
  package var timedInAll: Int?
  /// Made of the runs by ``Record``.
  public var latency: Estimate?
  public var ratio: Estimate?

  public init(configuration: Configuration, label: String) {
    (self.configuration, self.label, id) = (configuration, label, configuration.id)
  }

  /// A plan's configurations, labelled together.
  package static func planned(
    _ plan: [PlannedConfiguration], _ catalog: Catalog, passes: [String]? = nil
  ) -> [Row] {
    let labels = Labels.of(
      plan.map(\.configuration), catalog.axes, passes: passes ?? catalog.passes.map(\.name)
    ) { name in catalog.models.first { $0.name == name }?.inputShape }
    var rows = zip(plan, labels).map { Row(configuration: $0.configuration, label: $1) }
    let hasHeadlines = plan.contains { $0.headline == true }
    for (index, planned) in plan.enumerated() {
      rows[index].baseline = planned.baseline.map { rows[$0].id }
      rows[index].isHeadline = !hasHeadlines || planned.headline == true
    }
    return rows
  }

  /// The configuration's choice on an axis.
  public subscript<Value>(_ axis: Axis<Value>) -> Value { configuration[axis] }

  /// What is wrong with its output; nil where nothing is known to be.
  public var wrongOutput: String? {
    status == .invalid ? "\(configuration.model): \(label): \(reason ?? "the output is wrong")" : nil
  }

  /// Time over the baseline's: exactly 1 for the baseline itself; nil where there is none. What has no output, such as the
  /// null backend's, is nobody's baseline.
  package var relativeTime: Estimate? { baseline == nil && accuracy != nil ? .one : ratio }

  /// Whether the times of both are relative to the same baseline.
  package func hasBaseline(of other: Row) -> Bool { (baseline ?? id) == (other.baseline ?? other.id) }

  package mutating func add(notes more: [String]) {
    for note in more where !notes.contains(note) { notes.append(note) }
  }

  /// Median over the runs of what a probe read in each; nil where none did.
  public func medianOfRuns(_ name: String) -> Double? {
    let values = runs.compactMap { $0.metrics[name] }
    return values.isEmpty ? medians[name] : median(values)
  }

  /// Iterations that were timed.
  public var timed: Int { timedInAll ?? runs.reduce(0) { $0 + $1.timed } }

  /// All latencies of all runs, in nanoseconds; empty where the record keeps none.
  public var latenciesNs: [Double] { runs.flatMap { $0.slicesNs.flatMap { $0.map(Double.init) } } }
}

/// One fresh process that timed a configuration.
public struct Run: Sendable, Equatable {
  /// Unlike that of every other run of the record.
  public var number: Int
  /// Number of the run that was interleaved with this one; nil where none was.
  public var partner: Int?
  public var round: Int
  /// Seconds since the record began.
  public var at: Double
  /// Latencies, slice by slice; empty where the record keeps none.
  public var slicesNs: [[Int]]
  /// The median of each slice; empty where the record is older than slices.
  public var sliceMediansNs: [Double]
  /// The median of the slices' medians.
  public var medianNs: Double
  /// Iterations that were timed.
  public var timed: Int
  /// What probes read.
  public var metrics: [String: Double]
  /// Time over that of the baseline's run beside it: from their slices. Nil for the baseline itself.
  public var ratio: Double?

  package init(
    number: Int, partner: Int?, round: Int, at: Double, slicesNs: [[Int]] = [], sliceMediansNs: [Double],
    medianNs: Double? = nil, timed: Int, metrics: [String: Double], ratio: Double? = nil
  ) {
    (self.number, self.partner, self.round, self.at) = (number, partner, round, at)
    (self.slicesNs, self.sliceMediansNs, self.timed) = (slicesNs, sliceMediansNs, timed)
    (self.metrics, self.ratio, self.medianNs) = (metrics, ratio, medianNs ?? median(sliceMediansNs))
  }

  /// Nanoseconds of all timed iterations, as far as their latencies were kept.
  public var timedNs: Double {
    let (kept, sum) = slicesNs.reduce((0, 0.0)) { ($0.0 + $1.count, $0.1 + $1.reduce(0) { $0 + Double($1) }) }
    return kept > 0 ? sum * Double(max(timed, kept)) / Double(kept) : medianNs * Double(timed)
  }

  /// The ratio of two interleaved runs, from the medians of their slices.
  package static func ratio(of slices: [Double], to others: [Double]) -> Double? {
    slices.isEmpty || others.isEmpty ? nil : exp(interleavedLogRatio(base: others, head: slices))
  }
}

/// How far an output is from the reference.
public struct Accuracy: Codable, Sendable, Equatable {
  public var absolute: Double
  /// Largest difference over the largest reference value.
  public var relative: Double
  public var cosine: Double
  public var top1: Bool
  /// How many of the reference's five best are among the output's five best.
  public var top5: Int

  /// What a runtime must keep of the largest value. Another engine's float32 is not held to Pacer's care.
  ///
  /// Of fp16: MobileNetV2 with seeded weights magnifies roundings twentyfold, and is off by 1.4e-2 to 1.6e-2 where values are stored
  /// in 16 bits, by 2.3e-2 to 2.8e-2 where they are multiplied so too, at 224×224; about twice that is allowed of any network. (ResNet18
  /// is off by 6e-4.)
  ///
  /// Of int8: each layer rounds by 1/255/√12 of a range that is some eight deviations wide, a hundredth of a deviation; those of fifty
  /// layers and of their weights add up to a tenth, and the worst of a thousand outputs is off by three times that, where the largest is
  /// as many deviations from 0. MobileNetV2 with seeded weights was measured at 0.12, with 7 bits at twice that.
  /// - Parameter isQuantised: whether the model itself rounds to such integers: another order of additions rounds some to the next.
  package static func tolerance(for configuration: Configuration, isQuantised: Bool = false) -> Double {
    switch isQuantised ? .int8 : configuration[Axes.precision] {
    case .fp32: configuration[Axes.engine] == "pacer" ? 1e-4 : 1e-3
    case .fp16: 3e-2
    case .fp16Arithmetic: 6e-2
    case .int8: 0.3
    }
  }

  /// Of several outputs the worst of each number; nil where one has none.
  package init?(worstOf outputs: [Accuracy?]) {
    guard var worst = outputs.first ?? nil else { return nil }
    for output in outputs {
      guard let output else { return nil }
      worst.absolute = max(worst.absolute, output.absolute)
      worst.relative = max(worst.relative, output.relative)
      worst.cosine = min(worst.cosine, output.cosine)
      worst.top1 = worst.top1 && output.top1
      worst.top5 = min(worst.top5, output.top5)
    }
    self = worst
  }

  /// nil where either has a NaN or their lengths differ.
  public init?(_ output: [Float], reference: [Float]) {
    guard output.count == reference.count else { return nil }
    // A detector that finds nothing, like the reference.
    if output.isEmpty {
      (absolute, relative, cosine, top1, top5) = (0, 0, 1, true, 5)
      return
    }
    var (largest, difference, dot, a2, b2) = (0.0, 0.0, 0.0, 0.0, 0.0)
    for (a, b) in zip(output, reference) {
      let (a, b) = (Double(a), Double(b))
      guard a.isFinite, b.isFinite else { return nil }
      difference = max(difference, abs(a - b))
      largest = max(largest, abs(b))
      dot += a * b
      a2 += a * a
      b2 += b * b
    }
    absolute = difference
    relative = largest > 0 ? difference / largest : difference
    cosine = a2 > 0 && b2 > 0 ? dot / (a2.squareRoot() * b2.squareRoot()) : (a2 == b2 ? 1 : 0)
    func best(_ values: [Float]) -> [Int] {
      Array(values.indices.sorted { (-values[$0], $0) < (-values[$1], $1) }.prefix(5))
    }
    let (ours, theirs) = (best(output), best(reference))
    top1 = ours[0] == theirs[0]
    top5 = Set(ours).intersection(theirs).count
  }
}
