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
    func field(_ value: Double?, _ text: (Double) -> String) -> Table.Field { Table.Field(value, text) }
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
    return times + catalog.metrics.filter { $0.column != nil }.map { $0.field(result) }
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

  /// What the run concludes, a sentence for each model.
  public static func conclusions(_ file: Record, _ catalog: Catalog) -> [String] {
    file.models.compactMap { Conclusion(file, $0, catalog).sentence }
  }

  /// What the headings mean.
  static func help(_ catalog: Catalog) -> [String: String] {
    var help = [
      "latency": "median time of one inference", "±": "half of the 95 % interval of the number before it",
      "ratio": "time over that of the baseline, the row marked 1: below 1 is faster",
      "n": "pairs of fresh processes, interleaved",
    ]
    for metric in catalog.metrics { if let column = metric.column { help[column] = metric.summary } }
    return help
  }

  /// Where reference outputs come from that are not Pacer's own.
  public static func references(_ file: Record) -> [String] {
    file.rows.compactMap { row in
      row.expectedFrom.map { "Outputs of \(row.configuration.model) are held against those of \($0)." }
    }.uniqued()
  }

  /// How much of the run was spent inside timed iterations, as a diagnostic; nil where nothing was timed.
  public static func timedShare(_ file: Record) -> String? {
    guard file.hasTimes, file.elapsed > 0 else { return nil }
    // A kept record has a row's iterations, and none of a run's.
    let seconds =
      file.rows.filter { !$0.runs.isEmpty }.reduce(0) { sum, row in
        let known = row.runs.reduce(0) { $0 + $1.timedNs }
        return sum + (known > 0 ? known : Double(row.timed) * median(row.runs.map(\.medianNs)))
      } * 1e-9
    guard seconds > 0 else { return nil }
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
        " Of \(result.configuration.model), \(placement.words(asked: result[Axes.backend], tookNs: result.latency?.value))"
      }
      return "\(result[Axes.backend])\(engine) ran on \(device).\(placement ?? "")"
    }.uniqued()
  }
}

extension Table.Field {
  /// A value in its own words, and a dash where there is none.
  init(_ value: Double?, _ text: (Double) -> String) { self.init(value.map(text) ?? "–", key: value) }
}

extension Metric {
  func field(_ row: Row) -> Table.Field { Table.Field(value(row), unit.text) }
}

extension Row {
  /// Whether the same is computed.
  func hasWork(of other: Row) -> Bool {
    configuration.model == other.configuration.model && self[Axes.shape] == other[Axes.shape]
      && self[Axes.weights] == other[Axes.weights] && self[Axes.input] == other[Axes.input]
  }
}
