import Foundation
import Pacer
import Testing

@Suite struct StoredComparisonTests {
  private static let report = """
    # 1 → 2

    Of 2 configurations in both, 1 exact figures are worse, 1 better, 0 changed; \
    of 1 ratios within a run, 0 rose and 1 fell beyond both intervals.

    Times of different sessions are not compared: only exact figures, and ratios taken within one run.

    ## What changed exactly

    | cell                  | metric           | base | head |     verdict |
    | --------------------- | ---------------- | ---: | ---: | ----------: |
    | mobilenet-v2: all off | heap-allocations |  255 |  254 | IMPROVEMENT |
    | mobilenet-v2: freeze  | heap-allocations |  255 |  256 |  REGRESSION |

    ## Ratios within a run

    `~`: the intervals of the two runs have values in common.

    | cell                 | to      |  base |     ± |  head |     ± | change |
    | -------------------- | ------- | ----: | ----: | ----: | ----: | -----: |
    | mobilenet-v2: freeze | all off | 0.910 | ±1.1% | 0.810 | ±1.2% |   -11% |

    ## In one version only

    | cell                          | measured in | in the other |
    | ----------------------------- | ----------- | ------------ |
    | mobilenet-v2: prepack-weights | base        | no such cell |
    | mobilenet-v2: fuse-add-relu   | head        | no such cell |

    """

  /// A result with one measured cell per entry.
  private func file(_ version: String, _ entries: [(passes: [String], heap: Double, ratio: [Double])]) -> ResultFile {
    let all = Catalog.standard().passes.map(\.name)
    let cells = entries.map { entry in
      var cell = Cell(model: "mobilenet-v2")
      cell.passes = entry.passes
      var result = CellResult(cell: cell, label: cell.label(allPasses: all))
      result.status = .measured
      result.figures["heap-allocations"] = entry.heap
      if !entry.ratio.isEmpty {
        result.baseline = Cell(model: "mobilenet-v2").id
        result.ratio = Estimate(geometric: entry.ratio)
      }
      return result
    }
    return ResultFile(
      version: version, suite: "t", suiteDigest: "d", started: "now", command: "test",
      environment: .current(processor: "P", isa: "avx2", git: version), cells: cells)
  }

  private func compare(_ base: ResultFile, _ head: ResultFile) -> Comparison {
    Comparison(base: base, head: head, catalog: .standard())
  }

  @Test func `the report of a comparison`() {
    let base = file(
      "1", [([], 255, []), (["freeze"], 255, [0.90, 0.905, 0.91, 0.915, 0.92]), (["prepack-weights"], 7, [0.5, 0.6])])
    let head = file(
      "2", [([], 254, []), (["freeze"], 256, [0.80, 0.805, 0.81, 0.815, 0.82]), (["fuse-add-relu"], 9, [0.9, 0.9])])
    #expect(compare(base, head).report.markdown == Self.report)
  }

  @Test func `a figure that only one version has is changed, not better or worse`() {
    var head = file("2", [([], 1, [])])
    let base = file("1", [([], 1, [])])
    head.cells[0].figures["arena-bytes"] = 64
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

  @Test func `a cell that failed in one version is named with its reason`() {
    let base = file("1", [([], 1, [])])
    var head = base
    (head.cells[0].status, head.cells[0].reason) = (.failed, "it crashed")
    let comparison = compare(base, head)
    #expect(comparison.exact.cells == 0 && comparison.exact.lonely.map(\.reason) == ["failed: it crashed"])
    #expect(comparison.verdict == "Nothing to compare: no cell is measured in both.")
  }

  @Test func `other processors and compilers are noted`() {
    let base = file("1", [([], 1, [])])
    var head = base
    head.environment.processor = "Q"
    head.environment.libc = "other"
    #expect(compare(base, head).notes.count == 2)
    #expect(compare(base, base).notes.isEmpty)
  }
}
