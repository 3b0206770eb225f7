import Foundation
import PacerBench
import Synchronization
import Testing

@testable import BenchModel
@testable import BenchProtocol
@testable import BenchReport
@testable import BenchRunner
@testable import BenchStatistics
@testable import BenchWorker

private let rapl = MadeUpSystem.rapl

@Suite struct ProbeRelayTests {
  private func facts(_ text: String) -> LineFacts {
    var text = text
    return text.withUTF8 { LineFacts(UnsafeRawBufferPointer($0)) }
  }

  @Test func `a line tells what matters of it, in any order, and nothing where it is none`() {
    let sample = facts(
      #" { "x" : {"kind":"metric","a":[1,"]}"]} , "latenciesNs" : [ 1, 2,3 ], "kind":"sample" , "timed":12 }"#)
    #expect(sample.kind == "sample" && sample.timed == 12 && sample.latencies == 3)
    #expect(facts(#"{"latenciesNs":[],"kind":"sample"}"#).latencies == 0)
    #expect(facts(#"{"latenciesNs":"x","kind":"sample"}"#).latencies == nil)
    let metric = facts(#"{"unavailable":"a \"quote\\","value":null,"kind":"metric","name":"energy"}"#)
    #expect(metric.kind == "metric" && metric.name == "energy")
    for text in [
      "", "{", "[1]", "null", "{\"kind\"", "{\"kind\":", "{\"kind\":7}", "{\"a\":\"\\", "{\"latenciesNs\":[1,",
    ] {
      #expect(facts(text).kind == nil, "\(text)")
    }
    for line: WorkerLine in [
      .hello(.init(engine: "e\"", version: "\\")),
      .warmed(.init(firstInferenceNs: 1, iterations: 0, timeNs: 0, steady: true)),
      .sample(.init(latenciesNs: [1, 2], timed: 4)),
    ] {
      let text = String(decoding: try! JSONEncoder().encode(line), as: UTF8.self)
      #expect(text.contains("\"\(facts(text).kind!)\""))
    }
  }

  private static let hasSupervisor = WorkerProgram.path != nil
  private static let head = echo(
    .hello(.init(engine: "fake", version: "1", interleaves: true)), .prepared(.init(loadNs: 1, prepareNs: 1)))
  private static let warmed = echo(.warmed(.init(firstInferenceNs: 1, iterations: 0, timeNs: 0, steady: true)))
  private static let sample = echo(.sample(.init(latenciesNs: [1000, 1000])))

  /// A worker in shell that spends energy of a made-up machine: much in its warm-up, 3 mJ in a slice of two iterations.
  private func peer(_ system: MadeUpSystem, end: String = ":") -> WorkerCommand {
    script(
      """
      spend() { read n < '\(system.url("\(rapl)/energy_uj").path)'; echo $((n + $1)) > '\(system.url("\(rapl)/energy_uj").path)'; }
      read job; \(Self.head)
      case $job in
      *'"interleaved":true'*)
        \(echo(.ready)); read line || exit 0; spend 1000000; \(Self.warmed)
        while read line; do spend 3000; \(Self.sample); done ;;
      *) spend 1000000; \(Self.warmed); read line; spend 3000; \(Self.sample) ;;
      esac
      \(end)
      """)
  }

  private let job = Job(.latency, Configuration(model: "resnet-18"))

  private func launcher(_ system: MadeUpSystem) -> ProcessLauncher {
    ProcessLauncher(environment: [SystemTree.variable: system.folder.path])
  }

  @Test(.enabled(if: hasSupervisor, "no supervisor beside this program"))
  func `the supervisor measures the slices of another engine's worker, and its warm-up not`() async throws {
    let system = try MadeUpSystem(MadeUpSystem.packageFiles("100", range: "999999999999"))
    let outcomes = await launcher(system).pair(
      Assignment(peer(system), job), Assignment(peer(system), job), aFirst: true, Interleaving(least: 4), timeout: 60)
    for outcome in [outcomes.a, outcomes.b] {
      #expect(outcome.failure == nil && outcome.samples.count == 4)
      #expect(abs((outcome.reading("energy") ?? 0) - 0.0015) < 1e-12, "\(outcome.readings)")
      #expect(outcome.readings.contains { $0.name == "temperature" && $0.unavailable == "no thermal zone" })
      #expect(outcome.readings.contains { $0.name == "voluntary-switches" })
    }
  }

  @Test(.enabled(if: hasSupervisor, "no supervisor beside this program"))
  func `of a worker that is not interleaved what comes after the warm-up is measured`() async throws {
    let system = try MadeUpSystem(MadeUpSystem.packageFiles("100", range: "999999999999"))
    let relay = ProbeRelay(system.tree)
    func bytes(_ line: some Encodable, _ take: (UnsafeRawBufferPointer) -> Void) throws {
      try JSONEncoder().encode(line).withUnsafeBytes(take)
    }
    relay.start(process: getpid())
    try bytes(job, relay.fromRunner)
    try system.write("700000", to: "\(rapl)/energy_uj")
    #expect(relay.readings.isEmpty)
    try bytes(WorkerLine.warmed(.init(firstInferenceNs: 1, iterations: 0, timeNs: 0, steady: true)), relay.fromWorker)
    try system.write("703000", to: "\(rapl)/energy_uj")
    try bytes(WorkerLine.sample(.init(latenciesNs: [1], timed: 2)), relay.fromWorker)
    let energy = relay.readings.first { $0.name == "energy" }?.value
    #expect(abs((energy ?? 0) - 0.0015) < 1e-12, "\(relay.readings)")
    let outcome = await launcher(system).run(Assignment(peer(system), job), timeout: 60)
    #expect(outcome.failure == nil && outcome.readings.contains { $0.name == "energy" }, "\(outcome)")
    // Other jobs, and Pacer's own workers, are left alone.
    let idle = await launcher(system).run(Assignment(peer(system), Job(.idle)), timeout: 60)
    #expect(idle.failure == nil && idle.readings.isEmpty)
    #expect(WorkerCommand("/usr/bin/python3", ["peer.py"]).needsProbes)
    #expect(!WorkerCommand("/x/pacer-worker").prefixed(["taskset", "-c", "1"]).needsProbes)
    #expect(!WorkerCommand("ssh", ["host", "peer"]).needsProbes)
  }

  @Test(.enabled(if: hasSupervisor, "no supervisor beside this program"))
  func `what a worker tells itself is not told again`() async throws {
    let system = try MadeUpSystem(MadeUpSystem.packageFiles("100", range: "999999999999"))
    let own = echo(.metric(.init("energy", 7)), .metric(.init("throttled", unavailable: "mine")))
    let outcome = await launcher(system).run(Assignment(peer(system, end: own), job), timeout: 60)
    #expect(outcome.readings.filter { $0.name == "energy" } == [.init("energy", 7)])
    #expect(outcome.readings.filter { $0.name == "throttled" } == [.init("throttled", unavailable: "mine")])
    #expect(outcome.readings.last?.name != "throttled" && outcome.readings.count > 2)
  }

  @Test(.enabled(if: hasSupervisor, "no supervisor beside this program"))
  func `a worker ends as it does without a relay`() async throws {
    let system = try MadeUpSystem(MadeUpSystem.packageFiles("100", range: "999999999999"))
    func outcome(_ end: String) async -> JobOutcome {
      await launcher(system).run(Assignment(peer(system, end: end), job), timeout: 60)
    }
    #expect(await outcome("echo oops >&2; exit 3").failure == .exited(3, lastError: "oops"))
    #expect(await outcome("kill -ABRT $$").failure == .signalled(6, lastError: ""))
    #expect(await outcome("exec 1>&-; exit 0").failure == nil)
    // Half a line stays one, and nothing is put behind it.
    let half = await outcome("printf '{\"kind\":\"met'; kill -KILL $$")
    #expect(half.failure?.description.contains("no protocol line") == true, "\(String(describing: half.failure))")
    #expect(half.readings.isEmpty)
    if case .late = await launcher(system).run(Assignment(script("sleep 600"), job), timeout: 0.3).failure {
    } else {
      Issue.record("it was not ended")
    }
    let absent = await launcher(system).run(
      Assignment(WorkerCommand("/nonexistent/worker", version: 2), job), timeout: 60)
    #expect(absent.failure?.description.contains("not found") == true)
  }

  @Test(.enabled(if: hasSupervisor, "no supervisor beside this program"), arguments: [20 << 20, 66 << 20])
  func `lines of many mebibytes are passed on as they are`(length: Int) async throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: WorkerProgram.path!)
    let text =
      "read job; head -c \(length) /dev/zero | tr '\\0' x; echo; \(Self.warmed); \(Self.sample); printf end; exit 7"
    process.arguments = ["supervise", "--probes", "--", "/bin/sh", "-c", text]
    let (input, output) = (Pipe(), Pipe())
    (process.standardInput, process.standardOutput) = (input, output)
    try process.run()
    try input.fileHandleForWriting.write(contentsOf: JSONEncoder().encode(job) + Data("\n".utf8))
    try input.fileHandleForWriting.close()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let lines = data.split(separator: UInt8(ascii: "\n"))
    #expect(process.terminationStatus == 7 && lines.count == 4)
    #expect(lines[0].count == length && lines[0].allSatisfy { $0 == UInt8(ascii: "x") })
    #expect(String(decoding: lines[3], as: UTF8.self) == "end")
  }

  @Test(.enabled(if: hasSupervisor, "no supervisor beside this program"))
  func `where the runner goes, the worker and what it started go too`() async throws {
    let system = try MadeUpSystem()
    let note = system.url("child").path
    let body = "\(Self.head); setsid sh -c 'echo $$ > \(note).new; mv \(note).new \(note); exec sleep 600' & sleep 600"
    let task = Task { [job] in await launcher(system).run(Assignment(script(body), job), timeout: 600) }
    while !FileManager.default.fileExists(atPath: note) { try await Task.sleep(for: .milliseconds(20)) }
    task.cancel()
    #expect(await task.value.failure == .interrupted)
    let child = try String(contentsOfFile: note, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
    func isAlive() -> Bool {
      (try? String(contentsOfFile: "/proc/\(child)/stat", encoding: .utf8)).map { !$0.contains(") Z ") } ?? false
    }
    for _ in 0..<1000 where isAlive() { try await Task.sleep(for: .milliseconds(20)) }
    #expect(!isAlive())
  }

  @Test(.enabled(if: hasSupervisor, "no supervisor beside this program"), arguments: [[], ["--probes"]])
  func `a runner that dies leaves nothing either`(options: [String]) async throws {
    let note = try MadeUpSystem().url("child").path
    let (ours, theirs) = try Supervisor.socketPair()
    let process = Process()
    process.executableURL = URL(fileURLWithPath: WorkerProgram.path!)
    let body = "setsid sh -c 'echo $$ > \(note).new; mv \(note).new \(note); exec sleep 600' & sleep 600"
    process.arguments = ["supervise"] + options + ["--", "/bin/sh", "-c", body]
    process.standardInput = FileHandle(fileDescriptor: theirs, closeOnDealloc: true)
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    while !FileManager.default.fileExists(atPath: note) { try await Task.sleep(for: .milliseconds(20)) }
    close(ours)
    process.waitUntilExit()
    #expect(process.terminationStatus == 129)
    let child = try String(contentsOfFile: note, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
    #expect(!FileManager.default.fileExists(atPath: "/proc/\(child)"))
  }
}
