import Foundation

extension StoredComparison {
  /// The comparison as Markdown; the same text is fit for a terminal.
  public var markdown: String {
    var text = "# \(baseVersion) → \(headVersion)\n\n\(verdict)\n\n"
    text += "Times of different sessions are not compared: only exact figures, and ratios taken within one run.\n"
    for note in notes { text += "\n> Note: \(note); figures that depend on them are no difference of the versions.\n" }
    if !differences.isEmpty {
      text += "\n## What changed exactly\n\n"
      text += table(
        ["cell", "metric", "base", "head", "verdict"], left: 2,
        grouped(differences).map { cells, first in
          [cells, first.metric, first.base, first.head, first.verdict.rawValue]
        })
    }
    if !ratios.isEmpty {
      text += "\n## Ratios within a run\n\n`~`: the intervals of the two runs have values in common.\n\n"
      text += table(
        ["cell", "to", "base", "±", "head", "±", "change"], left: 2,
        ratios.map { pair in
          [
            "\(pair.model): \(pair.cell)", pair.baseline, Format.ratio(pair.base), Format.spread(pair.base),
            Format.ratio(pair.head), Format.spread(pair.head),
            pair.isResolved ? String(format: "%+.0f%%", (pair.change - 1) * 100) : "~",
          ]
        })
    }
    if !lonely.isEmpty {
      text += "\n## In one version only\n\n"
      text += table(
        ["cell", "measured in", "in the other"], left: 3,
        lonely.map { ["\($0.model): \($0.cell)", $0.side, $0.reason] })
    }
    return text
  }

  /// The same difference of several cells is one row.
  private func grouped(_ list: [Difference]) -> [(cells: String, first: Difference)] {
    var order: [[String]] = []
    var groups: [[String]: [Difference]] = [:]
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

  private func table(_ headings: [String], left: Int, _ rows: [[String]]) -> String {
    let cells = ([headings] + rows).map { $0.map { $0.replacingOccurrences(of: "|", with: "\\|") } }
    let widths = headings.indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
    func padded(_ row: [String]) -> String {
      let fields = row.enumerated().map { column, field in
        let spaces = String(repeating: " ", count: widths[column] - field.count)
        return column < left ? field + spaces : spaces + field
      }
      return "| " + fields.joined(separator: " | ") + " |\n"
    }
    let rule = widths.enumerated().map { column, width in
      column < left ? String(repeating: "-", count: width) : String(repeating: "-", count: max(width - 1, 1)) + ":"
    }
    return padded(cells[0]) + "| " + rule.joined(separator: " | ") + " |\n" + cells.dropFirst().map(padded).joined()
  }
}
