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
  /// Computes reference outputs, and the control where an arm knows none.
  public var oracle: WorkerCommand
  public var rule = TimeRule()
  /// Seconds for the times.
  public var seconds = 120.0
  /// Share by which head is made slower, by cell: to try what would be found.
  public var slowdown: [Int: Double] = [:]
  /// Whether nodes are timed too, of the cells whose time changed or else of the first of each model.
  public var profilesNodes = true
  public var progress: @Sendable (Progress) -> Void = { _ in }

  public init(base: Arm, head: Arm, catalog: Catalog, cells: [CellResult], oracle: WorkerCommand) {
    (self.base, self.head, self.catalog, self.cells, self.oracle) = (base, head, catalog, cells, oracle)
  }

  public func run() async -> Comparison {
    let start = Date()
    let counted = await countAll()
    var comparison = await compareTimes(counted)
    if profilesNodes && !comparison.times.isEmpty && !Task.isCancelled { await profile(counted, &comparison) }
    comparison.elapsed = -start.timeIntervalSinceNow
    return comparison
  }

  /// Exact figures and outputs of every cell, in both versions.
  func countAll() async -> Counted { await Counted(base: count(base, "base"), head: count(head, "head")) }

  /// Cells that can be timed in both versions.
  func timed(_ counted: Counted) -> [Int] {
    cells.indices.filter { counted.base[$0].status == .measured && counted.head[$0].status == .measured }
  }

  func compareTimes(_ counted: Counted) async -> Comparison {
    let start = Date()
    let counters = MachineCounters.now()
    var environment = MachineDescription.current(
      processor: catalog.processorName, isa: catalog.availableInstructionSets.last ?? "unknown", git: head.version)
    var comparison = Comparison(
      baseVersion: base.version, headVersion: head.version,
      exact: ExactComparison(base: counted.base, head: counted.head, catalog: catalog))
    if let wrong = counted.head.first(where: { $0.status == .invalid }) {
      comparison.invalid = "\(wrong.cell.model): \(wrong.label): \(wrong.reason ?? "the output is wrong")"
    } else {
      let timed = timed(counted)
      if !timed.isEmpty { await time(timed, counted, &comparison) }
    }
    environment.noteDisturbances(since: counters)
    comparison.environment = environment
    comparison.elapsed = -start.timeIntervalSinceNow
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
    let controls = await controls()
    func runner(_ base: Workers, _ head: Workers, _ seconds: Double) -> PairedRunner {
      PairedRunner(
        base: base, head: head, controls: controls, cells: pairs, slowdown: slowdown, seconds: seconds
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
    guard !hits.isEmpty, comparison.invalid == nil, let base = base.other, let head = head.other else { return }
    for place in hits { progress(.checkingLayout(label: comparison.times[place].series.label)) }
    let second = runner(base, head, seconds)
    let again = await rule.decide(cells: hits.count) { requests in
      let fresh = await second.pairs(requests.map { (hits[$0.cell], $0.count) })
      return Dictionary(uniqueKeysWithValues: requests.map { ($0.cell, fresh[hits[$0.cell]] ?? []) })
    }
    for (place, decision) in zip(hits, again) {
      comparison.times[place].isLayout = decision.verdict == .pass
    }
  }

  /// The commands that run the control: each version's own, or one for both where a version knows none.
  private func controls() async -> (base: WorkerCommand, head: WorkerCommand) {
    for command in [base.workers.own, head.workers.own] {
      var job = Job(.control)
      job.iterations = 1
      let outcome = await command.run(job, timeout: 60)
      if outcome.failure != nil || outcome.turns.isEmpty { return (oracle, oracle) }
    }
    return (base.workers.own, head.workers.own)
  }

  // MARK: Nodes

  private static let profiledPairs = 6
  private static let profiledTurns = 6

  private func profile(_ counted: Counted, _ comparison: inout Comparison) async {
    let timed = timed(counted)
    let changed = comparison.times.indices.filter {
      !comparison.times[$0].isLayout && [.regression, .improvement].contains(comparison.times[$0].decision.verdict)
    }
    var places = Array(changed.prefix(3))
    if places.isEmpty {
      let models = comparison.times.map(\.series.model)
      places = models.uniqued().compactMap { models.firstIndex(of: $0) }
    }
    for place in places where counted.base[timed[place]].hello?.takesTurns == true {
      let cell = counted.head[timed[place]]
      progress(.profiling(label: "\(cell.cell.model): \(cell.label)"))
      comparison.nodes += await nodes(of: cell)
    }
  }

  /// Every node of a cell in both versions, joined by name, in head's order.
  private func nodes(of cell: CellResult) async -> [Comparison.NodeDifference] {
    var profiles: [(base: [[WorkerLine.NodeTime]], head: [[WorkerLine.NodeTime]])] = []
    for pair in 0..<Self.profiledPairs where !Task.isCancelled {
      var job = Job(.profile, cell.cell)
      (job.iterations, job.warmup) = (1, 3)
      job.processors = Processors.choose(cell.cell.threads)
      guard let a = try? base.workers.resolve(cell.cell, job), let b = try? head.workers.resolve(cell.cell, job) else {
        return []
      }
      let baseFirst = pair % 2 == 0
      let outcomes = await WorkerCommand.takeTurns(
        baseFirst ? a : b, baseFirst ? b : a, count: Self.profiledTurns, timeout: base.workers.timeout)
      let (left, right) = baseFirst ? (outcomes.first, outcomes.second) : (outcomes.second, outcomes.first)
      guard left.failure == nil, right.failure == nil, !left.profiles.isEmpty, !right.profiles.isEmpty else {
        return []
      }
      profiles.append((left.profiles, right.profiles))
    }
    guard let first = profiles.first else { return [] }
    var names = first.head[0].map(\.node)
    names += first.base[0].map(\.node).filter { !names.contains($0) }
    return names.map { name in
      func find(_ profile: [WorkerLine.NodeTime]) -> WorkerLine.NodeTime? { profile.first { $0.node == name } }
      let (a, b) = (find(first.base[0]), find(first.head[0]))
      var row = Comparison.NodeDifference(
        model: cell.cell.model, cell: cell.label, node: name, op: (b ?? a)?.op ?? "", baseKernel: a?.kernel,
        headKernel: b?.kernel)
      let times = profiles.map { profile in
        zip(profile.base, profile.head).map { (find($0).map { Double($0.time) }, find($1).map { Double($0.time) }) }
      }
      let (lefts, rights) = (times.flatMap { $0.compactMap(\.0) }, times.flatMap { $0.compactMap(\.1) })
      if !lefts.isEmpty { row.base = median(lefts) }
      if !rights.isEmpty { row.head = median(rights) }
      if a != nil && b != nil {
        row.ratio = MedianInterval(
          times.map { turns in exp(median(turns.compactMap { a, b in a.flatMap { a in b.map { log($0 / a) } } })) })
      }
      return row
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
