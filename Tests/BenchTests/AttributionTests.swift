import Foundation
import PacerBench
import Testing

@testable import BenchModel
@testable import BenchReport
@testable import BenchRunner
@testable import BenchStatistics
@testable import BenchWorker

/// Records whose effects are known.
enum KnownResult {
  static let catalog = Catalog.standard
  static let passes = catalog.passes.map(\.name)

  /// A record in which each pass set has the ratio that `ratio` gives; nil leaves the row out.
  static func file(
    _ sets: [[String]], model: String = "mobilenet-v2", version: String = "1", ratio: (Set<String>) -> Double?
  ) -> Record {
    var record = maker(sets, model: model, version: version, ratio: ratio).record()
    for index in record.rows.indices where !record.rows[index][Axes.passes].isEmpty {
      let value = ratio(Set(record.rows[index][Axes.passes]))!
      record.rows[index].ratio = Estimate(geometric: [-1, 0, 1, 0, -1, 1].map { exp(0.001 * $0) * value })
    }
    return record
  }

  /// The same as lines, without runs.
  static func maker(
    _ sets: [[String]], model: String = "mobilenet-v2", version: String = "1", ratio: (Set<String>) -> Double?
  ) -> RecordMaker {
    let known = sets.filter { ratio(Set($0)) != nil }
    let baseline = known.firstIndex { $0.isEmpty }
    let plan = known.map { set in
      var configuration = Configuration(model: model)
      configuration[Axes.passes] = passes.filter(set.contains)
      return PlannedConfiguration(configuration: configuration, baseline: set.isEmpty ? nil : baseline)
    }
    var maker = RecordMaker(plan, version: version, started: "2026-01-0\(version.prefix(1))")
    for row in plan.indices { maker.inspect(row) }
    maker.end()
    return maker
  }

  static var every: [[String]] {
    (0..<(1 << passes.count)).map { bits in passes.indices.filter { bits >> $0 & 1 == 1 }.map { passes[$0] } }
  }
}

@Suite struct AttributionTests {
  private let a = KnownResult.passes[0]
  private let b = KnownResult.passes[1]

  private func isClose(_ effect: Attribution.Effect?, _ expected: Double) -> Bool {
    effect?.ratio.map { abs($0.value - expected) < 1e-9 && $0.low <= expected && expected <= $0.high } ?? false
  }

  @Test func `effects that multiply are found alone, last, in order and on average`() {
    let file = KnownResult.file(KnownResult.every) { set in
      (set.contains(a) ? 0.5 : 1) * (set.contains(b) ? 0.8 : 1)
    }
    let attribution = Attribution(file, model: "mobilenet-v2", catalog: KnownResult.catalog)
    for effect in [attribution.alone(a), attribution.last(a), attribution.inOrder(a), attribution.main(a)] {
      #expect(isClose(effect, 0.5))
    }
    #expect(attribution.main(a)?.places == 2048 && attribution.alone(a)?.finding == .faster)
    let together = attribution.interaction(a, b)
    #expect(isClose(together, 1) && together?.finding == Attribution.Effect.Finding.none)
    #expect(isClose(attribution.shapley(a), 0.5) && isClose(attribution.shapley(b), 0.8))
  }

  @Test func `passes that only help together share what they are worth`() {
    let file = KnownResult.file(KnownResult.every) { $0.isSuperset(of: [a, b]) ? 0.25 : 1 }
    let attribution = Attribution(file, model: "mobilenet-v2", catalog: KnownResult.catalog)
    #expect(isClose(attribution.alone(a), 1) && isClose(attribution.last(a), 0.25))
    #expect(isClose(attribution.interaction(a, b), 0.25) && isClose(attribution.main(a), 0.5))
    #expect(isClose(attribution.shapley(a), 0.5) && isClose(attribution.shapley(b), 0.5))
  }

  @Test func `what runs the same graph is worth exactly nothing`() {
    var file = KnownResult.file([[], [a]]) { _ in 0.9 }
    (file.rows[1].status, file.rows[1].sameAs, file.rows[1].ratio) = (.same, file.rows[0].id, nil)
    let effect = Attribution(file, model: "mobilenet-v2", catalog: KnownResult.catalog).alone(a)
    #expect(effect?.finding == .sameGraph && effect?.words == "same graph")
  }

  @Test func `a pass that came later is none of all the passes of an older result`() {
    // The record's own passes are those there were.
    var maker = KnownResult.maker([[], [a]]) { _ in 1 }
    guard case .start(var start) = maker.lines[0] else { return }
    start.passes = [a]
    maker.lines[0] = .start(start)
    var file = maker.record()
    file.rows[1].ratio = Estimate(geometric: [-1, 0, 1, 0, -1, 1].map { exp(0.001 * $0) * 0.5 })
    let attribution = Attribution(file, model: "mobilenet-v2", catalog: KnownResult.catalog)
    #expect(attribution.passes == [a] && attribution.last(a)?.words == "2.000× (1.998–2.002)")
    #expect(attribution.last(b) == nil && attribution.alone(b) == nil)
  }

  @Test func `what was not measured has no effect to tell of`() {
    let file = KnownResult.file([[], [a]]) { $0.isEmpty ? 1 : 0.5 }
    let attribution = Attribution(file, model: "mobilenet-v2", catalog: KnownResult.catalog)
    #expect(attribution.last(a) == nil && attribution.alone(b) == nil && attribution.shapley(a) == nil)
    #expect(attribution.alone(a)?.words == "2.000× (1.998–2.002)")
    #expect(!Attribution(file, model: "resnet-18", catalog: KnownResult.catalog).hasPasses)
  }

  @Test func `other options are held against the usual value`() throws {
    var file = KnownResult.file([[], KnownResult.passes]) { $0.isEmpty ? 1 : 0.5 }
    var configuration = file.rows[1].configuration
    configuration[Axes.allocator] = .arena
    var arena = Row(configuration: configuration, label: "all passes, arena")
    (arena.status, arena.baseline, arena.accuracy) = (.measured, file.rows[0].id, file.rows[1].accuracy)
    arena.ratio = Estimate(geometric: [Double](repeating: 0.4, count: 5))
    file.rows.append(arena)
    let option = try #require(
      Attribution(file, model: "mobilenet-v2", catalog: KnownResult.catalog).options.first)
    #expect(option.axis == "allocator" && option.from == "system" && option.to == "arena" && option.row == "all passes")
    #expect(isClose(option.effect, 0.8))
  }

  @Test func `the interval of a product covers the truth as often as it says`() {
    var generator = SeededGenerator(seed: 11)
    let covered = (0..<2000).count { _ in
      func estimate(_ n: Int, _ sigma: Double) -> Estimate {
        Estimate(geometric: (0..<n).map { _ in exp(sigma * generator.normal()) })
      }
      let quotient = estimate(5, 0.03).over(estimate(9, 0.01))
      return quotient.low <= 1 && 1 <= quotient.high
    }
    // 95 % of 2,000 with five standard deviations, and Welch's rounding down errs on the safe side.
    #expect((1850...1990).contains(covered), "\(covered)")
  }
}

@Suite struct HistoryTests {
  private func library(_ values: [Double]) -> RecordLibrary {
    RecordLibrary(
      entries: values.enumerated().map { index, value in
        let version = "\(index + 1).0"
        let file = KnownResult.file([[], ["freeze"]], version: version) { $0.isEmpty ? 1 : value }
        return .init(version: version, host: "desk", file: file)
      })
  }

  @Test func `a step is where a ratio leaves the interval of the one before`() throws {
    let history = try History(
      library([0.9, 0.9, 0.6]), KnownResult.catalog, suite: "default", host: nil, reference: Configuration(model: ""))
    let series = try #require(history.hosts.first?.series)
    #expect(series.map(\.label) == ["freeze alone"] && series[0].steps == [2])
    let text = history.document.markdown
    #expect(
      text.replacing(#/ +/#, with: " ").contains("| freeze alone | 0.900 ±0.1% | 0.900 ±0.1% | (0.600 ±0.1%) |"),
      "\(text)")
    #expect(history.document.html.contains("class=\"dot step s0\""))
  }

  @Test func `runs of several hosts are parts of one page, and labels are not what they are joined by`() throws {
    var entries = library([0.9, 0.9]).entries
    entries[1].host = "lab"
    for index in entries[1].file.rows.indices { entries[1].file.rows[index].label += ", as it was called then" }
    entries += library([0.5]).entries
    entries[2].version = "3.0"
    let history = try History(
      RecordLibrary(entries: entries), KnownResult.catalog, suite: "default", host: nil,
      reference: Configuration(model: ""))
    #expect(history.hosts.map(\.name) == ["desk", "lab"], "what it was called then does not matter")
    entries[1].host = "desk"
    let joined = try History(
      RecordLibrary(entries: entries), KnownResult.catalog, suite: "default", host: nil,
      reference: Configuration(model: ""))
    #expect(joined.hosts[0].series.count == 1 && joined.hosts[0].series[0].ratios.allSatisfy { $0 != nil })
  }

  @Test func `a reference that no run has is an error with the next step`() {
    let error = #expect(throws: UserError.self) {
      try History(
        library([0.9]), KnownResult.catalog, suite: "default", host: nil,
        reference: Configuration(choices: ["kernels": .text("im2col")]))
    }
    #expect(error?.description.contains("--reference") == true)
    #expect(throws: UserError.self) {
      try History(library([0.9]), KnownResult.catalog, suite: "other", host: nil, reference: Configuration(model: ""))
    }
  }
}

@Suite struct RecipeTests {
  private func recipe(_ entries: [RecordLibrary.Entry], release: String = "2") -> Recipe {
    Recipe(RecordLibrary(entries: entries), catalog: KnownResult.catalog, release: release)
  }

  private var entry: RecordLibrary.Entry {
    var sets: [[String]] = [[], KnownResult.passes]
    for pass in KnownResult.passes { sets += [[pass], KnownResult.passes.filter { $0 != pass }] }
    let file = KnownResult.file(sets, version: "1") { set in
      set.contains("freeze") ? 0.5 : 1
    }
    return .init(version: "1-gabc", host: "desk", file: file)
  }

  @Test func `every number comes from the results, with host and older version`() {
    let text = recipe([entry]).document.markdown.replacing(#/ +/#, with: " ")
    #expect(text.contains("| model | speed-up | desk |"))
    #expect(text.contains("| mobilenet-v2 | alone | 2.000× (1.998–2.002) (1-gabc) |"), "\(text)")
    #expect(text.contains("`optimizeForMobile(graph, disabling: [\"freeze\"])`"))
    #expect(recipe([entry], release: "1").document.markdown.contains("(1-gabc)") == false)
  }

  @Test func `the same results give the same bytes, and without results it says so`() {
    #expect(recipe([entry]).document.markdown == recipe([entry]).document.markdown)
    let empty = recipe([])
    #expect(empty.gaps.map(\.suite) == ["ablation", "attribution"])
    #expect(empty.document.markdown.contains("nothing measured yet. `bench-suite run ablation"))
    #expect(!empty.document.markdown.contains("× (1.9"))
  }

  /// A record whose rows on nnapi take these times of the processor's.
  private func delegation(_ ratios: [(driver: String, spread: Double, value: Double)]) -> Record {
    var maker = KnownResult.maker([[]]) { _ in 1 }
    if case .start(var start) = maker.lines[0] {
      start.suite = "delegation"
      maker.lines[0] = .start(start)
    }
    var file = maker.record()
    for (driver, spread, value) in ratios {
      var configuration = file.rows[0].configuration
      configuration[Axes.backend] = "nnapi"
      configuration[Axes.driver] = driver
      var row = Row(configuration: configuration, label: "nnapi, \(driver)")
      (row.status, row.baseline, row.accuracy) = (.measured, file.rows[0].id, file.rows[0].accuracy)
      row.ratio = Estimate(geometric: [-1, 0, 1, 0, -1, 1].map { exp(spread * $0) * value })
      var prepared = WorkerLine.Prepared(loadNs: 1, optimiseNs: 1, prepareNs: 1)
      prepared.nodes = 10
      let own = driver == "cpu-fast" ? [driver: 10] : [driver: 4, "nnapi-reference": 6]
      prepared.placement = .init(nodes: own, reasons: [:], copies: 2, copiedBytes: 2048)
      row.prepared = prepared
      file.rows.append(row)
    }
    return file
  }

  @Test func `what delegating buys or costs is said as the intervals allow, with the usual trap`() {
    let file = delegation([("cpu-fast", 0.2, 1.01), ("npu", 0.001, 1.5)])
    let kept = recipe([.init(version: "1-gabc", host: "desk", file: file)]).document.markdown
    for text in [kept, Recipe(of: [file], catalog: KnownResult.catalog, release: "2").document.markdown] {
      let words = text.replacing(#/ +/#, with: " ")
      #expect(words.contains("| mobilenet-v2 | nnapi, cpu-fast | not significant ("), "\(words)")
      #expect(
        words.contains("| mobilenet-v2 | nnapi, npu | 0.667× (0.666–0.667) | 4 of 10 | – | 2.00 KiB |"), "\(words)")
      #expect(words.contains("Of mobilenet-v2, none of 2 is shown to be faster than that."))
      #expect(words.contains("Of the slower ones, 1 ran in part or whole on nnapi-reference"))
    }
    let fast = recipe([.init(version: "1-gabc", host: "desk", file: delegation([("cpu-fast", 0.001, 0.5)]))])
    #expect(
      fast.document.markdown.contains(
        "1 of 1 is faster than that, nnapi, cpu-fast the most: 2.000×"))
    #expect(
      recipe([entry]).document.markdown.contains("`bench-suite run delegation && bench-suite record --suite delegation")
    )
  }

  @Test func `records of one's own: their models, what helps, what to leave out, and no more`() {
    let (freeze, packing) = ("freeze", "prepack-weights")
    let all = KnownResult.passes
    let file = KnownResult.file(
      [[], all] + all.map { pass in all.filter { $0 != pass } }, model: "/somewhere/my.onnx@0123456789abcdef"
    ) { set in
      (set.contains(freeze) ? 0.5 : 1) * (set.contains(packing) ? 1.25 : 1)
    }
    let recipe = Recipe(of: [file], catalog: KnownResult.catalog, release: "2")
    let text = recipe.document.markdown.replacing(#/ +/#, with: " ")
    #expect(text.contains("| my.onnx@01234567 | what its file holds | passes | freeze 2.000× "), "\(text)")
    #expect(text.contains("| my.onnx@01234567 | what its file holds | leave out | prepack-weights 0.800× "), "\(text)")
    #expect(text.contains("| my.onnx@01234567 | ablation: all others on | 0.800× (0.7"), "\(text)")
    // Neither what nobody measured nor what is said of results that are kept.
    for words in ["Allocators", "--check", "mobilenet-v2", "nothing measured yet", "| then |"] {
      #expect(!text.contains(words), "\(words): \(text)")
    }
    #expect(recipe.gaps.isEmpty)
  }
}
