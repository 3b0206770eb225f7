import Foundation
import PacerBench
import Testing

@testable import BenchModel
@testable import BenchReport
@testable import BenchRunner
@testable import BenchStatistics
@testable import BenchWorker

/// A worker that is a shell script and speaks this program's protocol.
func script(_ body: String, version: Int? = protocolVersion) -> WorkerCommand {
  WorkerCommand("/bin/sh", ["-c", body], version: version)
}

/// Lines as a script prints them.
func echo(_ lines: WorkerLine...) -> String {
  lines.map { "echo '\(String(decoding: try! JSONEncoder().encode($0), as: UTF8.self))'" }.joined(separator: "; ")
}

private let hello = WorkerLine.hello(.init(engine: "fake", version: "1"))

private func run(_ command: WorkerCommand, _ job: Job = Job(.idle), timeout: Double = 300) async -> JobOutcome {
  await ProcessLauncher().run(Assignment(command, job), timeout: timeout)
}

@Suite struct WorkerProtocolTests {
  @Test(arguments: [
    ("\(echo(hello)); kill -SEGV $$", "signal 11"),
    ("\(echo(hello)); echo oops >&2; exit 7", "status 7; last error line: oops"),
    ("echo rubbish", "no protocol line"), ("\(echo(hello)); echo '{\"kind\":\"sample\"}'", "no protocol line"),
    ("true", "before sending `hello`"), ("printf '\\000\\377\\n'", "no protocol line"),
    ("echo '{\"kind\":\"hello\",\"engine\":\"x\",\"version\":\"1\",\"protocol\":99}'", "speaks protocol 99"),
    ("\(echo(hello, .failed(reason: "no such thing")))", "no such thing"),
    ("\(echo(hello)); echo '{\"kind\":\"sample\",\"latenciesNs\":[]}'", "latenciesNs is empty"),
  ])
  func `a worker that goes wrong is a failure with its reason`(body: String, reason: String) async {
    let outcome = await run(script(body))
    #expect(outcome.failure?.description.contains(reason) == true, "\(String(describing: outcome.failure))")
  }

  @Test func `failures are told apart by what they are, not by their words`() async {
    #expect(await run(script("kill -ABRT $$")).failure == .signalled(6, lastError: ""))
    #expect(await run(script("\(echo(hello)); echo oops >&2; exit 3")).failure == .exited(3, lastError: "oops"))
    #expect(await run(script("true")).failure == .silent(lastError: ""))
    #expect(await run(script("sleep 600"), timeout: 0.2).failure == .late(seconds: 0.2))
    if case .notStarted = await run(WorkerCommand("/nonexistent/worker", version: 2)).failure {
    } else {
      // Under a supervisor it is the supervisor that says so.
      #expect(await run(WorkerCommand("/nonexistent/worker", version: 2)).failure != nil)
    }
  }

  @Test func `a worker that hangs is ended, and so is what it started, in whatever session`() async throws {
    try await inFolder { folder in
      let names = ["child", "apart"]
      let note = { (name: String) in
        "sh -c 'echo $$ > \(folder.path)/\(name).new; mv \(folder.path)/\(name).new \(folder.path)/\(name); exec sleep 600'"
      }
      let body = "\(note(names[0])) & setsid \(note(names[1])) & sleep 600"
      let task = Task { await run(script(body), timeout: 600) }
      func identifiers() -> [String] {
        names.compactMap { try? String(contentsOf: folder.appendingPathComponent($0), encoding: .utf8) }
          .map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }
      }
      while identifiers().count < names.count { try await Task.sleep(for: .milliseconds(20)) }
      task.cancel()
      #expect(await task.value.failure == .interrupted)
      /// Whether a process still runs: an ended one that nobody has waited for does not.
      func isAlive(_ process: String) -> Bool {
        guard let stat = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8) else { return false }
        return !stat.contains(") Z ")
      }
      for _ in 0..<1000 where identifiers().contains(where: isAlive) { try await Task.sleep(for: .milliseconds(20)) }
      #expect(!identifiers().contains(where: isAlive))
    }
  }

  @Test func `lines survive the way to JSON and back`() throws {
    let lines: [WorkerLine] = [
      .hello(.init(engine: "e", version: "v", isa: "avx2", processor: "p")), .ready,
      .warmed(.init(firstInferenceNs: 1, iterations: 2, timeNs: 3, steady: false)),
      .sample(.init(latenciesNs: [1, 2], timed: 4)), .output(.init(shape: [3], values: [.nan, -.infinity, 1.5])),
      .metric(.init("x", unavailable: "why")), .skipped(reason: "r"), .failed(reason: "f"), .note("n"),
    ]
    for line in lines {
      #expect(try JSONDecoder().decode(WorkerLine.self, from: JSONEncoder().encode(line)) == line)
    }
    let output = WorkerLine.Output(shape: [3], values: [.nan, -.infinity, 1.5])
    #expect(output.values?[0].isNaN == true && output.values?[1] == -.infinity)
    #expect(WorkerLine.Output(shape: [4], values: [1]).values == nil)
  }

  @Test func `a configuration is JSON of its own, and the same value however it was made`() throws {
    var configuration = Configuration(model: "m")
    configuration[Axes.threads] = 2
    configuration[Axes.passes] = ["a", "b"]
    configuration[Axes.hugePages] = false
    // What is standard is not there.
    configuration[Axes.allocator] = .system
    #expect(configuration.id == "m/huge-pages=off/passes=a+b/threads=2")
    let data = try JSONEncoder().encode(configuration)
    #expect(try JSONDecoder().decode(Configuration.self, from: data) == configuration)
    configuration[Axes.threads] = 1
    #expect(configuration["threads"] == nil)
  }

  @Test func `a crash is told of in its own words, not in those of its backtrace`() {
    let crash =
      "Thing/File.swift:3: Fatal error: Index out of range\n\n*** Signal 4: Backtracing... ***\nBacktrace took 1.18s"
    #expect(WorkerFailure.lastError(crash).contains("Fatal error: Index out of range"))
    #expect(WorkerFailure.lastError("Traceback (most recent call last):\n  x\nValueError: y") == "ValueError: y")
    #expect(WorkerFailure.lastError("\n \n") == "")
  }
}

/// Workers of the protocol's first version, as Pacer 0.8 and engines written for it speak it.
@Suite struct FormerProtocolTests {
  private static let hello =
    #"{"kind":"hello","engine":"old","version":"1","protocol":1,"takesTurns":true,"isa":"baseline"}"#
  private static let prepared =
    #"{"kind":"prepared","loadTime":1,"optimiseTime":2,"prepareTime":3,"passes":[],"kernels":{"add-baseline":2}}"#
  private static func sample(_ latencies: String) -> String {
    #"{"kind":"sample","firstInference":9,"warmup":3,"warmupTime":5,"steady":true,"latencies":["# + latencies + "]}"
  }
  /// It refuses what it cannot read without a hello, as 0.8.0 does, and writes the job down.
  private static func body(_ folder: URL) -> String {
    """
    read job; echo "$job" >> '\(folder.path)/jobs'
    case $job in *'"protocol":1'*) ;; *) echo '{"kind":"failed","reason":"field minTime is missing"}'; exit 1 ;; esac
    echo '\(hello)'
    case $job in *'"idle"'*) echo '{"kind":"figure","name":"peak-resident","value":7}'; exit ;; esac
    echo '\(prepared)'
    case $job in
    *'"takesTurns":true'*)
      read turn || exit 0; echo '\(sample(""))'
      while read turn; do echo '\(sample("1000000"))'; done ;;
    *) echo '\(sample("1000000, 3000000"))' ;;
    esac
    """
  }

  @Test func `it is asked for its version once, gets jobs it can read, and its lines mean the same`() async throws {
    try await inFolder { folder in
      let workers = Workers(own: script(Self.body(folder), version: nil), cacheFolder: folder)
      var configuration = Configuration(model: "resnet-18")
      configuration[Axes.isa] = "sse2"
      configuration[Axes.threads] = 2
      configuration[Axes.inPlace] = false
      configuration[Axes.shape] = [1, 3, 32, 32]
      let idle = await workers.perform(configuration, Job(.idle))
      #expect(idle.failure == nil && idle.reading("peak-resident") == 7)
      let outcome = await workers.perform(configuration, Job(.latency, configuration))
      #expect(outcome.failure == nil && outcome.hello?.protocol == 1 && outcome.hello?.isa == "sse2")
      #expect(outcome.prepared?.prepareNs == 3 && outcome.prepared?.kernels == ["add-sse2": 2])
      #expect(outcome.warmed?.firstInferenceNs == 9 && outcome.sliceMediansNs == [2_000_000])
      let jobs = try String(contentsOf: folder.appendingPathComponent("jobs"), encoding: .utf8).split(separator: "\n")
      // Twice to find out, and one a job.
      #expect(jobs.count == 4)
      for part in [
        #""isa":"baseline""#, #""threads":2"#, #""inPlace":false"#, #""shape":[1,3,32,32]"#, #""minTime":0.25"#,
      ] {
        #expect(jobs[3].contains(part), "\(part) in \(jobs[3])")
      }
    }
  }

  @Test func `it is interleaved with a worker of today`() async throws {
    try await inFolder { folder in
      let today = script(
        """
        read job; \(echo(.hello(.init(engine: "new", version: "2", interleaves: true)), .prepared(.init(loadNs: 1, prepareNs: 1)), .ready))
        read line || exit 0; \(echo(.warmed(.init(firstInferenceNs: 1, iterations: 0, timeNs: 0, steady: true))))
        while read line; do \(echo(.sample(.init(latenciesNs: [2_000_000])))); done
        """)
      let workers = Workers(own: script(Self.body(folder), version: nil), cacheFolder: folder)
      let job = Job(.latency, Configuration(model: "resnet-18"))
      let outcomes = await ProcessLauncher().pair(
        try await workers.assignment(Configuration(model: "resnet-18"), job), Assignment(today, job), aFirst: true,
        Interleaving(least: 4), timeout: 60)
      #expect(outcomes.a.sliceMediansNs == [1e6, 1e6, 1e6, 1e6] && outcomes.b.sliceMediansNs == [2e6, 2e6, 2e6, 2e6])
    }
  }
}

/// Pacer's own worker, in this process.
@Suite struct WorkerTests {
  private func lines(_ job: Job, _ input: [String] = [], catalog: WorkerCatalog = WorkerCatalog()) throws
    -> [WorkerLine]
  {
    var (lines, rest) = ([WorkerLine](), input[...])
    try Worker(catalog: catalog, nextLine: { rest.popFirst() }, emit: { lines.append($0) }).run(job)
    return lines
  }

  private var small: Configuration {
    var configuration = Configuration(model: "resnet-18")
    configuration[Axes.shape] = [1, 3, 32, 32]
    configuration[Axes.passes] = standardPasses.map(\.name)
    return configuration
  }

  @Test func `each line has one meaning, in its order`() throws {
    var job = Job(.latency, small)
    (job.iterations, job.warmup, job.interleaved) = (2, 1, true)
    func kinds(_ lines: [WorkerLine]) throws -> [String] {
      struct Kind: Decodable { var kind: String }
      return try lines.map { try JSONDecoder().decode(Kind.self, from: JSONEncoder().encode($0)).kind }
    }
    let interleaved = try lines(job, ["slice", "slice", "slice"])
    #expect(try kinds(interleaved).prefix(6) == ["hello", "prepared", "ready", "warmed", "sample", "sample"])
    job.interleaved = nil
    #expect(try kinds(lines(job)).prefix(4) == ["hello", "prepared", "warmed", "sample"])
    #expect(try kinds(lines(Job(.idle))).first == "hello")
  }

  @Test func `an axis it does not know is an error, not another measurement`() throws {
    var configuration = small
    configuration["colour"] = .text("red")
    let error = #expect(throws: UserError.self) { try lines(Job(.latency, configuration)) }
    #expect(error?.description.contains("no axis \"colour\"") == true)
    // Unless the catalogue says what it does.
    var catalog = WorkerCatalog()
    catalog.axes["colour"] = { choice, options in options.threads = choice.text == "red" ? 2 : 1 }
    #expect(
      try lines(Job(.output, configuration), catalog: catalog).contains { if case .output = $0 { true } else { false } }
    )
  }

  @Test func `a probe from outside is told of the work and asked what it read`() throws {
    final class CallProbe: Probe {
      private var (begun, iterations) = (0, 0)
      func begin() { begun += 1 }
      func end(iterations: Int) { self.iterations += iterations }
      var readings: [WorkerLine.Reading] {
        [.init("slices", Double(begun)), .init("iterations", Double(iterations))]
      }
    }
    var catalog = WorkerCatalog()
    catalog.probes.append(ProbeDeclaration(.timed) { _ in CallProbe() })
    var job = Job(.latency, small)
    (job.iterations, job.warmup, job.interleaved) = (5, 0, true)
    let lines = try lines(job, ["w", "s", "s", "s"], catalog: catalog)
    let readings = JobOutcome(lines)
    #expect(readings.reading("slices") == 3 && readings.reading("iterations") == 15)
  }

  @Test func `every iteration of nothing is timed`() throws {
    var configuration = small
    configuration[Axes.backend] = "null"
    var job = Job(.latency, configuration)
    (job.iterations, job.warmup) = (20_000, 100)
    let sample = try #require(JobOutcome(try lines(job)).samples.first)
    #expect(sample.latenciesNs.count == 20_000 && sample.latenciesNs.allSatisfy { $0 > 0 })
  }
}
