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

/// What a run shows: a table that is updated in place above a line of progress, in the order of the report; where output is
/// no terminal, each row once when its first figures are there.
final class Terminal: Sendable {
  private struct State {
    var rows: [Row]
    var current: Int?
    var progress = ""
    /// Lines that are shown and not final.
    var drawn = 0
  }
  private let state: Mutex<State>
  private let isInteractive: Bool
  private let isQuiet: Bool

  /// - Parameter rows: those that are to come.
  init(isQuiet: Bool, rows: [Row] = []) {
    self.isQuiet = isQuiet
    state = Mutex(State(rows: rows))
    let kind = ProcessInfo.processInfo.environment["TERM"] ?? ""
    isInteractive = isatty(1) == 1 && !isQuiet && !["", "dumb"].contains(kind)
  }

  func announce(_ text: String) {
    clear()
    isQuiet ? StandardError.write(text + "\n") : put(text + "\n")
  }

  func show(_ event: Runner.Event) {
    guard !isQuiet else { return }
    switch event {
    case .measuring(let row, let progress):
      state.withLock { ($0.current, $0.progress) = (row, Self.words(progress)) }
      if isInteractive { draw() }
    case .row(let index, let row):
      let before = state.withLock { state in
        defer { state.rows[index] = row }
        return state.rows[index]
      }
      if isInteractive { return draw() }
      // Once for every row: when it is timed first, or will not be.
      let isFirst = before.runs.isEmpty && !row.runs.isEmpty || row.status != .measured && row.status != before.status
      guard isFirst, row.status != .pending || row.reason != nil else { return }
      let width = state.withLock { $0.rows.map(\.configuration.model.count).max() ?? 0 }
      let model = row.configuration.model
      for line in table(Self.wide).lines(row) {
        put(model + String(repeating: " ", count: width - model.count) + "  \(line)\n")
      }
    case .kept(let url): announce("former  \(displayPath(url))")
    }
  }

  /// Columns where nobody says how many there are.
  private static let wide = 120

  private func table(_ width: Int) -> TerminalTable { TerminalTable(state.withLock { $0.rows }, catalog, width: width) }

  private static func words(_ progress: Runner.Progress) -> String {
    let share = min(max(progress.seconds / max(progress.budget, 1e-9), 0), 1)
    let filled = Int(share * 16)
    let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 16 - filled)
    let left = duration(max(progress.budget - progress.seconds, 0))
    return "\(bar) at most \(left) left, \(progress.pairs) pairs, \(progress.resolved) of \(progress.timed) resolved  "
      + (progress.isTiming ? "timing " : "inspecting ")
  }

  /// Draws the table and the line of progress over what was there. A table that is taller than the terminal is shown as far
  /// as the report concludes on it, and then around the row at work.
  private func draw() {
    let size = Self.size()
    let table = table(size.columns)
    let (rows, current, progress) = state.withLock { ($0.rows, $0.current, $0.progress) }
    // A line is a row, or of a model's head the first or the second; only those that are shown are written.
    enum Line { case head(String, Int), row(Int) }
    func lines(_ chosen: [Int]) -> [Line] {
      var (lines, model) = ([Line](), String?.none)
      for index in chosen {
        let own = rows[index].configuration.model
        if own != model { lines += [.head(own, 0), .head(own, 1)] }
        model = own
        lines.append(.row(index))
      }
      return lines
    }
    let order = rows.map(\.configuration.model).uniqued().flatMap { model in
      rows.indices.filter { rows[$0].configuration.model == model }
    }
    // In a window of a few lines the progress alone.
    guard size.rows >= 8 else { return redraw([String(progress.prefix(size.columns - 1))]) }
    let most = size.rows - 3
    var chosen = order
    if lines(chosen).count > most { chosen = chosen.filter { rows[$0].isHeadline || $0 == current } }
    var window = lines(chosen)
    if window.count > most {
      let place = window.firstIndex { if case .row(let index) = $0 { index == current } else { false } } ?? 0
      let start = max(0, min(place - most / 2, window.count - most))
      window = Array(window[start..<(start + most)])
    }
    var shown = window.map { line in
      switch line {
      case .head(let model, let number): table.heading(model)[number]
      case .row(let index): (index == current ? "›" : " ") + table.lines(rows[index], isWhole: false)[0]
      }
    }
    if chosen.count < order.count { shown.append("  … \(order.count - chosen.count) more rows, in the summary") }
    shown.append(progress + (current.map { "\(rows[$0].configuration.model): \(rows[$0].label)" } ?? ""))
    redraw(shown.map { String($0.prefix(size.columns - 1)) })
  }

  private func redraw(_ lines: [String]) {
    let before = state.withLock { state in
      defer { state.drawn = lines.count }
      return state.drawn
    }
    var text = before > 1 ? "\r\u{1b}[\(before - 1)A" : "\r"
    text += "\u{1b}[J" + lines.joined(separator: "\n")
    put(text)
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
    let width = isInteractive ? Self.size().columns - 1 : Self.wide
    func paragraph(_ text: String) { put(TerminalTable.wrapped(text, to: width).joined(separator: "\n") + "\n") }
    let table = TerminalTable(file.rows, catalog, width: width)
    for model in file.models {
      put("\n" + table.heading(model).joined(separator: "\n") + "\n")
      for row in file.rows where row.configuration.model == model && row.status != .same {
        for line in table.lines(row) { put(line + "\n") }
      }
    }
    let same = file.rows.filter { $0.status == .same }
    if !same.isEmpty {
      let words = same.map { "\($0.configuration.model) \($0.label) = \($0.sameAs.map(file.label) ?? "")" }
      paragraph("\nSame graph: \(words.joined(separator: "; "))")
    }
    for note in ResultTable.notes(file.rows) { paragraph(note) }
    for device in ResultTable.devices(file) { paragraph(device) }
    if let diagnostic = ResultTable.timedShare(file) { paragraph(diagnostic) }
    if let shortfall = ResultTable.shortfall(file) { paragraph("\n\(shortfall)") }
    for reference in ResultTable.references(file) { paragraph(reference) }
    for sentence in ResultTable.conclusions(file, catalog) {
      put("\n")
      paragraph(sentence)
    }
    guard file.hasTimes else { return }
    if !file.isComplete { paragraph("\nWhat was measured is kept; the same command with --resume goes on.") }
    put("\nrecord  \(url)\n")
    if !reports.isEmpty {
      put("report  \(reports.joined(separator: "  "))\nnext    swift run bench-suite report \(url) --format csv\n")
    }
  }

  static func duration(_ seconds: Double) -> String {
    if seconds < 1 { return String(format: "%.2g s", seconds) }
    let whole = Int(seconds.rounded())
    if whole >= 7200 { return String(format: whole % 3600 == 0 ? "%.0f h" : "%.1f h", seconds / 3600) }
    return whole < 60 ? "\(whole) s" : whole % 60 == 0 ? "\(whole / 60) min" : "\(whole / 60) min \(whole % 60) s"
  }

  private func line(_ text: String) { redraw([String(text.prefix(Self.size().columns - 1))]) }

  private func clear() {
    let drawn = state.withLock { state in
      defer { state.drawn = 0 }
      return state.drawn
    }
    guard drawn > 0 else { return }
    put("\r" + (drawn > 1 ? "\u{1b}[\(drawn - 1)A" : "") + "\u{1b}[J")
  }

  /// Of the terminal, in characters.
  private static func size() -> (columns: Int, rows: Int) {
    var size = winsize()
    guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0 else { return (80, 24) }
    return (size.ws_col > 20 ? Int(size.ws_col) : 80, size.ws_row > 0 ? Int(size.ws_row) : 24)
  }

  private func put(_ text: String) { StandardOutput.write(text) }
}
