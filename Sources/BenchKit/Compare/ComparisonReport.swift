import Foundation

extension Comparison {
  /// What the two versions say about each other, as a report says it.
  public var report: Document {
    var document = Document("\(baseVersion) → \(headVersion)")
    document.text(verdict)
    if times.isEmpty {
      document.text(
        "Times of different sessions are not compared: only exact figures, and ratios taken within one run.")
    }
    for note in notes { document.note("\(note).") }
    describeTimes(&document)
    describeExact(&document)
    describeRatios(&document)
    describeNodes(&document)
    describeLonely(&document)
    describeValidity(&document)
    return document
  }

  private func describeTimes(_ document: inout Document) {
    guard !times.isEmpty else { return }
    let rows = (times + (control.map { [$0] } ?? [])).map { time -> Table.Row in
      let series = time.series
      let name = series.model.isEmpty ? series.label : "\(series.model): \(series.label)"
      let tags = series.model.isEmpty ? [:] : ["model": series.model]
      guard !series.pairs.isEmpty, series.failure == nil else {
        let fields = [name, "–", "", "–", "", "–", "", "\(series.pairs.count)", series.failure ?? time.verdict]
        return Table.Row(fields.map { Table.Field($0) }, tags: tags)
      }
      let ratio = series.ratio
      let isResolved = ratio.low.map { $0 > 1 || ratio.high! < 1 } ?? false
      let p = SignTest.p(series.differences)
      return Table.Row(
        [
          Table.Field(name), Table.Field(Format.time(series.base.value), key: series.base.value),
          Table.Field(Format.spread(series.base), key: series.base.relativeHalfWidth),
          Table.Field(Format.time(series.head.value), key: series.head.value),
          Table.Field(Format.spread(series.head), key: series.head.relativeHalfWidth),
          Table.Field(isResolved ? Format.change(ratio) : "~", key: ratio.value),
          Table.Field(String(format: "%.2g", p), key: p), Table.Field("\(ratio.count)", key: Double(ratio.count)),
          Table.Field(series.model.isEmpty ? (invalid == nil ? "steady" : "MOVED") : time.verdict),
        ], tags: tags)
    }
    document.heading("Times")
    document.table(Table(["cell", "base", "±", "head", "±", "change", "p", "n", "verdict"], left: 1, rows))
    document.text("`~`: the interval of the change includes zero: not significant. n counts pairs of fresh processes.")
    document.chart(
      .spreads(
        SpreadChart(
          title: "head over base, pair by pair: 5th to 95th percentile, quartiles, median", axis: "head / base",
          rows: times.compactMap { time in
            SpreadChart.Row(
              "\(time.series.model): \(time.series.label)", time.series.differences.map(exp),
              text: String(format: "%.3f", time.series.ratio.value), tags: ["model": time.series.model])
          })))
    for time in times where time.verdict == "UNRESOLVED" && !time.series.pairs.isEmpty {
      document.text("\(time.series.model): \(time.series.label) is unresolved: \(time.explanation).")
    }
  }

  private func describeExact(_ document: inout Document) {
    guard !exact.differences.isEmpty else { return }
    document.heading("What changed exactly")
    document.table(Self.table(exact.differences, base: "base", head: "head"))
  }

  /// Differences of exact figures; the same of several cells is one row.
  static func table(_ differences: [ExactComparison.Difference], base: String, head: String) -> Table {
    Table(
      ["cell", "metric", base, head, "verdict"], left: 2,
      grouped(differences).map { cells, first in
        Table.Row(
          [cells, first.metric, first.base, first.head, first.verdict.rawValue].map { Table.Field($0) },
          tags: ["model": first.model])
      })
  }

  private func describeRatios(_ document: inout Document) {
    guard !ratios.isEmpty else { return }
    document.heading("Ratios within a run")
    document.text("`~`: the intervals of the two runs have values in common.")
    document.table(
      Table(
        ["cell", "to", "base", "±", "head", "±", "change"], left: 2,
        ratios.map { pair in
          let fields = [
            "\(pair.model): \(pair.cell)", pair.baseline, Format.ratio(pair.base), Format.spread(pair.base),
            Format.ratio(pair.head), Format.spread(pair.head),
            pair.isResolved ? String(format: "%+.0f%%", (pair.change - 1) * 100) : "~",
          ]
          return Table.Row(fields.map { Table.Field($0) }, tags: ["model": pair.model])
        }))
  }

  private func describeNodes(_ document: inout Document) {
    for cell in nodes.map({ "\($0.model): \($0.cell)" }).uniqued() {
      document.heading("Nodes of \(cell)")
      document.table(Self.table(nodes.filter { "\($0.model): \($0.cell)" == cell }, base: "base", head: "head"))
    }
  }

  /// Nodes of two versions, or of two cells, side by side.
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

  private func describeLonely(_ document: inout Document) {
    if !exact.failed.isEmpty {
      document.heading("In neither version")
      document.table(
        Table(
          ["cell", "base", "head"], left: 3,
          exact.failed.map { ["\($0.model): \($0.cell)", $0.base, $0.head] }))
    }
    guard !exact.lonely.isEmpty else { return }
    document.heading("In one version only")
    document.table(
      Table(
        ["cell", "measured in", "in the other"], left: 3,
        exact.lonely.map { ["\($0.model): \($0.cell)", $0.side, $0.reason] }))
  }

  private func describeValidity(_ document: inout Document) {
    guard let environment, let elapsed else { return }
    document.heading("Environment and validity")
    document.text(
      "\(environment.processor) (\(environment.isa), \(environment.processors) processors), \(environment.system), "
        + "\(environment.libc), \(environment.compiler); \(Int(elapsed)) s.")
    let takesTurns = times.allSatisfy(\.series.tookTurns)
    var text =
      takesTurns
      ? "Pairs of fresh processes take turns on the same processors"
      : "Pairs of fresh processes ran one after the other"
    text += "; an interval is the median's, from the order of the pairs (exact, 95 %)."
    if invalid == nil, let control, !control.series.pairs.isEmpty {
      text += " The control, which no version changes, stayed where it was."
    }
    document.text(text)
    for warning in environment.warnings { document.note("\(warning).") }
  }

  /// The same difference of several cells is one row.
  static func grouped(
    _ list: [ExactComparison.Difference]
  ) -> [(cells: String, first: ExactComparison.Difference)] {
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
      return ("\(items[0].model): \(items[0].cell)\(more)", items[0])
    }
  }
}

extension Comparison.CellTime {
  /// Why nothing is decided and what would decide it.
  var explanation: String {
    var text = String(format: "σ of a pair %.1f %%, %d pairs done", series.sigma * 100, series.pairs.count)
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
