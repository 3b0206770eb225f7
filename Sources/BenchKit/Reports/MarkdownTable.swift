import Foundation

/// A Markdown table whose columns line up, so that the same text is fit for a terminal.
func markdownTable(_ headings: [String], left: Int, _ rows: [[String]]) -> String {
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
