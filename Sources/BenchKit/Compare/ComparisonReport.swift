import Foundation

extension Comparison {
  /// The comparison as Markdown; the same text is fit for a terminal.
  public var markdown: String {
    var text = "# \(baseVersion) → \(headVersion)\n\n\(verdict)\n"
    if times.isEmpty {
      text += "\nTimes of different sessions are not compared: only exact figures, and ratios taken within one run.\n"
    }
    for note in notes { text += "\n> Note: \(note).\n" }
    return text + timesSection + exactSection + ratiosSection + nodesSection + lonelySection + validitySection
  }

  private var timesSection: String {
    guard !times.isEmpty else { return "" }
    let rows = (times + (control.map { [$0] } ?? [])).map { time in
      let series = time.series
      let name = series.model.isEmpty ? series.label : "\(series.model): \(series.label)"
      guard !series.pairs.isEmpty, series.failure == nil else {
        return [name, "–", "", "–", "", "–", "", "\(series.pairs.count)", series.failure ?? time.verdict]
      }
      let ratio = series.ratio
      let isResolved = ratio.low.map { $0 > 1 || ratio.high! < 1 } ?? false
      return [
        name, Format.time(series.base.value), Format.spread(series.base), Format.time(series.head.value),
        Format.spread(series.head), isResolved ? Format.change(ratio) : "~",
        String(format: "%.2g", SignTest.p(series.differences)), "\(ratio.count)",
        time.series.model.isEmpty ? (invalid == nil ? "steady" : "MOVED") : time.verdict,
      ]
    }
    var text = "\n## Times\n\n"
    text += markdownTable(["cell", "base", "±", "head", "±", "change", "p", "n", "verdict"], left: 1, rows)
    text += "\n`~`: the interval of the change holds nought. n counts pairs of fresh processes.\n"
    for time in times where time.verdict == "UNRESOLVED" && !time.series.pairs.isEmpty {
      text += "\n\(time.series.model): \(time.series.label) is unresolved: \(time.explanation).\n"
    }
    return text
  }

  private var exactSection: String {
    guard !exact.differences.isEmpty else { return "" }
    return "\n## What changed exactly\n\n"
      + markdownTable(
        ["cell", "metric", "base", "head", "verdict"], left: 2,
        Self.grouped(exact.differences).map { cells, first in
          [cells, first.metric, first.base, first.head, first.verdict.rawValue]
        })
  }

  private var ratiosSection: String {
    guard !ratios.isEmpty else { return "" }
    return "\n## Ratios within a run\n\n`~`: the intervals of the two runs have values in common.\n\n"
      + markdownTable(
        ["cell", "to", "base", "±", "head", "±", "change"], left: 2,
        ratios.map { pair in
          [
            "\(pair.model): \(pair.cell)", pair.baseline, Format.ratio(pair.base), Format.spread(pair.base),
            Format.ratio(pair.head), Format.spread(pair.head),
            pair.isResolved ? String(format: "%+.0f%%", (pair.change - 1) * 100) : "~",
          ]
        })
  }

  private var nodesSection: String {
    var text = ""
    for cell in nodes.map({ "\($0.model): \($0.cell)" }).uniqued() {
      let rows = nodes.filter { "\($0.model): \($0.cell)" == cell }
      text += "\n## Nodes of \(cell)\n\n"
      text += markdownTable(
        ["node", "op", "base", "head", "change", "kernel"], left: 2,
        rows.map { row in
          let isResolved = row.ratio.map { $0.low.map { $0 > 1 } == true || $0.high.map { $0 < 1 } == true } ?? false
          let kernel =
            row.baseKernel == row.headKernel
            ? row.headKernel ?? "" : "\(row.baseKernel ?? "no such node") → \(row.headKernel ?? "no such node")"
          return [
            row.node, row.op, row.base.map(Format.time) ?? "–", row.head.map(Format.time) ?? "–",
            isResolved ? Format.change(row.ratio!) : "~", kernel,
          ]
        })
    }
    return text
  }

  private var lonelySection: String {
    guard !exact.lonely.isEmpty else { return "" }
    return "\n## In one version only\n\n"
      + markdownTable(
        ["cell", "measured in", "in the other"], left: 3,
        exact.lonely.map { ["\($0.model): \($0.cell)", $0.side, $0.reason] })
  }

  private var validitySection: String {
    guard let environment, let elapsed else { return "" }
    var text = "\n## Environment and validity\n\n"
    text +=
      "\(environment.processor) (\(environment.isa), \(environment.processors) processors), \(environment.system), "
    text += "\(environment.libc), \(environment.compiler); \(Int(elapsed)) s.\n"
    text +=
      "Pairs of fresh processes take turns on the same processors; an interval is the median's, from the order of "
    text += "the pairs (exact, 95 %).\n"
    if invalid == nil, let control, !control.series.pairs.isEmpty {
      text += "The control, which no version changes, stayed where it was.\n"
    }
    for warning in environment.warnings { text += "\n> Note: \(warning).\n" }
    return text
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
