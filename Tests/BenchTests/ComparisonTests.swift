import Foundation
import PacerBench
import Testing

@testable import BenchModel
@testable import BenchReport
@testable import BenchRunner
@testable import BenchStatistics
@testable import BenchWorker

@Suite struct PlacementComparisonTests {
  @Test func `an op that lost its driver is a finding, with its reason`() throws {
    func rows(_ placement: WorkerLine.Prepared.Placement) -> [Row] {
      var configuration = Configuration(model: "mobilenet-v2")
      configuration[Axes.backend] = "nnapi"
      var maker = RecordMaker([PlannedConfiguration(configuration: configuration, baseline: nil)])
      maker.inspect(0) { $0.prepared?.placement = placement }
      return maker.record().rows
    }
    let base = rows(.init(nodes: ["npu": 29], reasons: [:], copies: 2, copiedBytes: 600))
    let head = rows(
      .init(
        nodes: ["npu": 20, "nnapi-reference": 8, "cpu": 1], reasons: ["npu: npu has no HARD_SWISH": 9], copies: 6,
        copiedBytes: 900))
    let comparison = ExactComparison(base: base, head: head, catalog: .standard)
    #expect(
      comparison.differences.map { "\($0.metric): \($0.base) → \($0.head), \($0.verdict)" } == [
        "delegated-nodes: 29 → 20, regression", "border-copies: 2 → 6, regression",
        "border-bytes: 600 B → 900 B, regression",
        "placement: 29 on npu → 20 on npu, 8 on nnapi-reference, 1 on cpu (9 × npu: npu has no HARD_SWISH), changed",
      ])
    #expect(ExactComparison(base: base, head: base, catalog: .standard).differences.isEmpty)
  }
}

@Suite struct StoredComparisonTests {
  private static let report = """
    # 1 → 2

    Of 2 configurations in both, 1 deterministic metrics are worse, 1 better, 0 changed; \
    of 1 ratios within a run, 0 rose and 1 fell beyond both intervals.

    Absolute times from separate runs are not comparable: only deterministic metrics are, and ratios within one run.

    ## Deterministic metrics that changed

    | configuration              | metric           | base | head |     verdict |
    | -------------------------- | ---------------- | ---: | ---: | ----------: |
    | mobilenet-v2: no passes    | heap-allocations |  255 |  254 | IMPROVEMENT |
    | mobilenet-v2: freeze alone | heap-allocations |  255 |  256 |  REGRESSION |

    ## Ratios within a run

    `~`: the intervals of the two runs have values in common.

    | configuration              | to        |  base |     ± |  head |     ± | change |
    | -------------------------- | --------- | ----: | ----: | ----: | ----: | -----: |
    | mobilenet-v2: freeze alone | no passes | 0.910 | ±1.3% | 0.810 | ±1.4% |   -11% |

    ## In one version only

    | configuration                       | measured in | in the other          |
    | ----------------------------------- | ----------- | --------------------- |
    | mobilenet-v2: prepack-weights alone | base        | no such configuration |
    | mobilenet-v2: fuse-add-relu alone   | head        | no such configuration |

    """

  /// A record with one measured row per entry.
  private func file(
    _ version: String, _ entries: [(passes: [String], heap: Double, ratio: [Double])],
    change: (inout MachineDescription) -> Void = { _ in }
  ) -> Record {
    let plan = entries.map { entry in
      var configuration = Configuration(model: "mobilenet-v2")
      configuration[Axes.passes] = entry.passes
      return PlannedConfiguration(configuration: configuration, baseline: entry.passes.isEmpty ? nil : 0)
    }
    var maker = RecordMaker(plan, version: version, suite: "t", started: "now")
    guard case .start(var start) = maker.lines[0] else { fatalError("a record starts") }
    change(&start.environment)
    maker.lines[0] = .start(start)
    for (row, entry) in entries.enumerated() {
      maker.inspect(row, metrics: ["heap-allocations": entry.heap], hasOutput: false) { $0.prepared = nil }
    }
    var record = maker.record()
    for (row, entry) in entries.enumerated() {
      record.rows[row].ratio = entry.ratio.isEmpty ? nil : Estimate(geometric: entry.ratio)
      if entry.ratio.isEmpty || entries[0].passes != [] { record.rows[row].baseline = nil }
      if !entry.ratio.isEmpty { record.rows[row].baseline = Configuration(model: "mobilenet-v2").id }
    }
    return record
  }

  private func compare(_ base: Record, _ head: Record) -> Comparison {
    Comparison(base: base, head: head, catalog: .standard)
  }

  @Test func `the report of a comparison`() {
    let base = file(
      "1", [([], 255, []), (["freeze"], 255, [0.90, 0.905, 0.91, 0.915, 0.92]), (["prepack-weights"], 7, [0.5, 0.6])])
    let head = file(
      "2", [([], 254, []), (["freeze"], 256, [0.80, 0.805, 0.81, 0.815, 0.82]), (["fuse-add-relu"], 9, [0.9, 0.9])])
    #expect(compare(base, head).report.markdown == Self.report)
  }

  @Test func `a metric that only one version has is changed, not better or worse`() {
    var head = file("2", [([], 1, [])])
    let base = file("1", [([], 1, [])])
    head.rows[0].metrics["arena-bytes"] = 64
    let differences = compare(base, head).exact.differences
    #expect(differences.map(\.verdict) == [.changed] && differences[0].base == "–" && differences[0].head == "64 B")
  }

  @Test func `overlapping intervals and single processes resolve nothing`() {
    let base = file("1", [(["freeze"], 1, [0.90, 0.95, 1.00])])
    #expect(!compare(base, file("2", [(["freeze"], 1, [0.92, 0.97, 1.02])])).ratios[0].isResolved)
    #expect(!compare(base, file("2", [(["freeze"], 1, [0.1])])).ratios[0].isResolved)
    // Four runs resolve nothing, however tight they are.
    let tight = file("1", [(["freeze"], 1, [0.9, 0.9, 0.9, 0.9])])
    #expect(!compare(tight, file("2", [(["freeze"], 1, [0.1, 0.1, 0.1, 0.1])])).ratios[0].isResolved)
  }

  @Test func `a row that failed in one version is named with its reason`() {
    let base = file("1", [([], 1, [])])
    var head = base
    (head.rows[0].status, head.rows[0].reason) = (.failed, "it crashed")
    let comparison = compare(base, head)
    #expect(comparison.exact.count == 0 && comparison.exact.unmatched.map(\.reason) == ["failed: it crashed"])
    #expect(comparison.verdict == "Nothing to compare: no configuration is measured in both.")
  }

  @Test func `other processors and compilers are noted`() {
    let base = file("1", [([], 1, [])])
    let head = file("1", [([], 1, [])]) { ($0.processor, $0.libc) = ("Q", "other") }
    #expect(compare(base, head).notes.count == 2)
    #expect(compare(base, base).notes.isEmpty)
  }
}
