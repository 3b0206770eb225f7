import BenchModel
import BenchProtocol
import TensorCore

/// Asks a worker for what the harness needs of any engine and says what is wrong with its answers: for whoever writes one.
public struct WorkerCheck: Sendable {
  public enum Answer: String, Sendable, Codable {
    case right, wrong
    /// It need not be able to: what it said instead.
    case unsupported
  }

  /// One thing that was asked for.
  public struct Finding: Sendable, Codable, Equatable {
    public var asked: String
    public var answer: Answer
    /// What is wrong, or what it answered.
    public var detail: String
  }

  let catalog: Catalog
  let workers: Workers
  let oracle: WorkerCommand
  let configuration: Configuration

  /// - Parameters:
  ///   - workers: whose own command, or whose engine that the configuration names, is asked.
  ///   - oracle: computes the output that the worker's is held against.
  ///   - configuration: what it is asked to run.
  public init(catalog: Catalog, workers: Workers, oracle: WorkerCommand, configuration: Configuration) {
    (self.catalog, self.workers, self.oracle, self.configuration) = (catalog, workers, oracle, configuration)
  }

  public func findings() async -> [Finding] {
    let hello = await ask("hello", Job(.idle)) { outcome in
      guard let hello = outcome.hello else { return .wrong("no hello") }
      return .right(
        "\(Format.plain(hello.engine)) \(Format.plain(hello.version)), protocol \(hello.protocol)"
          + (hello.interleaves == true ? ", can be interleaved" : ""))
    }
    guard hello.finding.answer == .right else { return [hello.finding] }
    var findings = [hello.finding]
    findings.append(await unknownAxis())
    findings.append(await inspection())
    findings.append(await latency())
    if hello.outcome.hello?.interleaves == true {
      findings.append(await interleaving())
    } else {
      findings.append(
        Finding(
          asked: "interleaving", answer: .unsupported,
          detail: "its hello does not say `interleaves`: intervals of comparisons will be wider"))
    }
    for action in [Job.Action.profile, .kernels, .memory] { findings.append(await optional(action)) }
    return findings
  }

  private enum Judgement {
    case right(String), wrong(String), unsupported(String)

    func finding(_ asked: String) -> Finding {
      switch self {
      case .right(let detail): Finding(asked: asked, answer: .right, detail: detail)
      case .wrong(let detail): Finding(asked: asked, answer: .wrong, detail: detail)
      case .unsupported(let detail): Finding(asked: asked, answer: .unsupported, detail: detail)
      }
    }
  }

  private func ask(
    _ asked: String, _ job: Job, _ judge: (JobOutcome) -> Judgement
  ) async -> (finding: Finding, outcome: JobOutcome) {
    let outcome = await workers.perform(job.configuration ?? configuration, job)
    let judgement: Judgement =
      if let failure = outcome.failure {
        .wrong(failure.description)
      } else if let reason = outcome.skipped {
        .unsupported("skipped: \(reason)")
      } else {
        judge(outcome)
      }
    return (judgement.finding(asked), outcome)
  }

  /// A choice it does not know must not be passed over: it would measure something else under its name.
  private func unknownAxis() async -> Finding {
    var strange = configuration
    strange["no-such-axis"] = .text("on")
    let outcome = await workers.perform(strange, Job(.inspect, strange))
    let asked = "unknown axis"
    switch outcome.failure {
    case nil:
      if let reason = outcome.skipped { return Judgement.right("skipped: \(reason)").finding(asked) }
      return Judgement.wrong(
        "it ran a configuration with an axis that nobody knows; say `skipped` or `failed` instead"
      ).finding(asked)
    case .reported(let reason): return Judgement.right("failed: \(reason)").finding(asked)
    case .notStarted(let reason): return Judgement.right("it is never asked: \(reason)").finding(asked)
    case .some(let failure):
      return Judgement.wrong("\(failure); say `skipped` or `failed` instead").finding(asked)
    }
  }

  /// The output is held against the oracle's, as it is in every run.
  private func inspection() async -> Finding {
    let inspector = Inspector(catalog: catalog, workers: workers, oracle: oracle)
    let row = await inspector.inspect(Row(configuration: configuration, label: configuration.id))
    let judgement: Judgement
    switch row.status {
    case .measured where row.prepared == nil: judgement = .wrong("no `prepared`")
    case .measured:
      let error = row.accuracy.map { "output right, largest difference \(Format.scientific($0.relative))" }
      judgement = .right(
        (error ?? "no output to hold against anything")
          + (row.metrics["steady-latency"] == nil
            ? "; no metric `steady-latency`, so the first slices may be too long or too short" : ""))
    case .unavailable: judgement = .unsupported("skipped: \(row.reason ?? "")")
    default: judgement = .wrong(row.reason ?? row.status.rawValue)
    }
    return judgement.finding("inspect")
  }

  private func latency() async -> Finding {
    var job = Job(.latency, configuration)
    (job.iterations, job.warmup) = (5, 1)
    return await ask("latency", job) { outcome in
      guard outcome.prepared != nil else { return .wrong("no `prepared`") }
      guard outcome.warmed != nil else { return .wrong("no `warmed`") }
      guard outcome.samples.count == 1 else {
        return .wrong("\(outcome.samples.count) samples in answer to a job that is not interleaved; one is right")
      }
      let timed = outcome.samples[0].timed ?? outcome.samples[0].latenciesNs.count
      guard timed == 5 else { return .wrong("\(timed) latencies where `iterations` was 5") }
      return .right("5 iterations, median \(Format.time(outcome.sliceMediansNs[0]))")
    }.finding
  }

  private func interleaving() async -> Finding {
    let asked = "interleaving"
    var job = Job(.latency, configuration)
    (job.iterations, job.warmup) = (2, 1)
    let assignment: Assignment
    do { assignment = try await workers.assignment(configuration, job) } catch {
      return Judgement.wrong("\(error)").finding(asked)
    }
    let slices = 3
    let outcomes = await workers.launcher.interleave(
      assignment, assignment, Interleaving(least: slices), timeout: workers.timeout)
    for outcome in [outcomes.first, outcomes.second] {
      if let problem = outcome.problem { return Judgement.wrong(problem).finding(asked) }
      let lines = outcome.lines
      guard let ready = lines.firstIndex(of: .ready) else { return Judgement.wrong("no `ready`").finding(asked) }
      guard let warmed = lines.firstIndex(where: { if case .warmed = $0 { true } else { false } }), warmed > ready
      else { return Judgement.wrong("no `warmed` after `ready`").finding(asked) }
      let counts = outcome.samples.map { $0.timed ?? $0.latenciesNs.count }
      guard counts == [Int](repeating: 2, count: slices) else {
        return Judgement.wrong(
          "samples of \(counts.map(String.init).joined(separator: ", ")) iterations where \(slices) slices of 2 were asked for"
        ).finding(asked)
      }
    }
    let spins = [outcomes.first, outcomes.second].contains { $0.reading("spins-between-slices") != nil }
    return Judgement.right(
      "\(slices) slices each of two processes"
        + (spins ? "; its threads go on running between slices, and take time from the process beside it" : "")
    ).finding(asked)
  }

  /// What a worker may say it cannot do.
  private func optional(_ action: Job.Action) async -> Finding {
    var job = Job(action, configuration)
    (job.iterations, job.warmup) = (2, 1)
    let outcome = await workers.perform(configuration, job)
    let judgement: Judgement
    switch outcome.failure {
    case .reported(let reason): judgement = .unsupported("failed: \(reason)")
    case .some(let failure): judgement = .wrong("\(failure); say `skipped` or `failed` where it cannot")
    case nil:
      if let reason = outcome.skipped {
        judgement = .unsupported("skipped: \(reason)")
      } else if action == .memory {
        judgement = outcome.memory.map { .right("\($0.blocks.count) tensors") } ?? .wrong("no `memory`")
      } else {
        judgement =
          outcome.profiles.last.map { .right("\($0.count) nodes") } ?? .wrong("no `profile`")
      }
    }
    return judgement.finding(action.rawValue)
  }
}
