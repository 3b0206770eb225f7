import BenchModel
import BenchStatistics
import Foundation

/// What a result says of one model, before all else: a sentence, a chart, a short table.
struct Conclusion {
  private let record: Record
  private let model: String
  private let catalog: Catalog
  /// Every row of the model, those that the report concludes on, and those of them that the short table has.
  let rows: [Row]
  private let headline: [Row]
  let shown: [Row]

  /// Rows of the short table, and clauses of the sentence.
  private static let (most, mostClauses) = (12, 6)

  init(_ record: Record, _ model: String, _ catalog: Catalog) {
    (self.record, self.model, self.catalog) = (record, model, catalog)
    rows = record.rows.filter { $0.configuration.model == model }
    let headline = rows.filter(\.isHeadline)
    // Those with times first, where there is no room for all.
    let places = headline.indices.sorted {
      (headline[$0].status == .measured ? 0 : 1, $0) < (headline[$1].status == .measured ? 0 : 1, $1)
    }
    shown = places.prefix(Self.most).sorted().map { headline[$0] }
    self.headline = headline
  }

  // MARK: The sentence

  /// What a person can repeat; nothing is named that did not win beyond its interval. Nil where nothing was timed.
  var sentence: String? {
    let peers = PeerFinding.all(in: record).filter { $0.pacer.configuration.model == model }
    if !peers.isEmpty { return peers.map(\.words).joined(separator: " ") }
    let timed = rows.filter { $0.status == .measured && $0.latency != nil && $0.accuracy != nil }
    guard let first = subject(of: timed) else { return nil }
    var text = "\(model) takes \(Format.time(first.latency!.value)) on \(Self.place(first)) with \(first.label)"
    if let baseline = first.baseline, let ratio = first.ratio {
      text += Self.words(Attribution.Effect(of: ratio, over: .one), than: record.label(baseline))
    }
    let ids = Set(timed.map(\.id))
    let others = headline.filter { row in
      ids.contains(row.id) && row.id != first.id && row.id != first.baseline && row.hasWork(of: first)
        && row.hasBaseline(of: first)
    }
    let names = others.map { Self.difference($0, first) }
    let clauses = zip(others, names).compactMap { row, name -> String? in
      guard let a = row.relativeTime, let b = first.relativeTime else { return nil }
      let isClear = names.count { $0 == name } == 1
      return "\(isClear ? name : row.label) \(Attribution.Effect(of: a, over: b).comparison)"
    }
    // More than a few are no conclusion: the table has them.
    if !clauses.isEmpty, clauses.count <= Self.mostClauses {
      text += "; against that, " + clauses.joined(separator: ", ")
    }
    return text + "."
  }

  /// What the sentence is about: of the rows with most passes the plainest, since the fastest of many noisy ones would praise
  /// the luckiest; among other engines alone the one that they are held against.
  private func subject(of timed: [Row]) -> Row? {
    let pacer = timed.filter { $0[Axes.engine] == Axes.engine.standard }
    guard !pacer.isEmpty else { return timed.count > 1 ? timed.first { $0.baseline == nil } : nil }
    let backend = pacer.contains { $0[Axes.backend] == "cpu" } ? "cpu" : pacer[0][Axes.backend]
    let there = pacer.filter { $0[Axes.backend] == backend && $0[Axes.precision] == .fp32 }
    let most = there.map { $0[Axes.passes].count }.max() ?? 0
    let threads = there.map { $0[Axes.threads] }.min() ?? 1
    guard timed.count > 1 else { return nil }
    return there.first { $0[Axes.threads] == threads && $0[Axes.passes].count == most }
  }

  private static func place(_ row: Row) -> String {
    guard row[Axes.backend] == "cpu" else { return row[Axes.backend] }
    return row[Axes.threads] == 1 ? "one thread" : "\(row[Axes.threads]) threads"
  }

  private static func words(_ effect: Attribution.Effect, than other: String) -> String {
    switch effect.finding {
    case .faster:
      ", \(Format.speedup(effect.ratio!))× faster than \(other) (95 % interval \(Format.speedupInterval(effect.ratio!))×)"
    case .slower: ", slower than \(other): speed-up \(effect.words)"
    case .none: ", not significantly different from \(other) (\(Format.speedupInterval(effect.ratio!))×)"
    case .unknown, .sameGraph:
      "; against \(other) it is not resolved after \(Format.number(effect.pairs, "pair"))"
    }
  }

  /// The words of a label that another has not, where it has all of the other's.
  private static func difference(_ row: Row, _ other: Row) -> String {
    let known = other.label.components(separatedBy: ", ")
    let words = row.label.components(separatedBy: ", ")
    let own = words.filter { !known.contains($0) }
    return own.isEmpty || !known.allSatisfy(words.contains) ? row.label : own.joined(separator: ", ")
  }

  // MARK: The chart

  /// Time falling pass by pass, where passes were added one by one, and then what else the report concludes on.
  var chart: Chart {
    let measured = rows.filter { $0.status == .measured && $0.latency != nil }
    var steps: [(row: Row, name: String)] = []
    if let start = measured.first(where: { $0[Axes.passes].isEmpty && $0.baseline == nil && $0.accuracy != nil }) {
      for count in 0...record.passes.count {
        var configuration = start.configuration
        configuration[Axes.passes] = Array(record.passes.prefix(count))
        guard let row = measured.first(where: { $0.configuration == configuration }) else { continue }
        steps.append((row, count == 0 ? row.label : "+ " + record.passes[count - 1]))
      }
    }
    let isLadder = steps.count > 2
    if !isLadder { steps = [] }
    let ids = Set(steps.map(\.row.id))
    steps += shown.filter { row in measured.contains { $0.id == row.id } && !ids.contains(row.id) }.map {
      ($0, $0.label)
    }
    let bars = steps.map { step -> BarChart.Bar in
      let (row, latency) = (step.row, step.row.latency!)
      // The baseline's own uncertainty would move all of them together.
      let base = row.baseline.flatMap { record.row($0)?.latency?.value }
      let interval = base.flatMap { base in row.ratio.map { (base, $0) } }
      let has = row.baseline == nil ? latency.hasInterval : interval?.1.hasInterval ?? false
      return BarChart.Bar(
        label: step.name, value: latency.value / 1e6,
        low: has ? (interval.map { $0.0 * $0.1.low } ?? latency.low) / 1e6 : nil,
        high: has ? (interval.map { $0.0 * $0.1.high } ?? latency.high) / 1e6 : nil,
        text: Format.time(latency.value) + (has ? " " + Format.spread(interval?.1 ?? latency) : ""), tags: row.tags)
    }
    return .bars(
      BarChart(
        title: isLadder ? "\(model): one inference, pass by pass" : "\(model): one inference", axis: "ms",
        bars: bars.count > 1 ? bars : []))
  }

  // MARK: The table

  var table: Table {
    let bases = shown.compactMap(\.baseline).uniqued()
    let base = bases.count == 1 ? record.label(bases[0]) : "its baseline"
    let speedup = "speed-up over \(base)"
    var table = Table(
      ["configuration", "time", "±", speedup, "95 % interval", "pairs", "mallocs", "peak memory", "error"], left: 1,
      shown.map { Table.Row(fields($0), tags: $0.tags) })
    table.help = [
      "time": "median time of one inference", "±": "half of the time's 95 % interval",
      speedup: "time of the baseline over this one's: above 1 is faster",
      "95 % interval": "of the speed-up; shown from three pairs on",
      "pairs": "pairs of fresh processes that ran interleaved with the baseline's",
      "mallocs": "calls of malloc and its kin in one steady inference",
      "peak memory": "peak resident set above that of an empty worker",
      "error": "largest difference from the reference output, over its largest value",
    ]
    return table
  }

  private func fields(_ row: Row) -> [Table.Field] {
    guard row.status == .measured else { return ResultTable.row(row, catalog, record.label) }
    func metric(_ name: String) -> Table.Field { catalog.metrics.first { $0.name == name }?.field(row) ?? "–" }
    let isBaseline = row.baseline == nil
    let ratio = row.ratio
    let speedup: Table.Field =
      isBaseline
      ? Table.Field(row.relativeTime == nil ? "–" : "1", key: 1)
      : Table.Field(ratio.map { Format.speedup($0) + "×" } ?? "–", key: ratio.map { 1 / $0.value })
    return [
      Table.Field(row.label + (row.remarks.isEmpty ? "" : " *")),
      Table.Field(row.latency?.value, Format.time),
      Table.Field(row.latency.map(Format.spread) ?? "–", key: row.latency?.relativeHalfWidth), speedup,
      Table.Field(
        isBaseline ? "" : ratio.map { $0.hasInterval ? Format.speedupInterval($0) : "?" } ?? "–",
        key: ratio.map { 1 / $0.high }),
      Table.Field("\(row.runs.count)", key: Double(row.runs.count)), metric("heap-allocations"),
      metric("peak-resident"), metric("error"),
    ]
  }
}

extension Attribution.Effect {
  /// "1.60× (1.55–1.65) faster", "14.1× (13.8–14.4) slower": behind the name of what is compared.
  var comparison: String {
    finding == .slower ? "\(slowdown) slower" : inWords
  }

  /// "14.1× (13.8–14.4)": of what is slower, how many times.
  var slowdown: String {
    ratio.map { "\(Format.speedup($0.inverse))× (\(Format.speedupInterval($0.inverse)))" } ?? words
  }
}
