import Foundation
#if canImport(FoundationXML)
  import FoundationXML
#endif
import Pacer
import Testing

@testable import BenchKit

private let toolchain = "Swift 9, glibc 9"

/// A counted cell of MobileNetV2.
private func cell(_ passes: [String], _ figures: [String: Double], graph: String = "g") -> CellResult {
  var cell = Cell(model: "mobilenet-v2")
  cell.passes = passes
  var result = CellResult(cell: cell, label: cell.label(allPasses: Catalog.standard().passes.map(\.name)))
  result.status = .measured
  result.figures = figures
  result.prepared = .init(loadTime: 0, optimiseTime: 0, prepareTime: 0, graph: graph)
  return result
}

/// A timed cell whose pairs all have the same ratio.
private func time(_ verdict: TimeVerdict, ratio: Double = 1, pairs: Int = 12) -> Comparison.CellTime {
  var series = PairSeries(label: "all on", model: "mobilenet-v2")
  series.pairs = (0..<pairs).map { _ in
    Pair(base: 1e6, head: 1e6 * ratio, difference: log(ratio), baseFirst: true, processors: [0])
  }
  var decision = TimeRule.Decision()
  decision.verdict = verdict
  return Comparison.CellTime(series: series, decision: decision)
}

private func gate(
  _ differences: [ExactComparison.Verdict] = [], times: [TimeVerdict]? = nil, counted: Int = 2, isStrict: Bool = false,
  change: (inout GateResult) -> Void = { _ in }
) -> GateResult {
  var result = GateResult(version: "v", policy: .init(isStrict: isStrict, reportsImprovement: true))
  result.cells = (0..<counted).map {
    var cell = Cell(model: "m")
    cell.threads = $0 + 1
    return .init(CellResult(cell: cell, label: "c\($0)"))
  }
  result.differences = differences.enumerated().map {
    .init(
      model: "m", cell: "c\($0)", metric: "heap-allocations", base: "1", head: "2", verdict: $1,
      id: result.cells.indices.contains($0) ? result.cells[$0].id : "\($0)")
  }
  if let times {
    var comparison = Comparison(
      baseVersion: "b", headVersion: "h", exact: ExactComparison(base: [], head: [], catalog: .standard()))
    comparison.times = times.map { time($0) }
    result.comparison = comparison
  }
  change(&result)
  return result
}

@Suite struct GateVerdictTests {
  @Test func `verdicts and exit codes`() {
    let wrongAndWorse = gate([.regression]) { $0.wrong = "x" }
    let moved = gate(times: [.regression]) { $0.comparison!.invalid = "the control moved" }
    let worseAndMoved = gate([.regression], times: [.pass]) { $0.comparison!.invalid = "the control moved" }
    let failed = gate(times: [.unresolved, .pass]) { $0.comparison!.times[0].series.failure = "head: signal 11" }
    let crashing = gate(times: [.pass]) {
      $0.comparison!.exact.lonely = [.init(model: "m", cell: "c", side: "base", reason: "failed: x", hasFailed: true)]
    }
    let untimed = gate(times: [.unresolved], counted: 0) { $0.comparison!.times[0].series.pairs = [] }
    let layout = gate(times: [.regression]) { $0.comparison!.times[0].isLayout = true }
    let cases: [(GateResult, GateResult.Verdict, Int32)] = [
      (gate(), .pass, 0), (gate([.regression]), .regression, 2), (gate([.improvement]), .improvement, 4),
      (gate([.changed]), .pass, 0), (gate([.changed], isStrict: true), .regression, 2),
      (gate([.noData, .noData]), .noData, 5), (gate([.noData]), .pass, 0), (gate(counted: 0), .noData, 5),
      (gate(times: [.pass, .regression]), .regression, 2), (gate(times: [.unresolved]), .unresolved, 0),
      (gate(times: [.unresolved], isStrict: true), .unresolved, 6), (gate(times: [.improvement]), .improvement, 4),
      (gate([.regression]) { $0.isAccepted = true }, .pass, 0), (wrongAndWorse, .invalid, 3), (moved, .invalid, 3),
      (worseAndMoved, .regression, 2), (layout, .pass, 0),
      (failed, .invalid, 3), (crashing, .regression, 2), (untimed, .noData, 5),
      (gate([.noData]) { $0.differences[0].metric = Baseline.allFigures }, .noData, 5),
      (gate { $0.timingProblem = "shallow" }, .noData, 5), (gate { $0.note = "nothing changed" }, .pass, 0),
    ]
    for (index, (result, verdict, status)) in cases.enumerated() {
      #expect(result.verdict == verdict && result.exitStatus == status, "case \(index): \(result.sentence)")
    }
  }

  @Test func `JUnit has a case for each configuration, and escapes what XML would trip over`() throws {
    let result = gate([.regression, .noData], times: [.unresolved, .pass]) { $0.cells[0].cell = "a <b> & \"c\"" }
    let xml = result.junit
    // Two counted, two timed; no data on one metric is skipped, and so is a time that is not resolved.
    #expect(xml.contains(#"tests="4" failures="1" skipped="2""#), "\(xml)")
    #expect(xml.contains("m: a &lt;b&gt; &amp; &quot;c&quot;"))
    #expect(xml.contains(#"<failure message="REGRESSION: heap-allocations: 1 → 2"/>"#))
    let parser = XMLParser(data: Data(xml.utf8))
    #expect(parser.parse())
    #expect(gate(counted: 49).junit.contains(#"tests="49" failures="0" skipped="0""#))
  }

  @Test func `a gate without data fails in JUnit too, with the workers' own words`() {
    let results = ["base", "head"].map { side in
      var result = CellResult(cell: Cell(model: "m"), label: "c")
      (result.status, result.reason) = (.failed, "\(side) is not found")
      return result
    }
    let nothing = gate(times: [], counted: 0) {
      $0.comparison!.exact = ExactComparison(base: [results[0]], head: [results[1]], catalog: .standard())
    }
    #expect(nothing.verdict == .noData && nothing.sentence.contains("base failed: base is not found"))
    #expect(nothing.junit.contains(#"tests="1" failures="1""#) && nothing.junit.contains("head is not found"))
    let missing = gate([.noData]) { $0.differences[0].metric = Baseline.allFigures }
    #expect(missing.junit.contains(#"tests="2" failures="1""#) && missing.sentence.contains("--accept"))
    #expect(gate { $0.timingProblem = "shallow" }.junit.contains(#"failures="1""#))
    #expect(gate(counted: 0).junit.contains(#"failures="1""#))
  }

  @Test func `annotations name failures first and keep to one line`() {
    let result = gate([.changed, .regression]) { $0.differences[1].head = "50%\nmore" }
    #expect(
      result.annotations == [
        "::error title=Pacer gate%2C REGRESSION::m: c1: heap-allocations: 1 → 50%25%0Amore",
        "::warning title=Pacer gate%2C CHANGED::m: c0: heap-allocations: 1 → 2",
      ])
  }

  @Test func `the report of a gate`() {
    let text = gate([.regression], times: [.pass]).report.markdown
    #expect(
      text.hasPrefix(
        "# Pacer gate: REGRESSION\n\nREGRESSION: 2 configurations counted: exact metrics 1 worse; against b: "))
    #expect(text.contains("| m: c0 | heap-allocations |        1 |   2 | REGRESSION |"))
    #expect(text.contains("## Times") && text.contains("PASS"))
  }
}

@Suite struct BaselineTests {
  private let metrics = Catalog.standard().exactMetrics

  private func differences(_ baseline: Baseline, _ results: [CellResult], _ key: String = toolchain) -> [String] {
    baseline.differences(to: results, toolchain: key, metrics: metrics).map {
      "\($0.metric): \($0.base) → \($0.head) \($0.verdict.rawValue)"
    }
  }

  @Test func `what was accepted has no difference, and a direction once it changes`() {
    let old = [cell([], ["heap-allocations": 255, "arena-bytes": 1000, "instructions": 1_000_000])]
    let baseline = Baseline().accepting(old, toolchain: toolchain, metrics: metrics)
    #expect(differences(baseline, old).isEmpty)
    let new = [
      cell([], ["heap-allocations": 254, "arena-bytes": 1001, "instructions": 1_000_900], graph: "other")
    ]
    #expect(
      differences(baseline, new) == [
        "heap-allocations: 255 → 254 IMPROVEMENT", "arena-bytes: 1,000 B → 1,001 B REGRESSION",
        "graph: g → other CHANGED",
      ])
    #expect(
      differences(baseline, [cell([], ["heap-allocations": 255, "arena-bytes": 1000, "instructions": 1_002_000])])
        == ["instructions: 1,000,000 → 1,002,000 REGRESSION"])
  }

  @Test func `another compiler or C library is no data for what depends on it, never a difference`() {
    let baseline = Baseline().accepting(
      [cell([], ["heap-allocations": 255, "arena-bytes": 1000])], toolchain: toolchain, metrics: metrics)
    let other = [cell([], ["heap-allocations": 300, "arena-bytes": 1000])]
    #expect(
      differences(baseline, other, "Swift 10") == ["heap-allocations: no baseline for Swift 10 → 300 NO-DATA"])
  }

  @Test func `a cell that fails is a regression, one that cannot run or is new has no data`() {
    let baseline = Baseline().accepting([cell([], ["arena-bytes": 1])], toolchain: toolchain, metrics: metrics)
    var failed = cell([], [:])
    (failed.status, failed.reason) = (.failed, "it crashed")
    #expect(differences(baseline, [failed]) == ["status: measured → failed: it crashed REGRESSION"])
    (failed.status, failed.reason) = (.unavailable, "no valgrind")
    #expect(differences(baseline, [failed]) == ["status: measured → unavailable: no valgrind NO-DATA"])
    // What the suite no longer has is told of too: nothing goes on being promised that nobody looks at.
    let gone = "configuration: in the baseline → no longer in the suite CHANGED"
    #expect(
      differences(baseline, [cell(["freeze"], [:])]) == ["all figures: not in the baseline → measured NO-DATA", gone])
    var unknown = cell(["freeze"], [:])
    (unknown.status, unknown.reason) = (.unavailable, "no such device")
    #expect(
      differences(baseline, [unknown]) == [
        "all figures: not in the baseline → unavailable: no such device NO-DATA", gone,
      ])
  }

  @Test func `accepting keeps other toolchains until a figure changes, and what cannot be counted here`() {
    let first = Baseline().accepting(
      [cell([], ["heap-allocations": 9, "instructions": 1000])], toolchain: "other", metrics: metrics)
    let id = cell([], [:]).cell.id
    let second = first.accepting(
      [cell([], ["heap-allocations": 8, "instructions": 2000])], toolchain: toolchain, metrics: metrics)
    #expect(second.cells[id]?.toolchains.keys.sorted() == ["Swift 9, glibc 9", "other"])
    let third = second.accepting([cell([], ["heap-allocations": 8])], toolchain: toolchain, metrics: metrics)
    #expect(third == second)
    let fourth = third.accepting([cell([], ["heap-allocations": 7])], toolchain: toolchain, metrics: metrics)
    #expect(fourth.cells[id]?.toolchains == [toolchain: ["heap-allocations": 7, "instructions": 2000]])
  }

  @Test func `the patch that is printed turns the old file into the new one`() async throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID())")
    defer { try? FileManager.default.removeItem(at: folder) }
    let url = folder.appendingPathComponent("Suites/baselines/gate.json")
    let old = Baseline().accepting([cell([], ["arena-bytes": 1])], toolchain: toolchain, metrics: metrics)
    try old.write(to: url)
    let new = old.accepting([cell([], ["arena-bytes": 2])], toolchain: toolchain, metrics: metrics)
    let patch = try await new.patch(of: url, named: "Suites/baselines/gate.json")
    let file = folder.appendingPathComponent("patch")
    try Data(patch.utf8).write(to: file)
    let git = Process()
    git.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    git.arguments = ["git", "apply", file.path]
    git.currentDirectoryURL = folder
    try git.run()
    git.waitUntilExit()
    #expect(git.terminationStatus == 0, "\(patch)")
    #expect(try Baseline.read(url) == new)
  }

  @Test func `what is no baseline is refused with the next step`() throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID()).json")
    defer { try? FileManager.default.removeItem(at: url) }
    try Data("{\"schema\":\"other\",\"cells\":{}}".utf8).write(to: url)
    let error = #expect(throws: UserError.self) { try Baseline.read(url) }
    #expect(error?.description.contains("--accept") == true)
    #expect(try Baseline.read(url.appendingPathExtension("missing")) == nil)
  }
}
