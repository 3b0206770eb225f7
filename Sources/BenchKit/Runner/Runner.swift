import Foundation
import ModelZoo
import RuntimeCore
import TensorCore

/// Schedules visits, pairs them and decides when a cell is known well enough. It computes no model: workers do.
public actor Runner {
  public enum Event: Sendable {
    case measuring(label: String, model: String, done: Int, of: Int, round: Int)
    /// A cell has its first figures, or will not have any.
    case row(CellResult)
    case round(Int, unresolved: Int, worst: Double)
  }

  private let suite: Suite
  private let workers: Workers
  private let counter: CellCounter
  private let resultURL: URL
  private let report: @Sendable (Event) -> Void
  private var file: ResultFile
  private var isInterrupted = false
  private var current: (() -> Void)?
  private let start = Date()
  private let elapsedBefore: Double
  private let counters = MachineCounters.now()
  private var generator = SystemRandomNumberGenerator()

  public init(
    catalog: Catalog, suite: Suite, file: ResultFile, workers: Workers, resultURL: URL,
    report: @escaping @Sendable (Event) -> Void
  ) {
    self.suite = suite
    self.file = file
    self.workers = workers
    self.counter = CellCounter(catalog: catalog, workers: workers)
    self.resultURL = resultURL
    self.report = report
    self.elapsedBefore = file.elapsed
  }

  /// Ends the running worker and makes `run` return with what there is.
  public func interrupt() {
    isInterrupted = true
    current?()
  }

  private var elapsed: Double { -start.timeIntervalSinceNow }

  /// Measures until every cell is known to the suite's precision or the time is spent.
  public func run() async throws -> ResultFile {
    for engine in file.cells.map(\.cell.engine).uniqued() where file.idleResident[engine] == nil {
      var empty = Cell(model: "")
      empty.engine = engine
      let idle = await perform(empty, Job(.idle))
      file.idleResident[engine] = idle.figures.first { $0.name == "peak-resident" }?.value
    }
    try await countAll()
    try save()
    var round = (file.cells.flatMap(\.visits).map(\.round).max() ?? -1) + 1
    while !isInterrupted {
      let open = file.cells.indices.filter { needsVisit($0) }
      guard !open.isEmpty, round < suite.rounds, hasTime(for: open) else { break }
      let baselines = Set(open.compactMap { index in file.cells[index].baseline.flatMap { find($0, like: index) } })
      let order = interleave(Set(open).subtracting(baselines).shuffled(using: &generator), baselines)
      for (position, index) in order.enumerated() where !isInterrupted && hasTime(for: [index]) {
        report(
          .measuring(
            label: file.cells[index].label, model: file.cells[index].cell.model, done: position, of: order.count,
            round: round))
        await visit(index, round)
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
    summarise()
    file.isComplete = !isInterrupted
    try save()
    return file
  }

  /// Cells in the order given, with a visit of their baselines before the first, after the last and after every third:
  /// a ratio is taken against what the baseline needed just before and just after.
  private func interleave(_ cells: [Int], _ baselines: Set<Int>) -> [Int] {
    var order: [Int] = []
    var sinceBaseline: [Int: Int] = [:]
    for cell in cells {
      guard let baseline = file.cells[cell].baseline.flatMap({ find($0, like: cell) }) else {
        order.append(cell)
        continue
      }
      if sinceBaseline[baseline] == nil || sinceBaseline[baseline]! >= 3 {
        order.append(baseline)
        sinceBaseline[baseline] = 0
      }
      order.append(cell)
      sinceBaseline[baseline]! += 1
    }
    return order + baselines.sorted()
  }

  // MARK: Counting

  /// One visit of every cell for exact figures and outputs; finds out what cannot run and what is the same.
  private func countAll() async throws {
    var seen: [String: Int] = [:]
    for index in file.cells.indices where !isInterrupted {
      let result = file.cells[index]
      if result.status == .pending {
        report(
          .measuring(
            label: result.label, model: result.cell.model, done: index, of: file.cells.count, round: -1))
        await count(index)
        try save()
      }
      if file.cells[index].status == .measured, let graph = file.cells[index].prepared?.graph {
        var axes = file.cells[index].cell
        axes.passes = []
        let key = graph + axes.id
        if let other = seen[key] {
          file.cells[index].status = .same
          file.cells[index].sameAs = file.cells[other].label
        } else {
          seen[key] = index
        }
      }
      if file.cells[index].status != .measured { report(.row(file.cells[index])) }
    }
  }

  private func count(_ index: Int) async {
    let pending = file.cells[index]
    let counted = await cancellable { [counter] in await counter.count(pending) }
    if !isInterrupted { file.cells[index] = counted }
  }

  // MARK: Timing

  private func visit(_ index: Int, _ round: Int) async {
    let cell = file.cells[index].cell
    var job = suite.job
    job.cell = cell
    let at = elapsedBefore + elapsed
    let outcome = await perform(cell, job)
    guard !isInterrupted else { return }
    guard outcome.failure == nil, let prepared = outcome.prepared, let sample = outcome.samples.first,
      !sample.latencies.isEmpty
    else {
      file.cells[index].status = .failed
      file.cells[index].reason = outcome.failure ?? outcome.skipped ?? "the worker gave no samples"
      report(.row(file.cells[index]))
      return
    }
    var figures: [String: Double] = [:]
    for figure in outcome.figures { figures[figure.name] = figure.value }
    if let peak = figures["peak-resident"], let idle = file.idleResident[cell.engine] {
      figures["peak-resident-above-idle"] = peak - idle
    }
    file.cells[index].visits.append(
      Visit(round: round, at: at, prepared: prepared, sample: sample, figures: figures))
    summarise(index)
    if file.cells[index].visits.count == 1 { report(.row(file.cells[index])) }
  }

  private func needsVisit(_ index: Int) -> Bool {
    let result = file.cells[index]
    guard result.status == .measured else { return false }
    guard result.visits.count >= 3 else { return true }
    let spent = result.visits.reduce(0) { $0 + seconds($1) }
    guard spent < suite.cellBudget else { return false }
    return ((result.ratio ?? result.latency)?.relativeHalfWidth ?? .infinity) > suite.precision
  }

  /// What a visit cost, as far as it told.
  private func seconds(_ visit: Visit) -> Double {
    let inside =
      visit.prepared.loadTime + visit.prepared.optimiseTime + visit.prepared.prepareTime + visit.sample.firstInference
      + visit.sample.warmupTime + visit.sample.latencies.reduce(0, +)
    return Double(inside) * 1e-9 + 0.05
  }

  private func hasTime(for indices: [Int]) -> Bool {
    let shortest = indices.map { file.cells[$0].visits.last.map(seconds) ?? 0.5 }.min() ?? 0
    return elapsedBefore + elapsed + shortest < suite.budget
  }

  private func find(_ label: String, like index: Int) -> Int? {
    file.cells.firstIndex {
      $0.label == label && $0.cell.model == file.cells[index].cell.model && $0.status == .measured
    }
  }

  private func summarise() { for index in file.cells.indices { summarise(index) } }

  private func summarise(_ index: Int) {
    let result = file.cells[index]
    guard !result.visits.isEmpty else { return }
    file.cells[index].latency = Estimate(geometric: result.visits.map(\.median))
    guard let label = result.baseline, let other = find(label, like: index) else { return }
    let ratios = result.visits.compactMap { Self.ratio($0, to: file.cells[other].visits) }
    file.cells[index].ratio = ratios.isEmpty ? nil : Estimate(geometric: ratios)
  }

  /// A visit's median over what the baseline would have needed at that moment: between its visits of the same round
  /// before and after, interpolated on the logarithm.
  static func ratio(_ visit: Visit, to baselines: [Visit]) -> Double? {
    let same = baselines.filter { $0.round == visit.round }
    let before = same.last { $0.at <= visit.at }
    let after = same.first { $0.at > visit.at }
    guard let first = before ?? after, let second = after ?? before else { return nil }
    let span = second.at - first.at
    let share = span > 0 ? (visit.at - first.at) / span : 0
    return visit.median / exp(log(first.median) * (1 - share) + log(second.median) * share)
  }

  // MARK: Workers

  private func perform(_ cell: Cell, _ job: Job) async -> JobOutcome {
    await cancellable { [workers] in await workers.perform(cell, job) }
  }

  /// The value of `body`, which `interrupt` cancels.
  private func cancellable<Value: Sendable>(_ body: @escaping @Sendable () async -> Value) async -> Value {
    let task = Task { await body() }
    current = { task.cancel() }
    defer { current = nil }
    return await task.value
  }

  private func save() throws {
    file.elapsed = elapsedBefore + elapsed
    file.environment.noteDisturbances(since: counters)
    try file.write(to: resultURL)
  }
}
