import BenchModel
import BenchProtocol
import BenchStatistics
import Foundation

/// Measures configurations of two versions side by side. One sample is a pair of fresh processes, interleaved on the same
/// processors: what disturbs the machine for longer than a slice disturbs both.
public actor PairedRunner {
  public struct Progress: Sendable {
    public var label: String
    public var pairs: Int
    public var elapsed: Double
  }

  /// Seconds of timed iterations in a process, as far as its slices allow.
  public static let processTime = 0.03
  private static let controlPairs = 24

  /// The configurations in order, then the control.
  public private(set) var series: [PairSeries] = []
  private let configurations: [Configuration?]
  private let base: Workers
  private let head: Workers
  /// Runs the control for both sides: a control of each version's own would move with where its program was linked.
  private let control: WorkerCommand
  /// Share by which head is made slower, by configuration: to try what would be found.
  private let slowdown: [Int: Double]
  private let seconds: Double
  private let watch: Stopwatch
  private let report: @Sendable (Progress) -> Void

  /// - Parameter rows: each with what inspecting found in both versions.
  package init(
    base: Workers, head: Workers, control: WorkerCommand, rows: [(base: Row, head: Row)],
    slowdown: [Int: Double] = [:], seconds: Double, report: @escaping @Sendable (Progress) -> Void = { _ in }
  ) {
    (self.base, self.head, self.control) = (base, head, control)
    (self.slowdown, self.report, self.seconds) = (slowdown, report, seconds)
    watch = Stopwatch(head.clock)
    configurations = rows.map(\.head.configuration) + [nil]
    for row in rows {
      var one = PairSeries(label: row.head.label, model: row.head.configuration.model)
      one.isInterleaved = row.base.hello?.interleaves == true && row.head.hello?.interleaves == true
      series.append(one)
    }
    series.append(PairSeries(label: "control", model: ""))
  }

  private var chance: Chance { head.chance }

  /// So many pairs more of each configuration asked for, and at first as many of the control; fewer where the time is
  /// spent.
  package func measure(_ requests: [(configuration: Int, count: Int)]) async {
    let control = series.count - 1
    let most = min(requests.map(\.count).max() ?? 0, max(0, Self.controlPairs - series[control].pairs.count))
    var blocks: [(index: Int, count: Int)] = []
    for (index, count) in requests + [(control, most)] where series[index].failure == nil {
      blocks += stride(from: 0, to: count, by: 2).map { (index, min(2, count - $0)) }
    }
    for (index, count) in chance.draw({ blocks.shuffled(using: &$0) }) {
      let first = chance.draw { Bool.random(using: &$0) }
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
  }

  /// Chooses how many iterations both versions do: once for all pairs of the configuration.
  private func calibrate(_ index: Int) async {
    var job = job(index)
    (job.iterations, job.warmup) = (5, nil)
    let outcome = await perform(base, index, job)
    guard let pace = Interleaving.Pace(outcome) else {
      series[index].failure = "base: \(outcome.problem ?? "no samples")"
      return
    }
    series[index].iterations = pace.iterations()
    series[index].slices = Interleaving.count(pace, seconds: Self.processTime)
    series[index].warmup = pace.warmup(within: Self.processTime / 2)
    if !series[index].isInterleaved { series[index].iterations *= series[index].slices }
  }

  private func job(_ index: Int) -> Job {
    var job = configurations[index].map { Job(.latency, $0) } ?? Job(.control)
    (job.iterations, job.warmup) = (series[index].iterations, series[index].warmup)
    return job
  }

  private func perform(_ workers: Workers, _ index: Int, _ job: Job) async -> JobOutcome {
    guard let configuration = configurations[index] else { return await workers.perform(control, job) }
    return await workers.perform(configuration, job)
  }

  private func measure(_ index: Int, baseFirst: Bool) async {
    var plain = job(index)
    // Who is not interleaved may not know of processors either: then neither version is bound to any.
    if series[index].isInterleaved {
      plain.processors = chance.processors(configurations[index].map { $0[Axes.threads] } ?? 1)
    }
    var changed = plain
    changed.slowdown = slowdown[index]
    let (a, b) = await outcomes(index, plain, changed, baseFirst: baseFirst)
    if Task.isCancelled { return }
    for (name, outcome) in [("base", a), ("head", b)] {
      if let problem = outcome.problem { series[index].failure = "\(name): \(problem)" }
    }
    guard series[index].failure == nil else { return }
    let (lefts, rights) = (a.sliceMediansNs, b.sliceMediansNs)
    guard min(lefts.count, rights.count) == (series[index].isInterleaved ? series[index].slices : 1) else {
      series[index].failure = "a worker ended in the middle of its slices"
      return
    }
    var pair = Pair(
      base: median(lefts), head: median(rights), difference: interleavedLogRatio(base: lefts, head: rights),
      baseFirst: baseFirst, processors: plain.processors)
    for reading in a.readings {
      guard let base = reading.value, let head = b.reading(reading.name) else { continue }
      pair.readings[reading.name] = .init(base: base, head: head)
    }
    for (name, pick) in Self.times {
      if let base = pick(a), let head = pick(b) { pair.readings[name] = .init(base: Double(base), head: Double(head)) }
    }
    series[index].pairs.append(pair)
  }

  /// Sampled metrics that lines of their own tell of.
  private static let times: [(name: String, pick: @Sendable (JobOutcome) -> Int?)] = [
    ("load", { $0.prepared?.loadNs }), ("optimise", { $0.prepared?.optimiseNs }),
    ("prepare", { $0.prepared?.prepareNs }), ("first-inference", { $0.warmed?.firstInferenceNs }),
  ]

  private func outcomes(
    _ index: Int, _ a: Job, _ b: Job, baseFirst: Bool
  ) async -> (base: JobOutcome, head: JobOutcome) {
    do {
      let (left, right): (Assignment, Assignment)
      if let configuration = configurations[index] {
        (left, right) = (
          try await base.assignment(configuration, a), try await head.assignment(configuration, b)
        )
      } else {
        (left, right) = (await head.assignment(control, a), await head.assignment(control, b))
      }
      let plan = series[index].isInterleaved ? Interleaving(least: series[index].slices) : nil
      let outcomes = await head.launcher.pair(left, right, aFirst: baseFirst, plan, timeout: base.timeout)
      return (outcomes.a, outcomes.b)
    } catch {
      let outcome = JobOutcome(failure: .notStarted("\(error)"))
      return (outcome, outcome)
    }
  }
}
