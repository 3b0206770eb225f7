import Foundation
import PacerBench
#if canImport(FoundationXML)
  import FoundationXML
#endif
import Testing

@testable import BenchModel
@testable import BenchReport
@testable import BenchRunner
@testable import BenchStatistics
@testable import BenchWorker

private let toolchain = "Swift 9, glibc 9"

/// A counted row of MobileNetV2.
private func row(_ passes: [String], _ metrics: [String: Double], graph: String = "g") -> Row {
  var configuration = Configuration(model: "mobilenet-v2")
  configuration[Axes.passes] = passes
  var result = Row(configuration: configuration, label: Labels.of(configuration, .standard))
  result.status = .measured
  result.metrics = metrics
  result.prepared = .init(loadNs: 0, optimiseNs: 0, prepareNs: 0)
  result.prepared!.graph = graph
  return result
}

/// A timed row whose pairs all have the same ratio.
private func time(_ verdict: Verdict, ratio: Double = 1, pairs: Int = 12) -> Comparison.Timing {
  var series = PairSeries(label: "all passes", model: "mobilenet-v2")
  series.pairs = (0..<pairs).map { _ in
    Pair(base: 1e6, head: 1e6 * ratio, difference: log(ratio), baseFirst: true, processors: [0])
  }
  var decision = TimeRule.Decision()
  decision.verdict = verdict
  return Comparison.Timing(series, latencyMetric, decision)
}

private func gate(
  _ differences: [Verdict] = [], times: [Verdict]? = nil, counted: Int = 2, isStrict: Bool = false,
  change: (inout GateResult) -> Void = { _ in }
) -> GateResult {
  var result = GateResult(version: "v", policy: .init(isStrict: isStrict, reportsImprovement: true))
  result.rows = (0..<counted).map {
    var configuration = Configuration(model: "m")
    configuration[Axes.threads] = $0 + 1
    return .init(Row(configuration: configuration, label: "c\($0)"))
  }
  result.differences = differences.enumerated().map {
    .init(
      model: "m", configuration: "c\($0)", metric: "heap-allocations", base: "1", head: "2", verdict: $1,
      id: result.rows.indices.contains($0) ? result.rows[$0].id : "\($0)")
  }
  if let times {
    var comparison = Comparison(
      baseVersion: "b", headVersion: "h", exact: ExactComparison(base: [], head: [], catalog: .standard))
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
      $0.comparison!.exact.unmatched = [
        .init(model: "m", configuration: "c", side: "base", reason: "failed: x", hasFailed: true)
      ]
    }
    let untimed = gate(times: [.unresolved], counted: 0) { $0.comparison!.times[0] = time(.unresolved, pairs: 0) }
    let cases: [(GateResult, Verdict, Int32)] = [
      (gate(), .pass, 0), (gate([.regression]), .regression, 2), (gate([.improvement]), .improvement, 4),
      (gate([.changed]), .pass, 0), (gate([.changed], isStrict: true), .regression, 2),
      (gate([.noData, .noData]), .noData, 5), (gate([.noData]), .pass, 0), (gate(counted: 0), .noData, 5),
      (gate(times: [.pass, .regression]), .regression, 2), (gate(times: [.unresolved]), .unresolved, 0),
      (gate(times: [.unresolved], isStrict: true), .unresolved, 6), (gate(times: [.improvement]), .improvement, 4),
      (gate([.regression]) { $0.isAccepted = true }, .pass, 0), (wrongAndWorse, .invalid, 3), (moved, .invalid, 3),
      (worseAndMoved, .regression, 2),
      (failed, .invalid, 3), (crashing, .regression, 2), (untimed, .noData, 5),
      (gate([.noData]) { $0.differences[0].metric = Baseline.allMetrics }, .noData, 5),
      (gate { $0.timingProblem = "shallow" }, .noData, 5), (gate { $0.note = "nothing changed" }, .pass, 0),
    ]
    for (index, (result, verdict, status)) in cases.enumerated() {
      #expect(result.verdict == verdict && result.exitStatus == status, "case \(index): \(result.sentence)")
    }
  }

  @Test func `JUnit has a case for each configuration, and escapes what XML would trip over`() throws {
    let result = gate([.regression, .noData], times: [.unresolved, .pass]) {
      $0.rows[0].configuration = "a <b> & \"c\""
    }
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
      var result = Row(configuration: Configuration(model: "m"), label: "c")
      (result.status, result.reason) = (.failed, "\(side) is not found")
      return result
    }
    let nothing = gate(times: [], counted: 0) {
      $0.comparison!.exact = ExactComparison(base: [results[0]], head: [results[1]], catalog: .standard)
    }
    #expect(nothing.verdict == .noData && nothing.sentence.contains("base failed: base is not found"))
    #expect(nothing.junit.contains(#"tests="1" failures="1""#) && nothing.junit.contains("head is not found"))
    let missing = gate([.noData]) { $0.differences[0].metric = Baseline.allMetrics }
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
        "# Pacer gate: REGRESSION\n\nREGRESSION: 2 configurations counted: deterministic metrics 1 worse; against b: "))
    #expect(text.replacing(#/ +/#, with: " ").contains("| m: c0 | heap-allocations | 1 | 2 | REGRESSION |"))
    #expect(text.contains("## Times") && text.contains("PASS"))
  }
}

@Suite struct BaselineTests {
  private let metrics = Catalog.standard.deterministicMetrics

  private func differences(_ baseline: Baseline, _ results: [Row], _ key: String = toolchain) -> [String] {
    baseline.differences(to: results, toolchain: key, metrics: metrics).map {
      "\($0.metric): \($0.base) → \($0.head) \($0.verdict.rawValue)"
    }
  }

  @Test func `what was accepted has no difference, and a direction once it changes`() {
    let old = [row([], ["heap-allocations": 255, "arena-bytes": 1000, "instructions": 1_000_000])]
    let baseline = Baseline().accepting(old, toolchain: toolchain, metrics: metrics)
    #expect(differences(baseline, old).isEmpty)
    let new = [
      row([], ["heap-allocations": 254, "arena-bytes": 1001, "instructions": 1_000_900], graph: "other")
    ]
    #expect(
      differences(baseline, new) == [
        "heap-allocations: 255 → 254 IMPROVEMENT", "arena-bytes: 1,000 B → 1,001 B REGRESSION",
        "graph: g → other CHANGED",
      ])
    #expect(
      differences(baseline, [row([], ["heap-allocations": 255, "arena-bytes": 1000, "instructions": 1_002_000])])
        == ["instructions: 1,000,000 → 1,002,000 REGRESSION"])
  }

  @Test func `another compiler or C library is no data for what depends on it, never a difference`() {
    let baseline = Baseline().accepting(
      [row([], ["heap-allocations": 255, "arena-bytes": 1000])], toolchain: toolchain, metrics: metrics)
    let other = [row([], ["heap-allocations": 300, "arena-bytes": 1000])]
    #expect(
      differences(baseline, other, "Swift 10") == ["heap-allocations: no baseline for Swift 10 → 300 NO-DATA"])
  }

  @Test func `a row that fails is a regression, one that cannot run or is new has no data`() {
    let baseline = Baseline().accepting([row([], ["arena-bytes": 1])], toolchain: toolchain, metrics: metrics)
    var failed = row([], [:])
    (failed.status, failed.reason) = (.failed, "it crashed")
    #expect(differences(baseline, [failed]) == ["status: measured → failed: it crashed REGRESSION"])
    (failed.status, failed.reason) = (.unavailable, "no valgrind")
    #expect(differences(baseline, [failed]) == ["status: measured → unavailable: no valgrind NO-DATA"])
    // What the suite no longer has is told of too: nothing goes on being promised that nobody looks at.
    let gone = "configuration: in the baseline → no longer in the suite CHANGED"
    #expect(
      differences(baseline, [row(["freeze"], [:])]) == ["all metrics: not in the baseline → measured NO-DATA", gone])
    var unknown = row(["freeze"], [:])
    (unknown.status, unknown.reason) = (.unavailable, "no such device")
    #expect(
      differences(baseline, [unknown]) == [
        "all metrics: not in the baseline → unavailable: no such device NO-DATA", gone,
      ])
  }

  @Test func `accepting keeps other toolchains until a metric changes, and what cannot be counted here`() {
    let first = Baseline().accepting(
      [row([], ["heap-allocations": 9, "instructions": 1000])], toolchain: "other", metrics: metrics)
    let id = row([], [:]).id
    let second = first.accepting(
      [row([], ["heap-allocations": 8, "instructions": 2000])], toolchain: toolchain, metrics: metrics)
    #expect(second.rows[id]?.toolchains.keys.sorted() == ["Swift 9, glibc 9", "other"])
    let third = second.accepting([row([], ["heap-allocations": 8])], toolchain: toolchain, metrics: metrics)
    #expect(third == second)
    let fourth = third.accepting([row([], ["heap-allocations": 7])], toolchain: toolchain, metrics: metrics)
    #expect(fourth.rows[id]?.toolchains == [toolchain: ["heap-allocations": 7, "instructions": 2000]])
  }

  @Test func `the patch that is printed turns the old file into the new one`() async throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID())")
    defer { try? FileManager.default.removeItem(at: folder) }
    let url = folder.appendingPathComponent("Suites/baselines/gate.json")
    let old = Baseline().accepting([row([], ["arena-bytes": 1])], toolchain: toolchain, metrics: metrics)
    try old.write(to: url)
    let new = old.accepting([row([], ["arena-bytes": 2])], toolchain: toolchain, metrics: metrics)
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
    try Data("{\"schema\":\"other\",\"rows\":{}}".utf8).write(to: url)
    let error = #expect(throws: UserError.self) { try Baseline.read(url) }
    #expect(error?.description.contains("--accept") == true)
    #expect(try Baseline.read(url.appendingPathExtension("missing")) == nil)
  }
}
