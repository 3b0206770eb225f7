/// How two fresh processes take turns: each does some milliseconds of work, then the other does.
///
/// What disturbs the machine for longer than a turn disturbs both, so the median over the turns of the log ratio moves by
/// one or two per cent where the processes' own medians move by ten.
struct Turns: Sendable, Equatable {
  /// How fast one inference is and how many it takes to be steady.
  struct Pace: Sendable {
    /// Seconds of one inference.
    var latency: Double
    var warmup: Int

    init(latency: Double, warmup: Int) { (self.latency, self.warmup) = (latency, warmup) }

    /// From a run without turns; nil where it failed.
    init?(_ outcome: JobOutcome) {
      guard outcome.failure == nil, let latency = outcome.turns.first, let sample = outcome.samples.first else {
        return nil
      }
      (self.latency, warmup) = (latency * 1e-9, sample.warmup)
    }

    /// Inferences in a turn of so many seconds.
    func iterations(in seconds: Double = Turns.time) -> Int {
      Int(min(max((seconds / latency).rounded(.down), 1), 1000))
    }
    /// Seconds of a turn.
    var turn: Double { latency * Double(iterations()) }
    /// Inferences before the first turn, in at most so many seconds; two of what is not too slow for them.
    func warmup(within seconds: Double) -> Int {
      let fitting = Int(min(seconds / latency, 1e6))
      return min(warmup, max(fitting, latency * Double(Turns.fewest) < Turns.longest ? 2 : 0))
    }
  }

  /// Turns that are taken in any case.
  var least: Int
  /// Further turns are taken until each process has timed so many seconds …
  var seconds = 0.0
  /// … or there were so many.
  var most = 100_000

  /// Seconds of a turn, where an inference does not take longer.
  static let time = 0.003
  static let fewest = 8
  /// Seconds after which a process has had turns enough, were they fewer than `fewest`.
  static let longest = 2.0

  /// Turns of processes that are to work for so many seconds.
  static func count(_ paces: [Pace], seconds: Double) -> Int {
    let turn = paces.map(\.turn).max() ?? time
    return max(Int(min(seconds / turn, 100_000)), fewest(of: turn))
  }

  /// How many turns of so many seconds are enough in any case.
  static func fewest(of turn: Double) -> Int {
    turn * Double(fewest) <= longest ? fewest : max(Int(longest / turn), 2)
  }
}

extension WorkerCommand {
  typealias Assignment = (command: WorkerCommand, job: Job)

  /// Two jobs, each in a fresh process: in turns, or one after the other where `turns` is nil.
  static func pair(
    _ a: Assignment, _ b: Assignment, aFirst: Bool, turns: Turns?, timeout: Double
  ) async -> (a: JobOutcome, b: JobOutcome) {
    let (first, second) = aFirst ? (a, b) : (b, a)
    let outcomes: (first: JobOutcome, second: JobOutcome)
    if let turns {
      outcomes = await takeTurns(first, second, turns, timeout: timeout)
    } else {
      let one = await first.command.run(first.job, timeout: timeout)
      outcomes = (one, await second.command.run(second.job, timeout: timeout))
    }
    return aFirst ? (outcomes.first, outcomes.second) : (outcomes.second, outcomes.first)
  }
}
