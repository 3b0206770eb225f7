import BenchModel
import Foundation

/// A way to write down a result.
public protocol Report: Sendable {
  var name: String { get }
  /// Extensions of files that hold it, in lower case; none where any will do.
  var extensions: [String] { get }
  func render(_ file: Record, _ catalog: Catalog) throws -> String
}

extension Report {
  public var extensions: [String] { ["txt"] }
}

public let standardReports: [any Report] = [
  MarkdownReport(), HTMLReport(), CSVReport(), JSONReport(), BenchstatReport(), GitHubActionBenchmarkReport(),
]

public struct MarkdownReport: Report {
  public let name = "markdown"
  public let extensions = ["md"]
  public init() {}
  public func render(_ file: Record, _ catalog: Catalog) -> String { file.document(catalog).markdown }
}

public struct HTMLReport: Report {
  public let name = "html"
  public let extensions = ["html", "htm"]
  public init() {}
  public func render(_ file: Record, _ catalog: Catalog) -> String { file.document(catalog).html }
}

/// What the record says, as one JSON object: every row with its estimates and metrics.
public struct JSONReport: Report {
  public let name = "json"
  public let extensions = ["json"]
  public init() {}
  public func render(_ file: Record, _ catalog: Catalog) throws -> String {
    try JSONEncoder.text(RecordSummary(file, catalog))
  }
}

/// One line per row, one column per metric (RFC 4180).
public struct CSVReport: Report {
  public let name = "csv"
  public let extensions = ["csv"]
  public init() {}
  public func render(_ file: Record, _ catalog: Catalog) -> String {
    let headings = ["model", "configuration", "status", "runs"] + catalog.metrics.map(\.name)
    var text = (headings + ["ratio", "ratio-low", "ratio-high", "notes"]).joined(separator: ",") + "\n"
    for row in file.rows {
      var fields = [row.configuration.model, Format.quoted(row.label), row.status.rawValue, "\(row.runs.count)"]
      fields += catalog.metrics.map { metric in
        row.status == .measured ? metric.value(row).map { "\($0)" } ?? "" : ""
      }
      let ratio = row.status == .measured ? row.ratio : nil
      let interval = ratio.flatMap { $0.hasInterval ? $0 : nil }
      for value in [ratio?.value, interval?.low, interval?.high] { fields.append(value.map { "\($0)" } ?? "") }
      let notes = [row.reason].compactMap { $0 } + row.remarks
      fields.append(Format.quoted(notes.joined(separator: "; ")))
      text += fields.joined(separator: ",") + "\n"
    }
    return text
  }
}

/// Go's benchmark format, a line per fresh process, for `benchstat` and what else reads it.
public struct BenchstatReport: Report {
  public let name = "benchstat"
  public init() {}
  public func render(_ file: Record, _ catalog: Catalog) -> String {
    let machine = file.environment
    var text = "goos: linux\npkg: pacer/\(file.suite)\ncpu: \(machine.processor)\n"
    for row in file.rows where row.status == .measured {
      let name =
        "Benchmark"
        + [row.configuration.model, row.label].joined(separator: "/").replacingOccurrences(of: ", ", with: "/")
        .map { $0.isWhitespace ? "_" : String($0) }.joined()
      for run in row.runs {
        text += "\(name) \(max(run.timed, 1)) \(Int(run.medianNs)) ns/op"
        if let bytes = row.metrics["heap-bytes"], let count = row.metrics["heap-allocations"] {
          text += String(format: " %.0f B/op %.0f allocs/op", bytes, count)
        }
        text += "\n"
      }
    }
    return text
  }
}

/// What github-action-benchmark reads as `customSmallerIsBetter`: ratios, since times of different runners do not compare.
public struct GitHubActionBenchmarkReport: Report {
  public let name = "github-action-benchmark"
  public let extensions = ["json"]
  public init() {}

  private struct Entry: Encodable {
    var name: String
    var unit: String
    var value: Double
    var range: String?
    var extra: String?
  }

  public func render(_ file: Record, _ catalog: Catalog) throws -> String {
    var entries: [Entry] = []
    for row in file.rows where row.status == .measured {
      let name = "\(row.configuration.model): \(row.label)"
      if let ratio = row.ratio, let baseline = row.baseline {
        entries.append(
          Entry(
            name: name, unit: "× \(file.label(baseline))", value: ratio.value,
            range: ratio.hasInterval ? String(format: "%.4f–%.4f", ratio.low, ratio.high) : nil,
            extra: row.latency.map { "\(Format.time($0.value)), \(row.runs.count) processes" }))
      }
      for metric in catalog.deterministicMetrics where ["heap-allocations", "arena-bytes"].contains(metric.name) {
        if let value = metric.value(row) {
          let unit = metric.unit == .bytes ? "bytes" : "calls"
          entries.append(Entry(name: "\(name), \(metric.name)", unit: unit, value: value))
        }
      }
    }
    return try JSONEncoder.text(entries)
  }
}
