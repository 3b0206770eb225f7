import Foundation
import PacerBench
import RuntimeCore
import Synchronization
import Testing

@testable import BenchModel
@testable import BenchReport
@testable import BenchRunner
@testable import BenchStatistics
@testable import BenchWorker

/// An engine of scripted latencies behind a virtual clock: no process is started and no time goes by.
final class ScriptedLauncher: Launcher {
  private struct State {
    var now = 0
    var log: [String] = []
    var noise: SeededGenerator
  }
  private let state: Mutex<State>
  /// Nanoseconds of one iteration of a configuration.
  private let latency: @Sendable (Configuration) -> Double
  private let failure: @Sendable (Configuration) -> WorkerFailure?
  private let sigma: Double

  init(
    sigma: Double = 0, failure: @escaping @Sendable (Configuration) -> WorkerFailure? = { _ in nil },
    latency: @escaping @Sendable (Configuration) -> Double
  ) {
    (self.latency, self.failure, self.sigma) = (latency, failure, sigma)
    state = Mutex(State(noise: SeededGenerator(seed: 99)))
  }

  var clock: MonotonicClock { MonotonicClock { [self] in state.withLock { $0.now } } }
  /// What was asked of it, in order.
  var log: [String] { state.withLock { $0.log } }

  private func sample(_ job: Job, _ factor: Double) -> WorkerLine {
    let configuration = job.configuration ?? Configuration(model: "control")
    return .sample(
      state.withLock { state in
        let latencies = (0..<(job.iterations ?? 10)).map { _ in
          max(1, Int(latency(configuration) * factor * exp(sigma * state.noise.normal())))
        }
        state.now += latencies.reduce(0, +)
        return .init(latenciesNs: latencies)
      })
  }

  private func begin(_ assignment: Assignment) -> [WorkerLine] {
    let job = assignment.job
    state.withLock { state in
      // Starting and preparing take a tenth of a second.
      state.now += 100_000_000
      let place = "\(job.layout.map { "\($0.stack)/\($0.heap)" } ?? "-") \(job.processors.map { "\($0)" } ?? "-")"
      state.log.append("\(job.action) \(job.configuration?.id ?? "") \(job.iterations ?? 0) \(place)")
    }
    let hello = WorkerLine.hello(.init(engine: "scripted", version: "1", interleaves: true, obeysSlowdown: true))
    if job.action == .idle { return [hello, .metric(.init("peak-resident", 1_000_000))] }
    var prepared = WorkerLine.Prepared(loadNs: 1, optimiseNs: 1, prepareNs: 1)
    prepared.graph = job.configuration.map { $0[Axes.passes].joined(separator: "+") }
    let output = WorkerLine.output(.init(shape: [2], values: [1, 2]))
    let steady = WorkerLine.metric(.init("steady-latency", job.configuration.map(latency) ?? 1e6))
    let warmed = WorkerLine.warmed(.init(firstInferenceNs: 5, iterations: 5, timeNs: 10, steady: true))
    switch job.action {
    case .inspect: return [hello, .prepared(prepared), steady, output]
    case .output: return [hello, .prepared(prepared), output]
    case .partition:
      let nothing = MeasuredPartition.Cost(nodesNs: 1, executions: 0, executionsNs: 0, copiedBytes: 0, copiesNs: 0)
      return [
        hello,
        // No measurement is the same as another one.
        .partition(
          .init(
            graph: "g", devices: [.init(name: "npu", isHost: false, executionNs: 1, nodeNs: [])],
            byteNs: Double(log.count), chosen: [], cost: nothing, unmeasuredCost: nothing)),
      ]
    default: return [hello, .prepared(prepared), warmed]
    }
  }

  func run(_ assignment: Assignment, timeout: Double) async -> JobOutcome {
    var lines = begin(assignment)
    if let failure = assignment.job.configuration.flatMap(failure) { return JobOutcome(lines, failure: failure) }
    if [.latency, .control].contains(assignment.job.action) { lines.append(sample(assignment.job, 1)) }
    return JobOutcome(lines)
  }

  func interleave(
    _ first: Assignment, _ second: Assignment, _ plan: Interleaving, timeout: Double
  ) async -> (first: JobOutcome, second: JobOutcome) {
    var outcomes = (JobOutcome(begin(first)), JobOutcome(begin(second)))
    for (index, assignment) in [first, second].enumerated() {
      guard let failure = assignment.job.configuration.flatMap(failure) else { continue }
      if index == 0 { outcomes.0.failure = failure } else { outcomes.1.failure = failure }
    }
    if outcomes.0.failure != nil || outcomes.1.failure != nil { return outcomes }
    for slice in 0..<plan.least {
      // What disturbs the machine disturbs both.
      let burst = 1 + 0.5 * Double(slice % 3)
      outcomes.0.lines.append(sample(first.job, burst * (1 + (first.job.slowdown ?? 0))))
      outcomes.1.lines.append(sample(second.job, burst * (1 + (second.job.slowdown ?? 0))))
    }
    for lines in [\(JobOutcome, JobOutcome).0, \.1] {
      outcomes[keyPath: lines].lines.append(.metric(.init("cpu-time", 100)))
      outcomes[keyPath: lines].lines.append(.metric(.init("energy", unavailable: "no counter")))
    }
    return outcomes
  }
}

extension Workers {
  static func scripted(_ launcher: ScriptedLauncher, in folder: URL, seed: UInt64 = 7) -> Workers {
    var workers = Workers(
      own: WorkerCommand("scripted", version: protocolVersion), cacheFolder: folder, chance: Chance(seed: seed))
    (workers.launcher, workers.clock) = (launcher, launcher.clock)
    return workers
  }
}

@Suite struct RunnerTests {
  private let catalog = Catalog.standard

  private func suite(
    _ choices: [String: [String]], rounds: Int = 6, budget: Double = 1e6, iterations: Int? = nil
  ) -> PacerBench.Suite {
    var job = Job(.latency)
    job.iterations = iterations
    return PacerBench.Suite(
      name: "t", budget: budget, configurationBudget: 1e6, targetInterval: 1e-12, rounds: rounds, job: job,
      groups: [ConfigurationGroup(choices: choices.merging(["model": ["mobilenet-v2"]]) { $1 }, place: "test")])
  }

  private func runner(
    _ suite: PacerBench.Suite, _ workers: Workers, _ url: URL,
    report: @escaping @Sendable (Runner.Event) -> Void = { _ in }
  ) throws -> Runner {
    let plan = try suite.plan(catalog)
    let start = RecordLine.Start(
      version: "v", suite: "t", suiteDigest: Suite.digest(plan, catalog.axes), started: "2026-01-01T00:00:00Z",
      command: "test", seed: workers.chance.seed, environment: quietMachine, passes: catalog.passes.map(\.name),
      configurations: plan)
    return try Runner(suite: suite, catalog, start: start, workers: workers, to: url, report: report)
  }

  @Test func `one row that crashes does not stop the suite`() async throws {
    try await inFolder { folder in
      let launcher = ScriptedLauncher(
        failure: { $0[Axes.threads] == 2 ? .signalled(6, lastError: "") : nil }, latency: { _ in 1e6 })
      let record = try await runner(
        suite(["threads": ["1", "2", "3"]]), .scripted(launcher, in: folder), folder.appendingPathComponent("t.jsonl")
      ).run()
      #expect(record.rows.map(\.status) == [.measured, .failed, .measured])
      #expect(record.rows[1].reason?.contains("signal 6") == true && record.isComplete)
    }
  }

  @Test func `a measured partition is measured once, and every process of its configuration gets it`() async throws {
    try await inFolder { folder in
      let launcher = ScriptedLauncher { _ in 1e6 }
      let workers = Workers.scripted(launcher, in: folder)
      var measured = Configuration(model: "mobilenet-v2")
      measured[Axes.backend] = "nnapi"
      let plain = measured
      measured[Axes.partition] = "measured"
      for _ in 0..<2 {
        for action in [Job.Action.inspect, .latency] {
          let own = try await workers.assignment(measured, Job(action, measured)).job
          let other = try await workers.assignment(plain, Job(action, plain)).job
          #expect(own.partition?.graph == "g" && other.partition == nil)
        }
      }
      #expect(launcher.log.count { $0.hasPrefix("partition") } == 1)
      let failing = ScriptedLauncher(failure: { _ in .signalled(6, lastError: "") }, latency: { _ in 1e6 })
      await #expect(throws: UserError.self) {
        try await Workers.scripted(failing, in: folder).assignment(measured, Job(.latency, measured))
      }
    }
  }

  @Test func `a record that goes on, and another version, run the partition that was measured first`() async throws {
    try await inFolder { folder in
      let launcher = ScriptedLauncher { _ in 1e6 }
      let url = folder.appendingPathComponent("t.jsonl")
      let sheet = suite(
        ["backend": ["nnapi"], "partition": ["measured"], "threads": ["1", "2", "3", "4"]], rounds: 4, budget: 0.8)
      let record = try await runner(sheet, .scripted(launcher, in: folder), url).run()
      let partition = try #require(record.partitions[0])
      #expect(record.partitions.count < 4 && record.ending == .budget)
      var longer = sheet
      longer.budget = 1e6
      let workers = Workers.scripted(launcher, in: folder, seed: 8)
      let resumed = try await Runner(
        suite: longer, catalog, resuming: try Record.read(url, catalog), workers: workers, to: url
      ) { _ in }.run()
      #expect(resumed.partitions[0] == partition && resumed.partitions.count == 4 && resumed.isComplete)
      #expect(launcher.log.count { $0.hasPrefix("partition") } == 4)
      #expect(try Record.read(url, catalog).partitions == resumed.partitions)

      var other = Workers.scripted(launcher, in: folder)
      other.own.arguments.append("other")
      workers.sharePartitions(with: &other)
      let configuration = resumed.rows[0].configuration
      let job = try await other.assignment(configuration, Job(.latency, configuration)).job
      #expect(job.partition == partition)
      // Two of their own, of one graph and the same devices, are one.
      let (base, head) = (Workers.scripted(launcher, in: folder), other)
      var sharing = head
      base.sharePartitions(with: &sharing)
      let first = try await base.assignment(configuration, Job(.latency, configuration)).job.partition
      let second = try await sharing.assignment(configuration, Job(.latency, configuration)).job.partition
      #expect(first == second && first != partition)
      #expect(launcher.log.count { $0.hasPrefix("partition") } == 6)
    }
  }

  @Test func `rows with one graph are measured once and say so`() async throws {
    try await inFolder { folder in
      let launcher = ScriptedLauncher { _ in 1e6 }
      var sheet = suite(["passes": ["freeze", "winograd"]])
      sheet.groups[0].choices["passes"] = ["freeze", "freeze"]
      let two = suite(["passes": ["none", "all"], "threads": ["1"]])
      let record = try await runner(two, .scripted(launcher, in: folder), folder.appendingPathComponent("t.jsonl"))
        .run()
      #expect(record.rows.map(\.status) == [.measured, .measured])
      #expect(try sheet.plan(catalog).count == 1)
    }
  }

  @Test func `however alike they are, a row has as many runs as a verdict needs, and no more`() async throws {
    try await inFolder { folder in
      var sheet = suite(["passes": ["none", "all"]], rounds: 10)
      sheet.targetInterval = 0.02
      let record = try await runner(
        sheet, .scripted(ScriptedLauncher { $0[Axes.passes].isEmpty ? 2e6 : 1e6 }, in: folder),
        folder.appendingPathComponent("t.jsonl")
      ).run()
      #expect(record.rows.map(\.runs.count) == [Estimate.runsForVerdict, Estimate.runsForVerdict])
      // What no run could measure is no value, and is said once a row.
      #expect(record.rows.allSatisfy { $0.unavailableMetrics == ["energy": "no counter"] })
      #expect(record.rows.allSatisfy { $0.runs.allSatisfy { $0.metrics["energy"] == nil } })
      let text = try String(contentsOf: folder.appendingPathComponent("t.jsonl"), encoding: .utf8)
      #expect(text.split(separator: "\n").count { $0.contains("no counter") } == 2)
      #expect(abs((record.rows[1].ratio?.value ?? 0) - 0.5) < 1e-6 && record.rows[0].ratio == nil)
      // Whatever disturbs both, the ratio is that of the slices.
      #expect(record.rows[1].runs.allSatisfy { abs($0.ratio! - 0.5) < 1e-6 && $0.sliceMediansNs.count >= 8 })
    }
  }

  @Test func `a ratio is to the row of the same work, whatever else is in the suite`() async throws {
    try await inFolder { folder in
      let launcher = ScriptedLauncher { configuration in
        let size = configuration[Axes.shape]!.only!.count
        return Double(size) * (configuration[Axes.passes].isEmpty ? 20 : 10)
      }
      let record = try await runner(
        suite(["passes": ["none", "all"], "shape": ["1x3x64x64", "1x3x224x224"]]), .scripted(launcher, in: folder),
        folder.appendingPathComponent("t.jsonl")
      ).run()
      #expect(
        record.rows.map(\.label) == [
          "no passes, 1x3x64x64", "no passes, 1x3x224x224", "all passes, 1x3x64x64", "all passes, 1x3x224x224",
        ])
      for row in record.rows where row.baseline != nil {
        #expect(abs((row.ratio?.value ?? 0) - 0.5) < 1e-6, "\(row.label)")
      }
    }
  }

  @Test func `the same seed and the same latencies give the same run, and another seed another`() async throws {
    try await inFolder { folder in
      func replay(_ seed: UInt64, _ name: String) async throws -> (log: [String], lines: Data) {
        let launcher = ScriptedLauncher(sigma: 0.1) { 1e6 * Double(1 + $0[Axes.threads]) }
        let url = folder.appendingPathComponent(name)
        // A cache of its own: what is kept from another run is not asked for again.
        let cache = folder.appendingPathComponent("cache-\(name)")
        _ = try await runner(
          suite(["passes": ["none", "all"], "threads": ["1", "2", "3"]], rounds: 8),
          .scripted(launcher, in: cache, seed: seed), url
        ).run()
        // Of this process and machine, not of chance.
        let text = try String(contentsOf: url, encoding: .utf8).replacing(#/"other-load":[0-9.e-]+,?/#, with: "")
          .replacing(#/"(steal|throttled)":[0-9.e-]+,?/#, with: "")
        return (launcher.log, Data(text.utf8))
      }
      let (first, again, other) = (
        try await replay(1, "a.jsonl"), try await replay(1, "b.jsonl"), try await replay(2, "c.jsonl")
      )
      #expect(first.log == again.log && first.log.count > 50 && first.lines == again.lines)
      #expect(first.log != other.log)
    }
  }

  @Test func `a budget ends the run where the clock says so, and resuming goes on`() async throws {
    try await inFolder { folder in
      let launcher = ScriptedLauncher { _ in 1e6 }
      let url = folder.appendingPathComponent("t.jsonl")
      let sheet = suite(["threads": ["1", "2", "3", "4", "5", "6", "7", "8"]], rounds: 4, budget: 1.5)
      let record = try await runner(sheet, .scripted(launcher, in: folder), url).run()
      #expect(record.ending == .budget && !record.isComplete && record.rows.contains { $0.status == .pending })
      #expect(record.elapsed > 1 && record.elapsed < 2, "\(record.elapsed)")
      let read = try Record.read(url, catalog)
      #expect(read.rows.map(\.status) == record.rows.map(\.status) && read.rows.map(\.runs) == record.rows.map(\.runs))

      var longer = sheet
      longer.budget = 1e6
      let workers = Workers.scripted(launcher, in: folder, seed: 8)
      let resumed = try await Runner(suite: longer, catalog, resuming: read, workers: workers, to: url) { _ in }.run()
      #expect(resumed.isComplete && resumed.rows.allSatisfy { $0.status == .measured && $0.runs.count == 4 })
      let whole = try Record.read(url, catalog)
      #expect(whole.rows.map(\.runs) == resumed.rows.map(\.runs) && whole.isComplete)
      #expect(whole.rows.map(\.latency) == resumed.rows.map(\.latency))
    }
  }

  @Test func `the first pair of all is tried where inspecting took longer than what is left`() async throws {
    try await inFolder { folder in
      let launcher = ScriptedLauncher { _ in 1e6 }
      // An empty worker, the row and the oracle take 0.3 s; the pair is guessed at 0.2 s and takes 0.11 s.
      let sheet = suite(["passes": ["all"]], rounds: 2, budget: 0.45)
      let record = try await runner(sheet, .scripted(launcher, in: folder), folder.appendingPathComponent("t.jsonl"))
        .run()
      #expect(record.rows.map(\.runs.count) == [1] && record.ending == nil)
    }
  }

  @Test func `lines are appended, each once, and a line that was cut off is forgotten`() async throws {
    try await inFolder { folder in
      let url = folder.appendingPathComponent("t.jsonl")
      let launcher = ScriptedLauncher { _ in 1e6 }
      let sheet = suite(["passes": ["none", "all"]], rounds: 3)
      let record = try await runner(sheet, .scripted(launcher, in: folder), url).run()
      let lines = try Record.lines(Data(contentsOf: url))
      let runs = lines.compactMap { if case .run(let run) = $0 { run } else { nil } }
      #expect(runs.map(\.number) == Array(0..<6) && runs.map(\.partner) == [1, 0, 3, 2, 5, 4])
      // Partners have as many slices.
      for pair in stride(from: 0, to: 6, by: 2) {
        #expect(runs[pair].slicesNs?.count == runs[pair + 1].slicesNs?.count)
      }
      let file = try FileHandle(forWritingTo: url)
      try file.seekToEnd()
      try file.write(contentsOf: Data(#"{"kind":"run","num"#.utf8))
      try file.close()
      #expect(try Record.read(url, catalog).rows.map(\.runs) == record.rows.map(\.runs))
    }
  }

  @Test func `a file in the folder's place is an error that says what to do`() async throws {
    try await inFolder { folder in
      let file = folder.appendingPathComponent("file")
      try Data().write(to: file)
      let workers = Workers.scripted(ScriptedLauncher { _ in 1e6 }, in: folder)
      let error = await #expect(throws: UserError.self) {
        try await runner(suite(["passes": ["none"]]), workers, file.appendingPathComponent("t.jsonl")).run()
      }
      #expect(error?.description.contains("--output") == true)
    }
  }

  @Test func `the report of a record`() async throws {
    try await inFolder { folder in
      let launcher = ScriptedLauncher { _ in 5e6 }
      var record = try await runner(
        suite(["passes": ["none"], "backend": ["null"]], rounds: 2), .scripted(launcher, in: folder),
        folder.appendingPathComponent("t.jsonl")
      ).run()
      // What else ran here meanwhile is remarked on.
      for run in record.rows[0].runs.indices { record.rows[0].runs[run].metrics["other-load"] = nil }
      let text = MarkdownReport().render(record, catalog).replacing(#/ +/#, with: " ")
      #expect(text.contains("# Pacer, suite `t`, version v\n") && text.contains("seed 7"))
      #expect(text.contains("| null, no passes | 5.00 ms | ? | – | | 2 | – | – | – | – |"), "\(text)")
      let csv = CSVReport().render(record, catalog)
      #expect(csv.split(separator: "\n")[1].hasPrefix("mobilenet-v2,\"null, no passes\",measured,2,"))
    }
  }

  @Test(.timeLimit(.minutes(1))) func `forty thousand configurations are planned and labelled at once`() throws {
    let sheet = suite([
      "passes": ["every-combination"], "threads": (1...10).map(String.init),
    ])
    let rows = try sheet.rows(catalog)
    #expect(
      rows.count == 40_960 && Set(rows.map(\.label)).count == rows.count && Set(rows.map(\.id)).count == rows.count)
    #expect(rows.count { $0.baseline == nil } == 1)
  }
}
