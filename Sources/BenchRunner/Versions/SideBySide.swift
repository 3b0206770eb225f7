import BenchModel
import BenchProtocol
import BenchStatistics
import Foundation

/// Two programs measured side by side: inspected first, then timed in pairs until the rule knows.
public struct SideBySide: Sendable {
  public struct Side: Sendable {
    public var version: String
    public var workers: Workers

    public init(version: String, workers: Workers) { (self.version, self.workers) = (version, workers) }
  }

  package struct Inspected: Sendable {
    package var base: [Row]
    package var head: [Row]
  }

  public enum Progress: Sendable {
    case inspecting(label: String, done: Int, of: Int)
    case timing(PairedRunner.Progress)
    case profiling(label: String)
  }

  public var base: Side
  public var head: Side
  public var catalog: Catalog
  /// Configurations to compare, not measured yet.
  public var rows: [Row]
  /// Computes reference outputs and runs the control.
  public var oracle: WorkerCommand
  /// Sampled metrics that decide.
  public var metrics = [latencyMetric]
  public var rule = TimeRule()
  /// Seconds for the times.
  public var seconds = 120.0
  /// Share by which head is made slower, by configuration: to try what would be found.
  public var slowdown: [Int: Double] = [:]
  /// Whether nodes are timed where no time changed, in the first configuration of each model.
  public var profilesUnchanged = false
  public var progress: @Sendable (Progress) -> Void = { _ in }

  public init(base: Side, head: Side, catalog: Catalog, rows: [Row], oracle: WorkerCommand) {
    (self.base, self.head, self.catalog, self.rows, self.oracle) = (base, head, catalog, rows, oracle)
    base.workers.sharePartitions(with: &self.head.workers)
  }

  public func run() async -> Comparison {
    let watch = Stopwatch(head.workers.clock)
    let inspected = await inspectAll()
    var comparison = await compareTimes(inspected)
    if !comparison.times.isEmpty && !Task.isCancelled { await profile(inspected, &comparison) }
    comparison.elapsed = watch.elapsed
    return comparison
  }

  /// Deterministic metrics and outputs of every configuration, in both versions.
  package func inspectAll() async -> Inspected {
    await Inspected(base: inspect(base, "base"), head: inspect(head, "head"))
  }

  /// Rows that can be timed in both versions.
  package func timed(_ inspected: Inspected) -> [Int] {
    rows.indices.filter { inspected.base[$0].status == .measured && inspected.head[$0].status == .measured }
  }

  package func compareTimes(_ inspected: Inspected) async -> Comparison {
    let watch = Stopwatch(head.workers.clock)
    let counters = MachineCounters.now()
    var environment = MachineDescription.current(catalog, git: head.version)
    var comparison = Comparison(
      baseVersion: base.version, headVersion: head.version,
      exact: ExactComparison(base: inspected.base, head: inspected.head, catalog: catalog))
    comparison.invalid = inspected.head.lazy.compactMap(\.wrongOutput).first
    if comparison.invalid == nil {
      let timed = timed(inspected)
      if let stubborn = timed.first(where: {
        (slowdown[$0] ?? 0) > 0 && inspected.head[$0].hello?.obeysSlowdown != true
      }) {
        comparison.invalid =
          "\(inspected.head[stubborn].label): this worker does not obey `slowdown`, so that nothing can be injected"
        return comparison
      }
      if !timed.isEmpty { await time(timed, inspected, &comparison) }
    }
    environment.noteDisturbances(since: counters)
    comparison.environment = environment
    comparison.elapsed = watch.elapsed
    return comparison
  }

  private func inspect(_ side: Side, _ name: String) async -> [Row] {
    let inspector = Inspector(catalog: catalog, workers: side.workers, oracle: oracle)
    var results: [Row] = []
    for (index, row) in rows.enumerated() {
      progress(.inspecting(label: "\(name), \(row.configuration.model): \(row.label)", done: index, of: rows.count))
      results.append(Task.isCancelled ? row : await inspector.inspect(row))
    }
    return results
  }

  // MARK: Times

  private func time(_ timed: [Int], _ inspected: Inspected, _ comparison: inout Comparison) async {
    let slowdown = Dictionary(
      uniqueKeysWithValues: timed.enumerated().compactMap { place, row in self.slowdown[row].map { (place, $0) } })
    let runner = PairedRunner(
      base: base.workers, head: head.workers, control: oracle,
      rows: timed.map { (base: inspected.base[$0], head: inspected.head[$0]) }, slowdown: slowdown, seconds: seconds
    ) { progress(.timing($0)) }
    // A series for each metric of each row, in this order; all metrics of a row come from the same pairs.
    let measured = timed.indices.flatMap { row in metrics.map { (row: row, metric: $0) } }
    var taken = [Int](repeating: 0, count: measured.count)
    let decisions = await rule.decide(series: measured.count) { requests in
      var missing: [Int: Int] = [:]
      let before = await runner.series.map(\.pairs.count)
      for (index, count) in requests {
        let row = measured[index].row
        missing[row] = max(missing[row] ?? 0, taken[index] + count - before[row])
      }
      await runner.measure(missing.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
      let series = await runner.series
      var fresh: [Int: [Double]] = [:]
      for (index, count) in requests {
        let all = series[measured[index].row].differences(of: measured[index].metric)
        fresh[index] = Array(all.dropFirst(taken[index]).prefix(count))
        taken[index] += fresh[index]!.count
      }
      return fresh
    }
    let series = await runner.series
    comparison.seed = head.workers.chance.seed
    let alpha = rule.falsePositives / Double(min(measured.count, rule.unscreened))
    comparison.times = zip(measured, decisions).map { measured, decision in
      var time = Comparison.Timing(series[measured.row], measured.metric, decision)
      let shift = log((1 + rule.target) / (1 + rule.margin))
      time.pairsNeeded = SignTest.pairsNeeded(shift: shift, sigma: time.paired.sigma, alpha: alpha)
      time.smallestDetectable = SignTest.smallestDetectable(
        pairs: time.pairs.count, sigma: time.paired.sigma, margin: rule.margin, alpha: alpha)
      return time
    }
    if series.contains(where: { !$0.isInterleaved }) {
      comparison.notes.append(
        "one of the workers cannot be interleaved, so processes ran one after the other: intervals are wider than need be"
      )
    }
    judge(series[timed.count], &comparison)
  }

  /// Whether the control, which no version changes, stayed where it was.
  private func judge(_ control: PairSeries, _ comparison: inout Comparison) {
    let moved = TimeRule.Tests(rule, sharing: 1).verdict(control.differences)
    let timing = Comparison.Timing(control, latencyMetric, .init())
    comparison.control = timing
    if let failure = control.failure {
      comparison.invalid = "the control could not be measured: \(failure)"
    } else if moved == .regression || moved == .improvement {
      comparison.invalid = String(
        format: "the control, which no version changes, moved by %+.1f %%", (timing.paired.ratio.value - 1) * 100)
    }
  }
}
