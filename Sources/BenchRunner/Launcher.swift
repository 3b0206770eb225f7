import BenchProtocol

/// A command and what it is to do.
package struct Assignment: Sendable {
  package var command: WorkerCommand
  package var job: Job
  package init(_ command: WorkerCommand, _ job: Job) { (self.command, self.job) = (command, job) }
}

/// Starts workers and talks with them. A crash, a hang, rubbish or silence is an outcome with a failure, never an error. In
/// tests an engine of scripted latencies stands in its place.
package protocol Launcher: Sendable {
  func run(_ assignment: Assignment, timeout: Double) async -> JobOutcome
  /// Two jobs at once, of which only one works at a time: both prepare, then they are interleaved, the first and the
  /// second going first alternately, until each had its warm-up and its slices.
  func interleave(_ first: Assignment, _ second: Assignment, _ plan: Interleaving, timeout: Double) async
    -> (first: JobOutcome, second: JobOutcome)
}

extension Launcher {
  /// Two jobs, each in a fresh process: interleaved, or one after the other where there is no plan.
  package func pair(
    _ a: Assignment, _ b: Assignment, aFirst: Bool, _ plan: Interleaving?, timeout: Double
  ) async -> (a: JobOutcome, b: JobOutcome) {
    let (first, second) = aFirst ? (a, b) : (b, a)
    let outcomes: (first: JobOutcome, second: JobOutcome)
    if let plan {
      outcomes = await interleave(first, second, plan, timeout: timeout)
    } else {
      let one = await run(first, timeout: timeout)
      outcomes = (one, await run(second, timeout: timeout))
    }
    return aFirst ? (outcomes.first, outcomes.second) : (outcomes.second, outcomes.first)
  }
}
