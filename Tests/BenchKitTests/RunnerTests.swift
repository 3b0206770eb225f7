import Foundation
import Pacer
import Testing

@testable import BenchKit

private let hello = #"{"kind":"hello","engine":"fake","version":"1","protocol":1}"#
private let prepared = #"{"kind":"prepared","loadTime":1,"optimiseTime":2,"prepareTime":3,"passes":[],"kernels":{}}"#
private let sample =
  #"{"kind":"sample","firstInference":9,"warmup":0,"warmupTime":0,"steady":true,"latencies":[5000000]}"#

/// A worker that is a shell script.
private func script(_ body: String) -> WorkerCommand { WorkerCommand("/bin/sh", ["-c", body]) }

@Suite struct WorkerProtocolTests {
  @Test(arguments: [
    ("echo '\(hello)'; kill -SEGV $$", "signal 11"),
    ("echo '\(hello)'; echo oops >&2; exit 7", "status 7; it said: oops"),
    ("echo rubbish", "no protocol line"), ("echo '\(hello)'; echo '{\"kind\":\"sample\"}'", "no protocol line"),
    ("true", "without saying hello"), ("printf '\\000\\377\\n'", "no protocol line"),
    ("echo '{\"kind\":\"hello\",\"engine\":\"x\",\"version\":\"1\",\"protocol\":99}'", "speaks protocol 99"),
    ("echo '\(hello)'; echo '{\"kind\":\"failed\",\"reason\":\"no such thing\"}'", "no such thing"),
  ])
  func `a worker that goes wrong is a failure with its reason`(body: String, reason: String) async {
    let outcome = await script(body).run(Job(.idle))
    #expect(outcome.failure?.contains(reason) == true, "\(outcome.failure ?? "no failure")")
  }

  @Test func `a worker that hangs is ended, and so is what it started, in whatever session`() async throws {
    let late = await script("sleep 600").run(Job(.idle), timeout: 0.2)
    #expect(late.failure?.contains("no answer") == true && late.isLate)

    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let names = ["child", "apart"]
    let note = { (name: String) in
      "sh -c 'echo $$ > \(folder.path)/\(name).new; mv \(folder.path)/\(name).new \(folder.path)/\(name); exec sleep 600'"
    }
    let body = "\(note(names[0])) & setsid \(note(names[1])) & sleep 600"
    let run = Task { await script(body).run(Job(.idle), timeout: 600) }
    func identifiers() -> [String] {
      names.compactMap { try? String(contentsOf: folder.appendingPathComponent($0), encoding: .utf8) }
        .map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }
    }
    while identifiers().count < names.count { try await Task.sleep(for: .milliseconds(20)) }
    run.cancel()
    #expect(await run.value.failure == "interrupted")
    /// Whether a process still runs: an ended one that nobody has waited for does not.
    func isAlive(_ process: String) -> Bool {
      guard let stat = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8) else { return false }
      return !stat.contains(") Z ")
    }
    for _ in 0..<1000 where identifiers().contains(where: isAlive) { try await Task.sleep(for: .milliseconds(20)) }
    #expect(!identifiers().contains(where: isAlive))
  }

  @Test func `a worker that does not exist is a failure`() async {
    #expect(await WorkerCommand("/nonexistent/worker", []).run(Job(.idle)).failure != nil)
  }

  @Test func `lines survive the way to JSON and back`() throws {
    let lines: [WorkerLine] = [
      .hello(.init(engine: "e", version: "v", protocol: 1, isa: "avx2", processor: "p")),
      .output(.init(shape: [3], values: [.nan, -.infinity, 1.5])), .figure(.init("x", unavailable: "why")),
      .skipped(reason: "r"), .failed(reason: "f"), .note("n"),
    ]
    for line in lines {
      #expect(try JSONDecoder().decode(WorkerLine.self, from: JSONEncoder().encode(line)) == line)
    }
    let output = WorkerLine.Output(shape: [3], values: [.nan, -.infinity, 1.5])
    #expect(output.values?[0].isNaN == true && output.values?[1] == -.infinity)
    #expect(WorkerLine.Output(shape: [4], values: [1]).values == nil)
  }
}

@Suite struct RunnerTests {
  private func run(
    _ body: String, in folder: URL, cells: [String] = ["none", "all"], rounds: Int = 2,
    change: (inout [CellResult]) -> Void = { _ in }
  ) async throws -> ResultFile {
    let catalog = Catalog.standard()
    let suite = BenchKit.Suite(
      name: "t", budget: 1e6, cellBudget: 1e6, rounds: rounds,
      groups: [CellGroup(choices: ["model": ["mobilenet-v2"], "passes": cells, "backend": ["null"]], place: "test")])
    var results = try suite.cells(catalog)
    change(&results)
    let file = ResultFile(
      version: "v", suite: "t", suiteDigest: Suite.digest(results), started: "2026-01-01T00:00:00Z", command: "test",
      environment: .current(processor: "p", isa: "i", git: "g"), cells: results)
    return try await Runner(
      catalog: catalog, suite: suite, file: file, workers: Workers(own: script(body), cacheFolder: folder),
      resultURL: folder.appendingPathComponent("t.json")
    ) { _ in }.run()
  }

  private func temporaryFolder() throws -> URL {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID())")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    return url
  }

  @Test func `visits are kept, written and read back`() async throws {
    let folder = try temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let result = try await run("cat >/dev/null; echo '\(hello)'; echo '\(prepared)'; echo '\(sample)'", in: folder)
    #expect(result.isComplete && result.cells.allSatisfy { $0.status == .measured && $0.visits.count == 2 })
    #expect(abs((result.cells[0].latency?.value ?? 0) - 5_000_000) < 1)
    let read = try ResultFile.read(folder.appendingPathComponent("t.json"))
    #expect(read.cells.map(\.visits.count) == [2, 2] && read.cells[0].latency == result.cells[0].latency)
  }

  @Test func `one cell that crashes does not stop the suite`() async throws {
    let folder = try temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let body =
      "if grep -q freeze; then kill -ABRT $$; fi; echo '\(hello)'; echo '\(prepared)'; echo '\(sample)'"
    let result = try await run(body, in: folder)
    #expect(result.cells.map(\.status) == [.measured, .failed])
    #expect(result.cells[1].reason?.contains("signal 6") == true)
  }

  @Test func `cells with one graph are measured once and say so`() async throws {
    let folder = try temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let same = prepared.replacingOccurrences(of: "\"kernels\"", with: "\"graph\":\"abc\",\"kernels\"")
    let result = try await run("cat >/dev/null; echo '\(hello)'; echo '\(same)'; echo '\(sample)'", in: folder)
    #expect(result.cells.map(\.status) == [.measured, .same])
    #expect(result.cells[1].sameAs == result.cells[0].cell.id)
  }

  @Test func `however alike they are, a cell has as many runs as a verdict needs, and no more`() async throws {
    let folder = try temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let result = try await run(
      "cat >/dev/null; echo '\(hello)'; echo '\(prepared)'; echo '\(sample)'", in: folder, rounds: 10)
    #expect(result.cells.map(\.visits.count) == [Estimate.runsForVerdict, Estimate.runsForVerdict])
  }

  @Test func `a cell takes turns with its baseline, which is visited too`() async throws {
    let folder = try temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let takesTurns = hello.replacingOccurrences(of: "}", with: #","takesTurns":true}"#)
    // Twice as fast with freeze; both slower and slower from turn to turn.
    let body = """
      read job; case "$job" in *freeze*) fast=1;; *) fast=2;; esac
      echo '\(takesTurns)'; echo '\(prepared)'
      case "$job" in *takesTurns*) turn=0; empty='' ;; *) echo '\(sample)'; exit ;; esac
      while read line; do
        latency=$((fast * (turn + 2) * 1000000)); [ $turn -gt 0 ] && empty=$latency; turn=$((turn + 1))
        echo '{"kind":"sample","firstInference":9,"warmup":0,"warmupTime":0,"steady":true,"latencies":['$empty']}'
      done
      """
    let result = try await run(body, in: folder, rounds: 3) { $0[1].baseline = $0[0].cell.id }
    #expect(result.cells.map(\.visits.count) == [3, 3])
    let ratio = try #require(result.cells[1].ratio)
    #expect(abs(ratio.value - 0.5) < 1e-9 && ratio.count == 3 && result.cells[0].ratio == nil)
    #expect(result.cells[1].visits.allSatisfy { $0.sample.latencies.count >= Turns.fewest })
  }

  @Test func `a file in the folder's place is an error that says what to do`() async throws {
    let folder = try temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appendingPathComponent("file")
    try Data().write(to: file)
    let error = await #expect(throws: UserError.self) { try await run("true", in: file) }
    #expect(error?.description.contains("--output") == true)
  }

  @Test func `the report of a result`() async throws {
    let folder = try temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let body = "cat >/dev/null; echo '\(hello)'; echo '\(prepared)'; echo '\(sample)'"
    var result = try await run(body, in: folder, cells: ["none"])
    // What else ran here meanwhile is remarked on.
    for visit in result.cells[0].visits.indices { result.cells[0].visits[visit].figures["other-load"] = nil }
    let text = MarkdownReport().render(result, Catalog.standard()).replacing(#/ +/#, with: " ")
    #expect(text.contains("# Pacer, suite `t`, version v\n"))
    #expect(text.contains("| null, all off | 5.00 ms | ? | – | | 2 | – | – | – | – |"))
    let csv = CSVReport().render(result, Catalog.standard())
    #expect(csv.split(separator: "\n")[1].hasPrefix("mobilenet-v2,\"null, all off\",measured,2,"))
  }

  @Test(arguments: ["", "{}", "{\"schema\":\"other\"}", "[1,2"])
  func `what is no result file is refused`(text: String) throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID()).json")
    defer { try? FileManager.default.removeItem(at: url) }
    try Data(text.utf8).write(to: url)
    #expect(throws: UserError.self) { try ResultFile.read(url) }
  }
}
