import BenchModel
import BenchStatistics
import Foundation

extension Comparison {
  /// What the two versions say about each other, as a report says it.
  public var report: Document {
    var document = Document("\(baseVersion) → \(headVersion)")
    document.text(verdict)
    if times.isEmpty {
      document.text(
        "Absolute times from separate runs are not comparable: only deterministic metrics are, and ratios within one run."
      )
    }
    for note in notes { document.note("\(note).") }
    describeTimes(&document)
    describeExact(&document)
    describeRatios(&document)
    describeNodes(&document)
    describeUnmatched(&document)
    describeValidity(&document)
    return document
  }

  private func describeTimes(_ document: inout Document) {
    guard !times.isEmpty else { return }
    let isSeveral = times.contains { $0.metric != latencyMetric.name }
    let rows = (times + (control.map { [$0] } ?? [])).map { time -> Table.Row in
      let series = time.series
      let name = isSeveral ? "\(time.name), \(time.metric)" : time.name
      let tags = series.model.isEmpty ? [:] : ["model": series.model]
      guard !time.pairs.isEmpty, series.failure == nil else {
        let fields = [name, "–", "", "–", "", "–", "", "\(time.pairs.count)", series.failure ?? time.verdict.rawValue]
        return Table.Row(fields.map { Table.Field($0) }, tags: tags)
      }
      let (base, head, ratio) = (time.paired.base, time.paired.head, time.paired.ratio)
      let isResolved = ratio.low.map { $0 > 1 || ratio.high! < 1 } ?? false
      let p = SignTest.p(time.pairs)
      return Table.Row(
        [
          Table.Field(name), Table.Field(time.unit.text(base.value), key: base.value),
          Table.Field(Format.spread(base), key: base.relativeHalfWidth),
          Table.Field(time.unit.text(head.value), key: head.value),
          Table.Field(Format.spread(head), key: head.relativeHalfWidth),
          Table.Field(isResolved ? Format.change(ratio) : "~", key: ratio.value),
          Table.Field(String(format: "%.2g", p), key: p), Table.Field("\(ratio.count)", key: Double(ratio.count)),
          Table.Field(series.model.isEmpty ? (invalid == nil ? "steady" : "MOVED") : time.verdict.rawValue),
        ], tags: tags)
    }
    document.heading("Times")
    document.table(Table(["configuration", "base", "±", "head", "±", "change", "p", "n", "verdict"], left: 1, rows))
    document.text("`~`: the interval of the change includes zero: not significant. n counts pairs of fresh processes.")
    document.chart(
      .spreads(
        SpreadChart(
          title: "head over base, pair by pair: 5th to 95th percentile, quartiles, median", axis: "head / base",
          rows: times.filter { $0.metric == latencyMetric.name }.compactMap { time in
            SpreadChart.Row(
              time.name, time.pairs.map(exp), text: String(format: "%.3f", time.paired.ratio.value),
              tags: ["model": time.series.model])
          })))
    for time in times where time.verdict == .unresolved && !time.pairs.isEmpty {
      document.text("\(time.name) is unresolved: \(time.explanation).")
    }
  }

  private func describeExact(_ document: inout Document) {
    guard !exact.differences.isEmpty else { return }
    document.heading("Deterministic metrics that changed")
    document.table(Self.table(exact.differences, base: "base", head: "head"))
  }

  /// Differences of deterministic metrics; the same of several rows is one row.
  static func table(_ differences: [ExactComparison.Difference], base: String, head: String) -> Table {
    Table(
      ["configuration", "metric", base, head, "verdict"], left: 2,
      grouped(differences).map { rows, first in
        Table.Row(
          [rows, first.metric, first.base, first.head, first.verdict.rawValue].map { Table.Field($0) },
          tags: ["model": first.model])
      })
  }

  private func describeRatios(_ document: inout Document) {
    guard !ratios.isEmpty else { return }
    document.heading("Ratios within a run")
    document.text("`~`: the intervals of the two runs have values in common.")
    document.table(
      Table(
        ["configuration", "to", "base", "±", "head", "±", "change"], left: 2,
        ratios.map { pair in
          let fields = [
            "\(pair.model): \(pair.configuration)", pair.baseline, Format.ratio(pair.base), Format.spread(pair.base),
            Format.ratio(pair.head), Format.spread(pair.head),
            pair.isResolved ? String(format: "%+.0f%%", (pair.change - 1) * 100) : "~",
          ]
          return Table.Row(fields.map { Table.Field($0) }, tags: ["model": pair.model])
        }))
  }

  private func describeNodes(_ document: inout Document) {
    for row in nodes.map({ "\($0.model): \($0.configuration)" }).uniqued() {
      document.heading("Nodes of \(row)")
      document.table(Self.table(nodes.filter { "\($0.model): \($0.configuration)" == row }, base: "base", head: "head"))
    }
  }

  /// Nodes of two versions, or of two rows, side by side.
  static func table(_ nodes: [NodeDifference], base: String, head: String) -> Table {
    Table(
      ["node", "op", base, head, "change", "kernel"], left: 2,
      nodes.map { row in
        let isResolved = row.ratio.map { $0.low.map { $0 > 1 } == true || $0.high.map { $0 < 1 } == true } ?? false
        let kernel =
          row.baseKernel == row.headKernel
          ? row.headKernel ?? "" : "\(row.baseKernel ?? "no such node") → \(row.headKernel ?? "no such node")"
        return Table.Row([
          Table.Field(row.node), Table.Field(row.op), Table.Field(row.base.map(Format.time) ?? "–", key: row.base),
          Table.Field(row.head.map(Format.time) ?? "–", key: row.head),
          Table.Field(isResolved ? Format.change(row.ratio!) : "~", key: row.ratio?.value), Table.Field(kernel),
        ])
      })
  }

  private func describeUnmatched(_ document: inout Document) {
    if !exact.failed.isEmpty {
      document.heading("In neither version")
      document.table(
        Table(
          ["configuration", "base", "head"], left: 3,
          exact.failed.map { ["\($0.model): \($0.configuration)", $0.base, $0.head] }))
    }
    guard !exact.unmatched.isEmpty else { return }
    document.heading("In one version only")
    document.table(
      Table(
        ["configuration", "measured in", "in the other"], left: 3,
        exact.unmatched.map { ["\($0.model): \($0.configuration)", $0.side, $0.reason] }))
  }

  private func describeValidity(_ document: inout Document) {
    guard let environment, let elapsed else { return }
    document.heading("Environment and validity")
    document.text(
      "\(environment.processor) (\(environment.isa), \(environment.processors) processors), \(environment.system), "
        + "\(environment.libc), \(environment.compiler); \(Int(elapsed)) s.")
    let isInterleaved = times.allSatisfy(\.series.isInterleaved)
    var text =
      isInterleaved
      ? "Pairs of fresh processes are interleaved on the same processors"
      : "Pairs of fresh processes ran one after the other"
    text += "; an interval is the median's, from the order of the pairs (exact, 95 %)."
    if invalid == nil, let control, !control.pairs.isEmpty {
      text += " The control, which no version changes, stayed where it was."
    }
    document.text(text)
    for warning in environment.warnings { document.note("\(warning).") }
  }

  /// The same difference of several rows is one row.
  static func grouped(
    _ list: [ExactComparison.Difference]
  ) -> [(rows: String, first: ExactComparison.Difference)] {
    var order: [[String]] = []
    var groups: [[String]: [ExactComparison.Difference]] = [:]
    for item in list {
      let key = [item.model, item.metric, item.base, item.head]
      if groups[key] == nil { order.append(key) }
      groups[key, default: []].append(item)
    }
    return order.map { key in
      let items = groups[key]!
      let more = items.count > 1 ? " and \(items.count - 1) more" : ""
      return ("\(items[0].model): \(items[0].configuration)\(more)", items[0])
    }
  }
}

extension Comparison.Timing {
  /// The row that it is of.
  var name: String { series.model.isEmpty ? series.label : "\(series.model): \(series.label)" }

  /// Why nothing is decided and what would decide it.
  var explanation: String {
    var text = String(format: "σ of a pair %.1f %%, %d pairs done", paired.sigma * 100, pairs.count)
    if let pairsNeeded { text += ", about \(pairsNeeded) needed" }
    if let smallestDetectable {
      text += String(format: "; a slowdown of %.1f %% would be found", (smallestDetectable - 1) * 100)
    }
    return text
  }
}

extension Format {
  /// A change in per cent with as many digits as its interval supports.
  static func change(_ ratio: MedianInterval) -> String {
    guard let low = ratio.low, let high = ratio.high else { return "?" }
    let width = (high - low) * 100
    return String(format: width < 0.2 ? "%+.2f%%" : width < 2 ? "%+.1f%%" : "%+.0f%%", (ratio.value - 1) * 100)
  }
}
