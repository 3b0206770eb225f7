import BenchModel
import BenchProtocol
import BenchStatistics

extension Profile {
  /// Profiles a configuration in so many fresh processes.
  /// - Throws: ``UserError`` with the worker's reason where one of them fails.
  public static func measure(
    _ configuration: Configuration, label: String, workers: Workers, processes: Int, version: String, command: String,
    environment: MachineDescription, progress: (Int) -> Void
  ) async throws -> Profile {
    var outcomes: [JobOutcome] = []
    for process in 0..<processes {
      try Task.checkCancellation()
      progress(process)
      var job = Job(.profile, configuration)
      job.minSeconds = 0.3
      job.processors = workers.chance.processors(configuration[Axes.threads])
      let outcome = await workers.perform(configuration, job)
      if let reason = outcome.problem { throw UserError("\(label) cannot be profiled: \(reason)") }
      outcomes.append(outcome)
    }
    func estimate(_ name: String) throws -> Estimate {
      let values = outcomes.compactMap { $0.reading(name) }
      guard values.count == outcomes.count else {
        throw UserError("the worker gives no \(name): it is another version")
      }
      guard values.allSatisfy({ $0 > 0 }) else { throw UserError("the worker gave a \(name) of 0 ns") }
      return Estimate(geometric: values)
    }
    var profile = Profile(
      version: version, command: command, configuration: configuration, label: label, environment: environment,
      plain: try estimate("plain-inference"), profiled: try estimate("profiled-inference"))
    let runs = outcomes.compactMap(\.profiles.first)
    guard let first = runs.first, !first.isEmpty else { throw UserError("the worker gave no profile") }
    profile.nodes = try first.map { node in
      let times = try WorkerLine.NodeTime.times(of: node.node, in: runs)
      return Node(
        name: node.node, op: node.op, kernel: node.kernel, time: Estimate(geometric: times), macs: node.macs ?? 0,
        bytes: node.bytes ?? 0, allocations: node.allocations)
    }
    profile.passes = outcomes[0].prepared?.passes ?? []
    profile.placement = outcomes[0].prepared?.placement
    profile.trace = outcomes[0].trace
    do {
      profile.peaks = try await Peaks.measure(
        workers, backend: configuration[Axes.backend], isa: configuration[Axes.isa],
        threads: configuration[Axes.threads])
    } catch let error as UserError { profile.peaksUnavailable = error.description }
    return profile
  }
}
