import BenchModel
import Foundation

/// Rows of a result as lines of a terminal that is so many columns wide: those of one model under its name, in the order of
/// the report. What does not fit is left to the report: first the metrics, then the ends of long labels.
public struct TerminalTable: Sendable {
  private let catalog: Catalog
  private let width: Int
  private let labelWidth: Int
  /// How many of the columns behind the label's are shown.
  private let columns: Int
  private let labels: [String: String]

  /// Of the columns behind the label's.
  private static let times = [9, 6, 6, 6, 3]
  private static let metric = 8

  /// - Parameters:
  ///   - rows: all that are to come: columns are made for the longest.
  ///   - width: in characters.
  public init(_ rows: [Row], _ catalog: Catalog, width: Int) {
    (self.catalog, self.width) = (catalog, width)
    labels = Dictionary(rows.map { ($0.id, $0.label) }) { first, _ in first }
    let timesWidth = Self.times.reduce(0) { $0 + $1 + 1 }
    let room = max(width - timesWidth - 1, 12)
    labelWidth = min(max(20, (rows.map(\.label.count).max() ?? 0) + 2), room)
    let metrics = catalog.metrics.count { $0.column != nil }
    let left = width - labelWidth - timesWidth
    columns = Self.times.count + min(metrics, max(0, left / (Self.metric + 1)))
  }

  /// The name of a model over the heads of its columns.
  public func heading(_ model: String) -> [String] { [model, line(ResultTable.headings(catalog))] }

  /// A row; where it has no times, its label and the reason, in as many lines as that needs.
  /// - Parameter isWhole: false for one line at most.
  public func lines(_ row: Row, isWhole: Bool = true) -> [String] {
    let fields = ResultTable.row(row, catalog) { labels[$0] ?? $0 }.map(\.text)
    guard fields.count == 2 else { return [line(fields)] }
    let label = padded(fields[0])
    guard isWhole else { return [String((label + " " + fields[1]).prefix(width))] }
    let indent = min(labelWidth + 1, max(width - 40, 2))
    let reason = Self.wrapped(fields[1], to: width - indent)
    return zip([label] + Array(repeating: "", count: max(reason.count - 1, 0)), reason).map { start, text in
      start + String(repeating: " ", count: max(1, indent - start.count)) + text
    }
  }

  private func line(_ fields: [String]) -> String {
    let numbers = fields.dropFirst().prefix(columns).enumerated().map { index, text in
      let width = index < Self.times.count ? Self.times[index] : Self.metric
      return String(repeating: " ", count: max(0, width - text.count)) + text
    }
    return ([padded(fields[0])] + numbers).joined(separator: " ")
  }

  private func padded(_ text: String) -> String {
    text.count > labelWidth
      ? text.prefix(labelWidth - 1) + "…" : text + String(repeating: " ", count: labelWidth - text.count)
  }

  /// A text in lines of at most so many characters, divided at blanks.
  public static func wrapped(_ text: String, to width: Int) -> [String] {
    var lines = [""]
    for word in text.split(separator: " ") {
      if lines[lines.count - 1].isEmpty {
        lines[lines.count - 1] += word
      } else if lines[lines.count - 1].count + 1 + word.count <= width {
        lines[lines.count - 1] += " " + word
      } else {
        lines.append(String(word))
      }
    }
    return lines
  }
}
