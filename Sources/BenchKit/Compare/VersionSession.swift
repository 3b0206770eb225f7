import Foundation

/// Two programs measured side by side: counted first, then timed in pairs until the rule knows.
public struct VersionSession: Sendable {
  public struct Arm: Sendable {
    public var version: String
    public var workers: Workers
    /// The same version linked in another order; nil where there is none.
    public var reordered: WorkerCommand?

    public init(version: String, workers: Workers, reordered: WorkerCommand? = nil) {
      (self.version, self.workers, self.reordered) = (version, workers, reordered)
    }
  }

  struct Counted: Sendable {
    var base: [CellResult]
    var head: [CellResult]
  }

  public enum Progress: Sendable {
    case counting(label: String, done: Int, of: Int)
    case timing(PairedRunner.Progress)
    case checkingLayout(label: String)
    case profiling(label: String)
  }

  public var base: Arm
  public var head: Arm
  public var catalog: Catalog
  /// Cells to compare, not measured yet.
  public var cells: [CellResult]
  /// Computes reference outputs and runs the control.
  public var oracle: WorkerCommand
  public var rule = TimeRule()
  /// Seconds for the times.
  public var seconds = 120.0
  /// Share by which head is made slower, by cell: to try what would be found.
  public var slowdown: [Int: Double] = [:]
  /// Whether nodes are timed where no time changed, in the first cell of each model.
  public var profilesUnchanged = false
  public var progress: @Sendable (Progress) -> Void = { _ in }

  public init(base: Arm, head: Arm, catalog: Catalog, cells: [CellResult], oracle: WorkerCommand) {
    (self.base, self.head, self.catalog, self.cells, self.oracle) = (base, head, catalog, cells, oracle)
  }

  public func run() async -> Comparison {
    let watch = Stopwatch()
    let counted = await countAll()
    var comparison = await compareTimes(counted)
    if !comparison.times.isEmpty && !Task.isCancelled { await profile(counted, &comparison) }
    comparison.elapsed = watch.elapsed
    return comparison
  }

  /// Exact figures and outputs of every cell, in both versions.
  func countAll() async -> Counted { await Counted(base: count(base, "base"), head: count(head, "head")) }

  /// Cells that can be timed in both versions.
  func timed(_ counted: Counted) -> [Int] {
    cells.indices.filter { counted.base[$0].status == .measured && counted.head[$0].status == .measured }
  }

  func compareTimes(_ counted: Counted) async -> Comparison {
    let watch = Stopwatch()
    let counters = MachineCounters.now()
    var environment = MachineDescription.current(catalog, git: head.version)
    var comparison = Comparison(
      baseVersion: base.version, headVersion: head.version,
      exact: ExactComparison(base: counted.base, head: counted.head, catalog: catalog))
    comparison.invalid = counted.head.lazy.compactMap(\.wrongOutput).first
    if comparison.invalid == nil {
      let timed = timed(counted)
      if let stubborn = timed.first(where: { (slowdown[$0] ?? 0) > 0 && counted.head[$0].hello?.slowsDown != true }) {
        comparison.invalid =
          "\(counted.head[stubborn].label): this worker does not obey `slowdown`, so that nothing can be injected"
        return comparison
      }
      if !timed.isEmpty { await time(timed, counted, &comparison) }
    }
    environment.noteDisturbances(since: counters)
    comparison.environment = environment
    comparison.elapsed = watch.elapsed
    return comparison
  }

  private func count(_ arm: Arm, _ name: String) async -> [CellResult] {
    let counter = CellCounter(catalog: catalog, workers: arm.workers, oracle: oracle)
    var results: [CellResult] = []
    for (index, cell) in cells.enumerated() {
      progress(.counting(label: "\(name), \(cell.cell.model): \(cell.label)", done: index, of: cells.count))
      results.append(Task.isCancelled ? cell : await counter.count(cell))
    }
    return results
  }

  // MARK: Times

  private func time(_ timed: [Int], _ counted: Counted, _ comparison: inout Comparison) async {
    let pairs = timed.map { (base: counted.base[$0], head: counted.head[$0]) }
    let slowdown = Dictionary(
      uniqueKeysWithValues: timed.enumerated().compactMap { place, cell in self.slowdown[cell].map { (place, $0) } })
    func runner(_ base: Workers, _ head: Workers, _ seconds: Double) -> PairedRunner {
      PairedRunner(
        base: base, head: head, control: oracle, cells: pairs, slowdown: slowdown, seconds: seconds
      ) { progress(.timing($0)) }
    }
    let first = runner(base.workers, head.workers, seconds)
    let decisions = await rule.decide(cells: pairs.count) { await first.pairs($0) }
    let series = await first.series
    let alpha = rule.alarms / Double(min(pairs.count, rule.unscreened))
    comparison.times = zip(series, decisions).map { series, decision in
      var time = Comparison.CellTime(series: series, decision: decision)
      let shift = log((1 + rule.target) / (1 + rule.margin))
      time.pairsNeeded = SignTest.pairsNeeded(shift: shift, sigma: series.sigma, alpha: alpha)
      time.smallestDetectable = SignTest.smallestDetectable(
        pairs: series.pairs.count, sigma: series.sigma, margin: rule.margin, alpha: alpha)
      return time
    }
    let control = series[pairs.count]
    if series.contains(where: { !$0.tookTurns }) {
      comparison.notes.append(
        "one of the workers takes no turns, so processes ran one after the other: intervals are wider than need be")
    }
    let moved = TimeRule.Tests(rule, sharing: 1).verdict(control.differences)
    comparison.control = Comparison.CellTime(series: control, decision: .init())
    if let failure = control.failure {
      comparison.invalid = "the control could not be measured: \(failure)"
    } else if moved == .regression || moved == .improvement {
      comparison.invalid = String(
        format: "the control, which no version changes, moved by %+.1f %%", (control.ratio.value - 1) * 100)
    }

    let hits = comparison.times.indices.filter {
      [.regression, .improvement].contains(comparison.times[$0].decision.verdict)
    }
    // A true slowdown may pass here as it may in the first look: both together miss at most twice the rule's share.
    guard !hits.isEmpty, comparison.invalid == nil, let base = base.other, let head = head.other else { return }
    for place in hits { progress(.checkingLayout(label: comparison.times[place].series.label)) }
    let second = runner(base, head, seconds)
    let again = await rule.decide(cells: hits.count) { requests in
      let fresh = await second.pairs(requests.map { (hits[$0.cell], $0.count) })
      return Dictionary(uniqueKeysWithValues: requests.map { ($0.cell, fresh[hits[$0.cell]] ?? []) })
    }
    for (place, decision) in zip(hits, again) {
      // Gone, or turned round.
      comparison.times[place].isLayout =
        decision.verdict != .unresolved && decision.verdict != comparison.times[place].decision.verdict
    }
  }
}

extension VersionSession.Arm {
  /// The workers with the program that was linked in another order.
  fileprivate var other: Workers? {
    guard let reordered else { return nil }
    var workers = workers
    workers.own = reordered
    return workers
  }
}
