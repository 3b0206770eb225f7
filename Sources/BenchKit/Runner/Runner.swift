import Foundation
import ModelZoo
import RuntimeCore
import TensorCore

/// Schedules runs, pairs them and decides when a cell is known well enough. It computes no model: workers do.
public actor Runner {
  public enum Event: Sendable {
    case measuring(label: String, model: String, done: Int, of: Int, round: Int)
    /// A cell has its first figures, or will not have any.
    case row(CellResult)
    case round(Int, unresolved: Int, worst: Double)
    /// A complete result was there; it is kept under this name.
    case kept(URL)
  }

  private let suite: Suite
  private let workers: Workers
  private let counter: CellCounter
  private var place: ResultPlace
  private let report: @Sendable (Event) -> Void
  private var file: ResultFile
  private var isInterrupted = false
  private var current: (() -> Void)?
  private let watch = Stopwatch()
  private let elapsedBefore: Double
  private let counters = MachineCounters.now()
  private var generator = SystemRandomNumberGenerator()
  /// Seconds that counting a cell took: two inferences, and what comes before them.
  private var countingTimes: [Int: Double] = [:]
  /// Places of the cells by id, and of those that are held against each.
  private let places: [String: Int]
  private let heldAgainst: [Int: [Int]]
  /// The first cell of each graph and axes.
  private var graphs: [String: Int] = [:]
  /// Inferences before the first turn: what comes after is a median.
  private static let warmup = 5

  /// - Parameter resumes: whether the file is one that was cut short and goes on.
  public init(
    catalog: Catalog, suite: Suite, file: ResultFile, workers: Workers, resultURL: URL, resumes: Bool = false,
    report: @escaping @Sendable (Event) -> Void
  ) {
    self.suite = suite
    self.file = file
    self.workers = workers
    self.counter = CellCounter(catalog: catalog, workers: workers)
    self.place = ResultPlace(resultURL, isOwn: resumes)
    self.report = report
    self.elapsedBefore = file.elapsed
    let places = Dictionary(file.cells.enumerated().map { ($1.cell.id, $0) }) { first, _ in first }
    self.places = places
    var heldAgainst: [Int: [Int]] = [:]
    for (index, result) in file.cells.enumerated() {
      if let baseline = result.baseline.flatMap({ places[$0] }) { heldAgainst[baseline, default: []].append(index) }
    }
    self.heldAgainst = heldAgainst
  }

  /// Ends the running worker and makes `run` return with what there is.
  public func interrupt() {
    isInterrupted = true
    current?()
  }

  private var elapsed: Double { elapsedBefore + watch.elapsed }
  private var left: Double { suite.budget - elapsed }
  private var goesOn: Bool { !isInterrupted && !Task.isCancelled }

  /// Measures until every cell is known to the suite's precision or the time is spent.
  public func run() async throws -> ResultFile {
    for engine in file.cells.map(\.cell.engine).uniqued() where file.idleResident[engine] == nil && goesOn && left > 0 {
      var empty = Cell(model: "")
      empty.engine = engine
      let idle = await perform(empty, Job(.idle))
      file.idleResident[engine] = idle.figures.first { $0.name == "peak-resident" }?.value
    }
    try await measureFirst()
    var round = (file.cells.flatMap(\.visits).map(\.round).max() ?? 0) + 1
    while goesOn {
      let open = file.cells.indices.filter(needsRun)
      guard !open.isEmpty, round < suite.rounds, hasTime(for: open) else { break }
      let order = open.shuffled(using: &generator)
      for (position, index) in order.enumerated() where goesOn && hasTime(for: [index]) {
        progress(index, position, order.count, round)
        await time(index, round)
        try save()
      }
      summarise()
      try save()
      let widths = file.cells.filter { $0.status == .measured }.map {
        ($0.ratio ?? $0.latency)?.relativeHalfWidth ?? .infinity
      }
      report(.round(round, unresolved: widths.count { $0 > suite.precision }, worst: widths.max() ?? 0))
      round += 1
    }
    try finish()
    return file
  }

  /// Marks what was left out, and writes the result for good.
  private func finish() throws {
    for index in file.cells.indices where isMissing(index) {
      file.cells[index].status = .pending
      file.cells[index].reason = isInterrupted ? "interrupted" : "budget spent"
      if !isInterrupted { report(.row(file.cells[index])) }
    }
    summarise()
    let isWhole = !file.cells.contains { $0.status == .pending }
    file.ending = isInterrupted ? .interrupted : isWhole ? nil : .budget
    file.isComplete = file.ending == nil
    try save(isLast: true)
  }

  private func isMissing(_ index: Int) -> Bool {
    let result = file.cells[index]
    return result.status == .pending || result.status == .measured && result.visits.isEmpty
  }

  // MARK: First figures

  /// Exact figures, output and a first time of every cell, one after the other, so that a short budget leaves whole rows.
  private func measureFirst() async throws {
    for index in file.cells.indices {
      guard goesOn else { return }
      if let baseline = file.cells[index].baseline.flatMap({ places[$0] }) { try await count(baseline) }
      try await count(index)
      if needsRun(index), file.cells[index].visits.isEmpty, hasTime(for: [index]) {
        progress(index, index, file.cells.count, 0)
        await time(index, 0)
        try save()
      }
    }
    // A baseline beside which nothing could be timed.
    for index in file.cells.indices
    where goesOn && needsRun(index) && file.cells[index].visits.isEmpty && hasTime(for: [index]) {
      await time(index, 0)
    }
  }

  /// Counts a cell that is not counted yet; finds out what cannot run and what is the same.
  private func count(_ index: Int) async throws {
    guard file.cells[index].status == .pending, goesOn, left > 0 else { return noteGraph(index) }
    let pending = file.cells[index]
    progress(index, index, file.cells.count, -1)
    let watch = Stopwatch()
    let seconds = left
    let counted = await cancellable { [counter] in await counter.count(pending, within: seconds) }
    guard goesOn else { return }
    countingTimes[index] = watch.elapsed
    file.cells[index] = counted
    noteGraph(index)
    if ![.measured, .pending].contains(file.cells[index].status) { report(.row(file.cells[index])) }
    try save()
  }

  /// A cell that runs the graph of an earlier one, all else alike, is measured there.
  private func noteGraph(_ index: Int) {
    guard file.cells[index].status == .measured, let graph = file.cells[index].prepared?.graph else { return }
    var axes = file.cells[index].cell
    axes.passes = []
    let key = graph + axes.id
    if let other = graphs[key], other != index {
      file.cells[index].status = .same
      file.cells[index].sameAs = file.cells[other].cell.id
    } else {
      graphs[key] = index
    }
  }

  // MARK: Timing

  /// A fresh process of the cell; its baseline's takes turns with it, and is a run of the baseline too.
  private func time(_ index: Int, _ round: Int) async {
    let before = MachineCounters.now()
    let place = (round: round, at: elapsed)
    let seconds = max(left, 0) + 1
    guard let baseline = baseline(of: index) else {
      var job = suite.job
      job.cell = file.cells[index].cell
      let outcome = await perform(file.cells[index].cell, job, within: seconds)
      return note(outcome, index, place, since: before)
    }
    guard let (a, b, turns) = jobs(baseline, index) else { return }
    let baselineFirst = Bool.random(using: &generator)
    let timeout = min(workers.timeout, seconds)
    let outcomes = await cancellable {
      await WorkerCommand.pair(a, b, aFirst: baselineFirst, turns: turns, timeout: timeout)
    }
    guard goesOn else { return }
    if let reason = outcomes.a.failure, outcomes.b.failure == nil || outcomes.a.isLate {
      if outcomes.a.isLate && timeout < workers.timeout { return }
      return fail(index, "its baseline, beside it: \(reason)")
    }
    let differences = zip(outcomes.a.turns, outcomes.b.turns).map { log($1 / $0) }
    if outcomes.b.failure == nil { note(outcomes.a, baseline, place, since: before) }
    note(outcomes.b, index, place, ratio: differences.isEmpty ? nil : exp(median(differences)), since: before)
  }

  /// What the baseline and the cell are to do in one pair; nil, and the cell failed, where that cannot be found out.
  private func jobs(_ baseline: Int, _ index: Int) -> (
    a: WorkerCommand.Assignment, b: WorkerCommand.Assignment, turns: Turns?
  )? {
    let cells = [baseline, index].map { file.cells[$0] }
    let takeTurns = cells.allSatisfy { $0.hello?.takesTurns == true }
    var jobs = cells.map { result in
      var job = suite.job
      job.cell = result.cell
      return job
    }
    var turns: Turns?
    if takeTurns {
      if let iterations = suite.job.iterations {
        let count = (1...Turns.fewest).last { iterations % $0 == 0 }!
        turns = Turns(least: count)
        for side in jobs.indices { jobs[side].iterations = iterations / count }
      } else {
        // Turns of the same length, so that both have timed enough at about the same time.
        let paces = [baseline, index].map(pace)
        let turn = paces.map(\.turn).max()!
        turns = Turns(least: Turns.fewest(of: turn), seconds: suite.job.minTime)
        for (side, pace) in paces.enumerated() {
          jobs[side].iterations = pace.iterations(in: turn)
          jobs[side].warmup = suite.job.warmup ?? pace.warmup(within: suite.job.minTime / 2)
        }
      }
      // The same processors for both; where one needs fewer, some of them.
      let processors = Processors.choose(cells.map(\.cell.threads).max()!)
      for side in jobs.indices { jobs[side].processors = processors.map { Array($0.prefix(cells[side].cell.threads)) } }
    }
    do {
      let sides = try zip(cells, jobs).map { try workers.resolve($0.cell, $1) }
      return (sides[0], sides[1], turns)
    } catch {
      fail(index, "\(error)")
      return nil
    }
  }

  /// How fast a cell is: as it was when last timed, as its worker said when it counted, or at most as slow as that was.
  private func pace(of index: Int) -> Turns.Pace {
    let told = file.cells[index].figures["steady-latency"].map { $0 * 1e-9 }
    let latency =
      file.cells[index].visits.last.map { $0.median * 1e-9 } ?? told ?? countingTimes[index].map { $0 / 2 }
    return Turns.Pace(latency: max(latency ?? 0.1, 1e-9), warmup: Self.warmup)
  }

  private func note(
    _ outcome: JobOutcome, _ index: Int, _ place: (round: Int, at: Double), ratio: Double? = nil,
    since before: MachineCounters?
  ) {
    guard goesOn else { return }
    // The budget ended it, not what it did.
    if outcome.isLate && left < 0 { return }
    let samples = outcome.samples.filter { !$0.latencies.isEmpty }
    guard outcome.failure == nil, let prepared = outcome.prepared, var sample = samples.first else {
      return fail(index, outcome.failure ?? outcome.skipped ?? "the worker gave no samples")
    }
    sample.latencies = samples.flatMap(\.latencies)
    let timed = samples.reduce(0) { $0 + ($1.timed ?? $1.latencies.count) }
    sample.timed = timed > sample.latencies.count ? timed : nil
    var figures: [String: Double] = [:]
    for figure in outcome.figures { figures[figure.name] = figure.value }
    if let peak = figures["peak-resident"], let idle = file.idleResident[file.cells[index].cell.engine], peak >= idle {
      figures["peak-resident-above-idle"] = peak - idle
    }
    if let before, let now = MachineCounters.now() { figures["other-load"] = before.othersLoad(until: now) }
    file.cells[index].visits.append(
      Visit(
        round: place.round, at: place.at, prepared: prepared, sample: sample, figures: figures, ratio: ratio))
    summarise(index)
    if file.cells[index].visits.count == 1 { report(.row(file.cells[index])) }
  }

  private func fail(_ index: Int, _ reason: String) {
    file.cells[index].status = .failed
    file.cells[index].reason = reason
    report(.row(file.cells[index]))
  }

  private func needsRun(_ index: Int) -> Bool {
    let result = file.cells[index]
    guard result.status == .measured else { return false }
    // A baseline is timed beside the cells that are held against it.
    if heldAgainst[index]?.contains(where: { [.measured, .pending].contains(file.cells[$0].status) }) == true {
      return false
    }
    guard Double(result.visits.count) * cost(index) < suite.cellBudget else { return result.visits.isEmpty }
    // However narrow its interval: below that nothing is said of it.
    guard result.visits.count >= Estimate.runsForVerdict else { return true }
    return ((result.ratio ?? result.latency)?.relativeHalfWidth ?? .infinity) > suite.precision
  }

  /// The cell that ratios are taken against, where it and the cell are measured.
  private func baseline(of index: Int) -> Int? {
    guard let place = file.cells[index].baseline.flatMap({ places[$0] }), file.cells[place].status == .measured else {
      return nil
    }
    return place
  }

  /// What the last run of a cell took, its baseline's part included; before the first, what counting did.
  private func cost(_ index: Int) -> Double {
    [index, baseline(of: index)].compactMap { $0 }.reduce(0) {
      $0 + (file.cells[$1].visits.last.map(seconds) ?? countingTimes[$1] ?? 0.5)
    }
  }

  /// What a run cost, as far as it told.
  private func seconds(_ visit: Visit) -> Double {
    let (prepared, sample) = (visit.prepared, visit.sample)
    let before = [
      prepared.loadTime, prepared.optimiseTime, prepared.prepareTime, sample.firstInference, sample.warmupTime,
    ]
    let timed = sample.latencies.reduce(0) { $0 + Double($1) }
    let share = Double(sample.timed ?? sample.latencies.count) / Double(max(sample.latencies.count, 1))
    return (before.reduce(0) { $0 + Double($1) } + timed * share) * 1e-9 + 0.05
  }

  private func hasTime(for indices: [Int]) -> Bool {
    elapsed + (indices.map(cost).min() ?? 0) < suite.budget
  }

  // MARK: Estimates

  private func summarise() {
    // Baselines first: others' latencies are seen from theirs.
    for index in file.cells.indices where file.cells[index].baseline == nil { summarise(index) }
    for index in file.cells.indices where file.cells[index].baseline != nil { summarise(index) }
  }

  /// A cell's ratio is that of its pairs, and its latency the baseline's times that ratio: times, ratios and the order of
  /// both come from the same pairs and cannot contradict each other.
  private func summarise(_ index: Int) {
    let result = file.cells[index]
    guard !result.visits.isEmpty else { return }
    file.cells[index].latency = Estimate(geometric: result.visits.map(\.median))
    let ratios = result.visits.compactMap(\.ratio)
    guard !ratios.isEmpty else { return }
    let ratio = Estimate(geometric: ratios)
    file.cells[index].ratio = ratio
    if let base = result.baseline.flatMap({ places[$0] }), let latency = file.cells[base].latency {
      var seen = Estimate.product([(latency, 1), (ratio, 1)])
      seen.count = ratio.count
      file.cells[index].latency = seen
    }
  }

  // MARK: Workers

  private func progress(_ index: Int, _ done: Int, _ all: Int, _ round: Int) {
    report(
      .measuring(
        label: file.cells[index].label, model: file.cells[index].cell.model, done: done, of: all, round: round))
  }

  private func perform(_ cell: Cell, _ job: Job, within seconds: Double? = nil) async -> JobOutcome {
    let seconds = seconds ?? max(left, 0.01)
    return await cancellable { [workers] in await workers.perform(cell, job, within: seconds) }
  }

  /// The value of `body`, which `interrupt` cancels.
  private func cancellable<Value: Sendable>(_ body: @escaping @Sendable () async -> Value) async -> Value {
    let task = Task { await body() }
    current = { task.cancel() }
    defer { current = nil }
    return await task.value
  }

  private func save(isLast: Bool = false) throws {
    file.elapsed = elapsed
    file.environment.noteDisturbances(since: counters)
    if let kept = try place.save(file, isLast: isLast) { report(.kept(kept)) }
  }
}
