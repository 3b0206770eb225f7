import Foundation

extension Document {
  /// The document as Markdown; the same text is fit for a terminal.
  public var markdown: String {
    var parts = ["# \(title)\n"]
    func add(_ block: Block) {
      switch block {
      case .heading(let text, let level): parts.append(String(repeating: "#", count: level) + " \(text)\n")
      case .text(let text): parts.append(text + "\n")
      case .note(let text): parts.append("> Note: \(text)\n")
      case .code(let text): parts.append("```sh\n\(text)\n```\n")
      case .table(let table): parts.append(table.markdown)
      case .chart: break
      case .contents: parts.append(self.parts.map { "- [\($0)](#\(Self.anchor($0)))\n" }.joined())
      case .folded(let title, let blocks):
        parts.append("## \(title)\n")
        blocks.forEach(add)
      }
    }
    blocks.forEach(add)
    return parts.joined(separator: "\n")
  }
}

extension Table {
  /// Columns line up, so that the same text is fit for a terminal.
  public var markdown: String {
    let cells = ([headings] + rows.map { $0.fields.map(\.text) }).map { row in
      let missing = Array(repeating: "", count: headings.count - row.count)
      return row.map { $0.replacingOccurrences(of: "|", with: "\\|") } + missing
    }
    // A sentence takes as much room as it needs, and no column is wider for it.
    let whole = [cells[0]] + zip(rows, cells.dropFirst()).filter { $0.0.fields.count == headings.count }.map(\.1)
    let widths = headings.indices.map { column in
      max(whole.map { $0[column].count }.max() ?? 0, column == 0 ? cells.map { $0[0].count }.max() ?? 0 : 0)
    }
    func padded(_ row: [String]) -> String {
      let fields = row.enumerated().map { column, field in
        let spaces = String(repeating: " ", count: max(0, widths[column] - field.count))
        return column < left ? field + spaces : spaces + field
      }
      return "| " + fields.joined(separator: " | ") + " |\n"
    }
    let rule = widths.enumerated().map { column, width in
      column < left
        ? String(repeating: "-", count: max(width, 3)) : String(repeating: "-", count: max(width - 1, 2)) + ":"
    }
    return padded(cells[0]) + "| " + rule.joined(separator: " | ") + " |\n" + cells.dropFirst().map(padded).joined()
  }
}
