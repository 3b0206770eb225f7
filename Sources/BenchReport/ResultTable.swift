import BenchModel
import BenchStatistics
import Foundation

/// The table of a result: the same rows in the terminal and in Markdown.
public struct ResultTable: Sendable {
  /// Those of every table, and those of the metrics that ask for a column.
  public static func headings(_ catalog: Catalog) -> [String] {
    ["configuration", "latency", "±", "ratio", "±", "n"] + catalog.metrics.compactMap(\.column)
  }

  /// One row; where it has no times, its label and the reason.
  /// - Parameter label: what a row's id is called.
  public static func row(
    _ result: Row, _ catalog: Catalog, _ label: (String) -> String = { $0 }
  ) -> [Table.Field] {
    func reason(_ text: String) -> [Table.Field] { [Table.Field(result.label), Table.Field(text)] }
    switch result.status {
    case .pending: return reason("not measured" + (result.reason.map { ": \($0)" } ?? ""))
    case .unavailable: return reason("unavailable: \(result.reason ?? "")")
    case .failed: return reason("FAILED: \(result.reason ?? "")")
    case .invalid: return reason("INVALID: \(result.reason ?? "")")
    case .unchecked: return reason("not checked: \(result.reason ?? "")")
    case .same: return reason("same graph as \(result.sameAs.map(label) ?? "")")
    case .measured: break
    }
    func field(_ value: Double?, _ text: (Double) -> String) -> Table.Field {
      Table.Field(value.map(text) ?? "–", key: value)
    }
    func spread(_ estimate: Estimate?) -> Table.Field {
      field(estimate?.relativeHalfWidth) { _ in Format.spread(estimate!) }
    }
    let isBaseline = result.baseline == nil
    let times = [
      Table.Field(result.label + (result.remarks.isEmpty ? "" : " *")), field(result.latency?.value, Format.time),
      spread(result.latency),
      isBaseline
        ? field(result.relativeTime?.value) { _ in "1" }
        : field(result.ratio?.value) { _ in Format.ratio(result.ratio!) },
      isBaseline ? "" : spread(result.ratio), field(Double(result.runs.count), Format.count),
    ]
    return times + catalog.metrics.filter { $0.column != nil }.map { field($0.value(result), $0.unit.text) }
  }

  /// What the marks of rows stand for: what throws doubt on their times. Other work, which disturbs many, is told of once.
  public static func notes(_ rows: [Row]) -> [String] {
    let measured = rows.filter { $0.status == .measured }
    var lines = measured.filter { !$0.notes.isEmpty }.map {
      "* \($0.configuration.model), \($0.label): \($0.notes.joined(separator: "; "))."
    }
    let disturbed = measured.filter { $0.otherWork != nil }
    if disturbed.count < 4 {
      lines += disturbed.map { "* \($0.configuration.model), \($0.label): \($0.otherWork!.words)." }
    } else {
      let all = disturbed.reduce(into: Row.OtherWork()) { $0.add($1.otherWork!) }
      lines.append("* \(all.words) of \(disturbed.count) of the marked rows.")
    }
    return lines
  }

  /// What a run left out, in a sentence that stands before everything else; nil where it did all it was to do.
  public static func shortfall(_ file: Record) -> String? {
    guard let ending = file.ending else { return nil }
    let seconds = file.elapsed < 10 ? String(format: "%.2g", file.elapsed) : "\(Int(file.elapsed))"
    let missing = file.rows.count { $0.status == .pending }
    let count =
      "\(missing) of \(Format.number(file.rows.count, "configuration")) \(missing == 1 ? "was" : "were") not measured"
    let all = missing == 0 ? "some runs are missing" : missing == file.rows.count ? "nothing was measured" : count
    return switch ending {
    case .interrupted: "Interrupted after \(seconds) s: \(all)."
    case .budget: "The budget was spent after \(seconds) s: \(all). A longer --time-budget leaves time for it."
    }
  }

  /// How much of the run was spent inside timed iterations, as a diagnostic; nil where nothing was timed.
  public static func timedShare(_ file: Record) -> String? {
    guard file.hasTimes, file.elapsed > 0 else { return nil }
    let seconds = file.rows.reduce(0) { $0 + $1.runs.reduce(0) { $0 + $1.timedNs } } * 1e-9
    let runs = file.rows.reduce(0) { $0 + $1.runs.count }
    return String(
      format:
        "%d processes timed iterations for %.0f of %.0f s (%.0f %%); the rest is starting, loading, preparing, warming up.",
      runs, seconds, file.elapsed, seconds / file.elapsed * 100)
  }

  /// What backends other than the processor ran on: a GPU, or software that plays one.
  public static func devices(_ file: Record) -> [String] {
    file.rows.compactMap { result in
      guard result[Axes.backend] != "cpu", result.accuracy != nil, let device = result.prepared?.device else {
        return nil
      }
      let engine = result[Axes.engine] == "pacer" ? "" : " (\(result[Axes.engine]))"
      let placement = result.prepared?.placement.map { placement in
        " Of \(result.configuration.model), \(placement.words(asked: result[Axes.backend]))"
      }
      return "\(result[Axes.backend])\(engine) ran on \(device).\(placement ?? "")"
    }.uniqued()
  }

  /// What a person can repeat: nothing is named that did not win beyond its interval.
  public static func verdict(_ file: Record) -> String {
    let peers = PeerFinding.all(in: file).map(\.words)
    if !peers.isEmpty { return peers.joined(separator: " ") }
    return file.rows.map(\.configuration.model).uniqued().compactMap { model in
      verdict(
        file.rows.filter { $0.configuration.model == model && $0.status == .measured && $0.latency != nil }, model, file
      )
    }.joined(separator: " ")
  }

  private static func verdict(_ measured: [Row], _ model: String, _ file: Record) -> String? {
    let pacer = measured.filter { $0.configuration[Axes.engine] == "pacer" && $0.accuracy != nil }
    let backend = pacer.contains { $0.configuration[Axes.backend] == "cpu" } ? "cpu" : pacer.first?[Axes.backend]
    let there = pacer.filter { $0.configuration[Axes.backend] == backend && $0.configuration[Axes.precision] == .fp32 }
    // Of rows with most passes the plainest: the fastest of many noisy ones would praise the luckiest.
    let most = there.map { $0[Axes.passes].count }.max() ?? 0
    let threads = there.map { $0[Axes.threads] }.min() ?? 1
    let fitting = there.filter {
      $0.configuration[Axes.threads] == threads && $0.configuration[Axes.passes].count == most
    }
    guard let first = fitting.first, measured.count > 1 else { return nil }
    // Other inputs are other work.
    let own = fitting.filter { $0.hasWork(of: first) }
    let place = backend == "cpu" ? (threads == 1 ? "one thread" : "\(threads) threads") : backend!
    var sentence = "\(model) takes \(Format.time(first.latency!.value)) on \(place) with \(first.label)"
    if let baseline = first.baseline, let ratio = first.ratio {
      let effect = Attribution.Effect(of: ratio, over: .one)
      let than = file.label(baseline)
      let words =
        switch effect.finding {
        case .faster:
          ", \(Format.speedup(ratio))× faster than \(than) (95 % interval \(Format.speedupInterval(ratio))×)"
        case .slower: ", slower than \(than): speed-up \(effect.words)"
        case .none: ", not significantly different from \(than) (\(Format.speedupInterval(ratio))×)"
        case .unknown, .sameGraph:
          "; against \(than) it is not resolved after \(Format.number(ratio.count, "pair")), a longer --time-budget would tell"
        }
      sentence += words
    }
    sentence += "."
    // Which of several is the fastest is said where it beats each of the others.
    guard own.count > 1 else { return sentence }
    let winner = own.first { candidate in
      own.allSatisfy { other in
        guard candidate.id != other.id else { return true }
        guard candidate.hasBaseline(of: other), let a = candidate.relativeTime, let b = other.relativeTime else {
          return false
        }
        return Attribution.Effect(of: a, over: b).finding == .faster
      }
    }
    let names = own.map(\.label).joined(separator: "; ")
    return sentence
      + (winner.map { " Fastest of \(names): \($0.label)." } ?? " Which of these is fastest is not resolved: \(names).")
  }
}

extension Row {
  /// Whether the same is computed.
  func hasWork(of other: Row) -> Bool {
    configuration.model == other.configuration.model && self[Axes.shape] == other[Axes.shape]
      && self[Axes.weights] == other[Axes.weights] && self[Axes.input] == other[Axes.input]
  }
}
