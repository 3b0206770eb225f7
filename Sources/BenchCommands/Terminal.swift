import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Rows that grow above a progress line; only rows where output is no terminal.
final class Terminal: Sendable {
  private struct State {
    var hasHeading = false
    var hasLine = false
  }
  private let state = Mutex(State())
  private let isInteractive: Bool
  private let isQuiet: Bool

  /// The columns of models and labels, as wide as the longest of them.
  private let modelWidth: Int
  private let labelWidth: Int

  /// What rows are called, by id.
  private let labels: [String: String]

  /// - Parameter rows: those that are to come.
  init(isQuiet: Bool, rows: [Row] = []) {
    self.isQuiet = isQuiet
    labels = Dictionary(rows.map { ($0.id, $0.label) }) { first, _ in first }
    modelWidth = (rows.map(\.configuration.model.count).max() ?? 12) + 1
    labelWidth = max(34, (rows.map(\.label.count).max() ?? 0) + 2)
    let kind = ProcessInfo.processInfo.environment["TERM"] ?? ""
    isInteractive = isatty(1) == 1 && !isQuiet && !["", "dumb"].contains(kind)
  }

  func announce(_ text: String) {
    isQuiet ? StandardError.write(text + "\n") : put(text + "\n")
  }

  func show(_ event: Runner.Event) {
    guard !isQuiet else { return }
    switch event {
    case .measuring(let label, let model, let done, let total, let round):
      guard isInteractive else { return }
      let width = 24
      let filled = total > 0 ? done * width / total : 0
      let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
      let phase = round < 0 ? "inspecting" : "round \(round + 1)"
      line("\(bar) \(phase) \(done + 1)/\(total)  \(model): \(label)")
    case .row(let result):
      clear()
      let isFirst = state.withLock { state in
        defer { state.hasHeading = true }
        return !state.hasHeading
      }
      if isFirst { put("\n\(Self.pad("model", modelWidth))\(heading)\n") }
      put(Self.pad(result.configuration.model, modelWidth) + row(result) + "\n")
    case .round(let round, let unresolved, let worst):
      let width = worst.isFinite ? String(format: "widest ±%.0f%%", worst * 100) : "some need more runs"
      if isInteractive { line("round \(round + 1) done; \(unresolved) not yet resolved, \(width)") }
    case .kept(let url): announce("former  \(displayPath(url))")
    }
  }

  func show(_ progress: SideBySide.Progress) {
    guard isInteractive else { return }
    switch progress {
    case .inspecting(let label, let done, let total): line("inspecting \(done + 1)/\(total)  \(label)")
    case .timing(let timing): line("\(Self.duration(timing.elapsed)), \(timing.pairs) pairs  \(timing.label)")
    case .profiling(let label): line("timing nodes  \(label)")
    }
  }

  func show(progress text: String) { if isInteractive { line(text) } }

  func finish() { clear() }

  func summarise(_ file: Record, url: String, reports: [String]) {
    if let shortfall = ResultTable.shortfall(file) { put("\n\(shortfall)\n") }
    for model in file.rows.map(\.configuration.model).uniqued() {
      put("\n\(model)\n\(heading)\n")
      for row in file.rows where row.configuration.model == model && row.status != .same { put(self.row(row) + "\n") }
    }
    let same = file.rows.filter { $0.status == .same }
    if !same.isEmpty {
      let words = same.map { "\($0.configuration.model) \($0.label) = \($0.sameAs.map(file.label) ?? "")" }
      put("\nSame graph: \(words.joined(separator: "; "))\n")
    }
    for note in ResultTable.notes(file.rows) { put("\(note)\n") }
    let devices = ResultTable.devices(file)
    if !devices.isEmpty { put("\n\(devices.joined(separator: "\n"))\n") }
    let verdict = ResultTable.verdict(file)
    if !verdict.isEmpty { put("\n\(verdict)\n") }
    guard file.hasTimes else { return }
    if !file.isComplete { put("\nWhat was measured is kept; the same command with --resume goes on.\n") }
    put("\nrecord  \(url)\n")
    if !reports.isEmpty {
      put("report  \(reports.joined(separator: "  "))\nnext    swift run bench-suite report \(url) --format csv\n")
    }
  }

  /// Of the columns behind the label's.
  private static let widths = [9, 6, 6, 6, 3]
  private static let metricWidth = 8
  private var heading: String { columns(ResultTable.headings(catalog)) }

  private func row(_ result: Row) -> String {
    let fields = ResultTable.row(result, catalog) { labels[$0] ?? $0 }.map(\.text)
    let isSentence = fields.count <= Self.widths.count
    return isSentence ? Self.pad(fields[0], labelWidth) + "  " + fields[1] : columns(fields)
  }

  private func columns(_ fields: [String]) -> String {
    let padded = fields.dropFirst().enumerated().map { index, text in
      let width = index < Self.widths.count ? Self.widths[index] : Self.metricWidth
      return String(repeating: " ", count: max(0, width - text.count)) + text
    }
    return ([Self.pad(fields[0], labelWidth)] + padded).joined(separator: " ")
  }

  private static func pad(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  static func duration(_ seconds: Double) -> String {
    if seconds < 1 { return String(format: "%.2g s", seconds) }
    let whole = Int(seconds.rounded())
    return whole < 60 ? "\(whole) s" : whole % 60 == 0 ? "\(whole / 60) min" : "\(whole / 60) min \(whole % 60) s"
  }

  private func line(_ text: String) {
    let columns = Self.columnCount()
    put("\r\u{1b}[2K" + String(text.prefix(columns - 1)))
    state.withLock { $0.hasLine = true }
  }

  private func clear() {
    let had = state.withLock { state in
      defer { state.hasLine = false }
      return state.hasLine
    }
    if had { put("\r\u{1b}[2K") }
  }

  private static func columnCount() -> Int {
    var size = winsize()
    return ioctl(1, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 20 ? Int(size.ws_col) : 80
  }

  private func put(_ text: String) { StandardOutput.write(text) }
}
