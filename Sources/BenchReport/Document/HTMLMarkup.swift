import BenchStatistics
import Foundation

extension Document {
  /// One page that needs nothing else: tables that can be sorted, rows that can be chosen, charts drawn in place.
  public var html: String {
    var body = "<h1>\(inline(title))</h1>\n"
    // Where there are rows to choose from, above the first table of those that the page does not begin with.
    let first = blocks.firstIndex { block in
      if case .folded(_, let inner) = block { inner.contains(where: Self.hasTags) } else { false }
    }
    let place = first ?? blocks.firstIndex(where: Self.hasTags)
    for (index, block) in blocks.enumerated() {
      if index == place { body += "<form id=\"filters\" aria-label=\"Rows shown\"></form>\n" }
      body += html(block)
    }
    return HTMLPage.text(title: title, body: body)
  }

  private static func hasTags(_ block: Block) -> Bool {
    if case .table(let table) = block { table.rows.contains { !$0.tags.isEmpty } } else { false }
  }

  private func html(_ block: Block) -> String {
    switch block {
    case .heading(let text, let level):
      "<h\(level)\(level == 2 ? " id=\"\(Self.anchor(text))\"" : "")>\(inline(text))</h\(level)>\n"
    case .contents:
      "<nav aria-label=\"Contents\"><ul>"
        + parts.map { "<li><a href=\"#\(Self.anchor($0))\">\(inline($0))</a></li>" }.joined() + "</ul></nav>\n"
    case .folded(let title, let blocks):
      "<details id=\"\(Self.anchor(title))\"><summary>\(inline(title))</summary>\n" + blocks.map(html).joined()
        + "</details>\n"
    case .text(let text): "<p>\(inline(text))</p>\n"
    case .note(let text): "<p class=\"note\">Note: \(inline(text))</p>\n"
    case .code(let text): "<pre><code>\(escaped(text))</code></pre>\n"
    case .table(let table): html(table)
    case .chart(let chart):
      SVG.drawNarrow(chart).map {
        "<figure class=\"wide\">\(SVG.draw(chart))</figure><figure class=\"narrow\">\($0)</figure>\n"
      } ?? "<figure>\(SVG.draw(chart))</figure>\n"
    }
  }

  private func html(_ table: Table) -> String {
    var text =
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"\(escaped(table.headings[0])) table\">"
    text += "<table><thead><tr>"
    for (column, heading) in table.headings.enumerated() {
      let help = table.help[heading].map { " title=\"\(escaped($0))\"" } ?? ""
      text += "<th scope=\"col\"\(column < table.left ? "" : " class=\"figure\"")\(help)>"
      text += "<button type=\"button\">\(inline(heading))</button></th>"
    }
    text += "</tr></thead><tbody>\n"
    for row in table.rows {
      text += "<tr\(HTMLPage.attributes(row.tags))>"
      for (column, field) in row.fields.enumerated() {
        let isSentence = row.fields.count < table.headings.count && column == row.fields.count - 1
        let span = isSentence ? " colspan=\"\(table.headings.count - column)\"" : ""
        let key = field.key.map { $0.isFinite ? " data-key=\"\($0)\"" : "" } ?? ""
        let verdict = Self.verdicts.contains(field.text) ? " verdict \(field.text.lowercased())" : ""
        // Numbers stay on one line; words among them need not.
        let figure = field.text.count > 16 ? "figure words" : "figure"
        let kind = column >= table.left && !isSentence ? figure : field.text.count > 40 ? "long" : ""
        let classes = (kind + verdict).trimmingCharacters(in: .whitespaces)
        let style = classes.isEmpty ? "" : " class=\"\(classes)\""
        text +=
          column == 0
          ? "<th scope=\"row\"\(key)\(style)>\(inline(field.text))</th>"
          : "<td\(span)\(key)\(style)\(isSentence ? "" : " data-label=\"\(escaped(table.headings[column]))\"")>"
            + "\(inline(field.text))</td>"
      }
      text += "</tr>\n"
    }
    return text + "</tbody></table></div>\n"
  }

  /// Words that are coloured where they fill a field.
  private static let verdicts = Set(Verdict.allCases.map(\.rawValue))

  private func inline(_ text: String) -> String {
    let parts = escaped(text).split(separator: "`", omittingEmptySubsequences: false)
    guard parts.count % 2 == 1 else { return escaped(text) }
    return parts.enumerated().map { $0 % 2 == 1 ? "<code>\($1)</code>" : String($1) }.joined()
  }
}
