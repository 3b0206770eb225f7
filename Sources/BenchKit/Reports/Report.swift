import Foundation

/// A way to write down a result.
public protocol Report: Sendable {
  var name: String { get }
  /// Extensions of files that hold it, in lower case; none where any will do.
  var extensions: [String] { get }
  func render(_ file: ResultFile, _ catalog: Catalog) throws -> String
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
  public func render(_ file: ResultFile, _ catalog: Catalog) -> String { file.document(catalog).markdown }
}

public struct HTMLReport: Report {
  public let name = "html"
  public let extensions = ["html", "htm"]
  public init() {}
  public func render(_ file: ResultFile, _ catalog: Catalog) -> String { file.document(catalog).html }
}

/// The result file itself.
public struct JSONReport: Report {
  public let name = "json"
  public let extensions = ["json"]
  public init() {}
  public func render(_ file: ResultFile, _ catalog: Catalog) throws -> String { try JSONEncoder.text(file) }
}

/// One line per cell, one column per metric (RFC 4180).
public struct CSVReport: Report {
  public let name = "csv"
  public let extensions = ["csv"]
  public init() {}
  public func render(_ file: ResultFile, _ catalog: Catalog) -> String {
    let headings = ["model", "cell", "status", "visits"] + catalog.metrics.map(\.name)
    var text = (headings + ["ratio", "ratio-low", "ratio-high", "notes"]).joined(separator: ",") + "\n"
    for cell in file.cells {
      var fields = [cell.cell.model, Format.quoted(cell.label), cell.status.rawValue, "\(cell.visits.count)"]
      fields += catalog.metrics.map { metric in
        cell.status == .measured ? metric.value(cell).map { "\($0)" } ?? "" : ""
      }
      let ratio = cell.status == .measured ? cell.ratio : nil
      let interval = ratio.flatMap { $0.hasInterval ? $0 : nil }
      fields += [
        ratio.map { "\($0.value)" } ?? "", interval.map { "\($0.low)" } ?? "", interval.map { "\($0.high)" } ?? "",
        Format.quoted((([cell.reason].compactMap { $0 }) + cell.remarks).joined(separator: "; ")),
      ]
      text += fields.joined(separator: ",") + "\n"
    }
    return text
  }
}

/// Go's benchmark format, a line per fresh process, for `benchstat` and what else reads it.
public struct BenchstatReport: Report {
  public let name = "benchstat"
  public init() {}
  public func render(_ file: ResultFile, _ catalog: Catalog) -> String {
    let machine = file.environment
    var text = "goos: linux\npkg: pacer/\(file.suite)\ncpu: \(machine.processor)\n"
    for cell in file.cells where cell.status == .measured {
      let name =
        "Benchmark"
        + [cell.cell.model, cell.label].joined(separator: "/").replacingOccurrences(of: ", ", with: "/")
        .map { $0.isWhitespace ? "_" : String($0) }.joined()
      for visit in cell.visits {
        text += "\(name) \(visit.sample.timed ?? visit.sample.latencies.count) \(Int(visit.median)) ns/op"
        if let bytes = cell.figures["heap-bytes"], let count = cell.figures["heap-allocations"] {
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

  public func render(_ file: ResultFile, _ catalog: Catalog) throws -> String {
    var entries: [Entry] = []
    for cell in file.cells where cell.status == .measured {
      let name = "\(cell.cell.model): \(cell.label)"
      if let ratio = cell.ratio, let baseline = cell.baseline {
        entries.append(
          Entry(
            name: name, unit: "× \(file.label(baseline))", value: ratio.value,
            range: ratio.hasInterval ? String(format: "%.4f–%.4f", ratio.low, ratio.high) : nil,
            extra: cell.latency.map { "\(Format.time($0.value)), \(cell.visits.count) processes" }))
      }
      for metric in catalog.exactMetrics where ["heap-allocations", "arena-bytes"].contains(metric.name) {
        if let value = metric.value(cell) {
          let unit = metric.unit == .bytes ? "bytes" : "calls"
          entries.append(Entry(name: "\(name), \(metric.name)", unit: unit, value: value))
        }
      }
    }
    return try JSONEncoder.text(entries)
  }
}
