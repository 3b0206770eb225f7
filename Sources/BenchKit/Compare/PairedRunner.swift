import Foundation

/// A fresh process of each version, on the same processors, taking turns.
public struct Pair: Codable, Sendable {
  /// Medians of one inference, in nanoseconds.
  public var base: Double
  public var head: Double
  /// Median over the turns of ln(head / base).
  public var difference: Double
  public var baseFirst: Bool
  public var processors: [Int]?
}

/// All pairs of one cell, or of the control.
public struct PairSeries: Codable, Sendable {
  public var label: String
  public var model: String
  /// Inferences in a turn, turns, and inferences before the first.
  public var iterations = 1
  public var turns = 1
  public var warmup = 2
  /// Whether the processes took turns; otherwise they ran one after the other.
  public var tookTurns = true
  public var pairs: [Pair] = []
  /// Why there are no more pairs.
  public var failure: String?

  public var differences: [Double] { pairs.map(\.difference) }
  public var base: Estimate { Estimate(geometric: pairs.map(\.base)) }
  public var head: Estimate { Estimate(geometric: pairs.map(\.head)) }
  /// The ratio head / base and its exact 95 % interval.
  public var ratio: MedianInterval { MedianInterval(differences.map(exp)) }
  /// Standard deviation of a pair's log ratio, from the median distance to the median.
  public var sigma: Double {
    let middle = median(differences)
    return 1.4826 * median(differences.map { abs($0 - middle) })
  }
}

/// Measures cells of two versions side by side. One sample is a pair of fresh processes that take turns on the same
/// processors: what disturbs the machine for longer than a turn disturbs both.
public actor PairedRunner {
  public struct Progress: Sendable {
    public var label: String
    public var pairs: Int
    public var elapsed: Double
  }

  /// Seconds of timed inferences in a process, as far as its turns allow.
  public static let processTime = 0.03
  private static let controlPairs = 24

  /// The cells in order, then the control.
  public private(set) var series: [PairSeries] = []
  private var cells: [Cell?]
  private let base: Workers
  private let head: Workers
  /// Runs the control for both arms: a control of each version's own would move with where its program was linked.
  private let control: WorkerCommand
  /// Share by which head is made slower, by cell: to try what would be found.
  private let slowdown: [Int: Double]
  private let seconds: Double
  private let watch = Stopwatch()
  private let report: @Sendable (Progress) -> Void

  /// - Parameter cells: each with what counting found in both versions.
  init(
    base: Workers, head: Workers, control: WorkerCommand,
    cells: [(base: CellResult, head: CellResult)], slowdown: [Int: Double] = [:], seconds: Double,
    report: @escaping @Sendable (Progress) -> Void = { _ in }
  ) {
    (self.base, self.head, self.control) = (base, head, control)
    (self.slowdown, self.report) = (slowdown, report)
    self.seconds = seconds
    self.cells = cells.map(\.head.cell) + [nil]
    for cell in cells {
      var one = PairSeries(label: cell.head.label, model: cell.head.cell.model)
      one.tookTurns = cell.base.hello?.takesTurns == true && cell.head.hello?.takesTurns == true
      series.append(one)
    }
    series.append(PairSeries(label: "control", model: ""))
  }

  /// So many new pairs of each cell asked for, and at first as many of the control; fewer where the time is spent.
  public func pairs(_ requests: [(cell: Int, count: Int)]) async -> [Int: [Double]] {
    let control = series.count - 1
    let most = min(requests.map(\.count).max() ?? 0, max(0, Self.controlPairs - series[control].pairs.count))
    var blocks: [(index: Int, count: Int)] = []
    for (index, count) in requests + [(control, most)] where series[index].failure == nil {
      blocks += stride(from: 0, to: count, by: 2).map { (index, min(2, count - $0)) }
    }
    let before = series.map(\.pairs.count)
    for (index, count) in blocks.shuffled() {
      let first = Bool.random()
      for position in 0..<count where series[index].failure == nil && watch.elapsed < seconds && !Task.isCancelled {
        if series[index].pairs.isEmpty { await calibrate(index) }
        guard series[index].failure == nil else { break }
        report(
          Progress(
            label: series[index].label, pairs: series.reduce(0) { $0 + $1.pairs.count },
            elapsed: watch.elapsed))
        await measure(index, baseFirst: (position == 0) == first)
      }
    }
    var fresh: [Int: [Double]] = [:]
    for (index, _) in requests { fresh[index] = Array(series[index].differences.dropFirst(before[index])) }
    return fresh
  }

  /// Chooses how many inferences both versions do: once for all pairs of the cell.
  private func calibrate(_ index: Int) async {
    var job = job(index)
    (job.iterations, job.warmup) = (5, nil)
    let outcome = await perform(base, index, job)
    guard let pace = Turns.Pace(outcome) else {
      series[index].failure = "base: \(outcome.failure ?? outcome.skipped ?? "no samples")"
      return
    }
    series[index].iterations = pace.iterations()
    series[index].turns = Turns.count([pace], seconds: Self.processTime)
    series[index].warmup = pace.warmup(within: Self.processTime / 2)
    if !series[index].tookTurns { series[index].iterations *= series[index].turns }
  }

  private func job(_ index: Int) -> Job {
    var job = cells[index].map { Job(.latency, $0) } ?? Job(.control)
    (job.iterations, job.warmup) = (series[index].iterations, series[index].warmup)
    return job
  }

  private func perform(_ workers: Workers, _ index: Int, _ job: Job) async -> JobOutcome {
    guard let cell = cells[index] else { return await control.run(job, timeout: workers.timeout) }
    return await workers.perform(cell, job)
  }

  private func measure(_ index: Int, baseFirst: Bool) async {
    var plain = job(index)
    // Who takes no turns may not know of processors either: then neither version is bound to any.
    if series[index].tookTurns { plain.processors = Processors.choose(cells[index]?.threads ?? 1) }
    var changed = plain
    changed.slowdown = slowdown[index]
    let (a, b) = await outcomes(index, plain, changed, baseFirst: baseFirst)
    if Task.isCancelled { return }
    for (name, outcome) in [("base", a), ("head", b)] {
      if let reason = outcome.failure ?? outcome.skipped { series[index].failure = "\(name): \(reason)" }
    }
    guard series[index].failure == nil else { return }
    let ratios = zip(a.turns, b.turns).map { log($1 / $0) }
    guard ratios.count == (series[index].tookTurns ? series[index].turns : 1) else {
      series[index].failure = "a worker ended in the middle of its turns"
      return
    }
    series[index].pairs.append(
      Pair(
        base: median(a.turns), head: median(b.turns), difference: median(ratios), baseFirst: baseFirst,
        processors: plain.processors))
  }

  private func outcomes(_ index: Int, _ a: Job, _ b: Job, baseFirst: Bool) async -> (base: JobOutcome, head: JobOutcome)
  {
    do {
      let left = try cells[index].map { try base.resolve($0, a) } ?? (control, a)
      let right = try cells[index].map { try head.resolve($0, b) } ?? (control, b)
      let turns = series[index].tookTurns ? Turns(least: series[index].turns) : nil
      let outcomes = await WorkerCommand.pair(left, right, aFirst: baseFirst, turns: turns, timeout: base.timeout)
      return (outcomes.a, outcomes.b)
    } catch {
      var outcome = JobOutcome()
      outcome.failure = "\(error)"
      return (outcome, outcome)
    }
  }
}
