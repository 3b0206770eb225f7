import BenchModel
import BenchProtocol
import BenchStatistics
import Foundation

/// Every row over versions, as its time over that of one reference row of the same run: a part for each host.
public struct History: Sendable {
  struct Series: Sendable {
    var model: String
    var label: String
    /// One per version; nil where it was not measured.
    var ratios: [Estimate?]
    /// Versions at which it moved beyond both intervals.
    var steps: [Int]
  }

  struct Host: Sendable {
    var name: String
    var versions: [String]
    var series: [Series]
  }

  let suite: String
  /// Label of the reference row.
  let reference: String
  let hosts: [Host]

  /// - Parameter reference: of any model.
  /// - Throws: ``UserError`` where no run is kept, or none has the reference.
  public init(
    _ library: RecordLibrary, _ catalog: Catalog, suite: String, host: String?, reference: Configuration
  ) throws {
    let runs = library.entries.filter { $0.file.suite == suite && (host == nil || $0.host == host) }
    guard !runs.isEmpty else {
      throw UserError(
        "no run of the suite \(suite)\(host.map { " on \($0)" } ?? "") is kept: bench-suite run \(suite) && "
          + "bench-suite record --suite \(suite)")
    }
    (self.suite, self.reference) = (suite, Labels.of(reference, catalog))
    hosts = Set(runs.map(\.host)).sorted().map { name in
      let mine = runs.filter { $0.host == name }
      return Host(
        name: name, versions: mine.map(\.version),
        series: Self.series(of: mine.map { VersionRun($0.file, catalog.axes) }, reference, catalog.axes))
    }.filter { !$0.series.isEmpty }
    if hosts.isEmpty {
      throw UserError("no run has the reference configuration, \(self.reference): choose another with --reference")
    }
  }

  /// A run, its rows by what they are in any version.
  struct VersionRun {
    let file: Record
    let rows: [String: Row]

    init(_ file: Record, _ axes: AxisTable) {
      self.file = file
      let all = Set(file.passes)
      rows = Dictionary(file.rows.map { (axes.id(of: $0.configuration, ofAll: all), $0) }) { first, _ in first }
    }

    /// The row that was timed for it.
    func timed(_ key: String) -> Row? {
      guard let row = rows[key] else { return nil }
      if row.status == .same {
        return row.sameAs.flatMap { file.row($0) }.flatMap { $0.status == .measured ? $0 : nil }
      }
      return row.status == .measured ? row : nil
    }
  }

  static func series(of runs: [VersionRun], _ reference: Configuration, _ axes: AxisTable) -> [Series] {
    /// The reference in any version, by model.
    var references: [String: String] = [:]
    for run in runs {
      for model in run.rows.values.map(\.configuration.model).uniqued() {
        var configuration = reference
        configuration[Axes.model] = model
        let key = axes.id(of: configuration, ofAll: Set(run.file.passes))
        if run.rows[key] != nil { references[model] = key }
      }
    }
    var keys: [String] = []
    var names: [String: Row] = [:]
    for run in runs {
      let order = run.rows.sorted { $0.key < $1.key }
      let places = Dictionary(run.file.rows.enumerated().map { ($1.id, $0) }) { first, _ in first }
      for (key, row) in order.sorted(by: { places[$0.value.id]! < places[$1.value.id]! })
      where row.hasMetrics && row[Axes.engine] == "pacer" && references[row.configuration.model] != key {
        if names.updateValue(row, forKey: key) == nil { keys.append(key) }
      }
    }
    return keys.compactMap { key in
      let name = names[key]!
      guard let other = references[name.configuration.model] else { return nil }
      let ratios = runs.map { ratio($0.timed(key), to: $0.timed(other)) }
      guard ratios.contains(where: { $0 != nil }) else { return nil }
      return Series(model: name.configuration.model, label: name.label, ratios: ratios, steps: steps(ratios))
    }
  }

  /// A row's time over the reference's, both ratios being to the same baseline.
  private static func ratio(_ row: Row?, to other: Row?) -> Estimate? {
    guard let row, let other, let a = row.relativeTime, let b = other.relativeTime, row.hasBaseline(of: other) else {
      return nil
    }
    // The same graph as the reference: the same time.
    guard row.id != other.id else { return .one }
    var ratio = a.over(b)
    ratio.count = [a, b].filter { !$0.isExact }.map(\.count).min() ?? 1
    return ratio
  }

  /// Where a ratio left the interval of the last one before it.
  static func steps(_ ratios: [Estimate?]) -> [Int] {
    var last: Estimate?
    var steps: [Int] = []
    for (index, ratio) in ratios.enumerated() {
      guard let ratio else { continue }
      let isKnown = ratio.isExact || ratio.count >= Estimate.runsForVerdict
      if let last, isKnown, ratio.low > last.high || ratio.high < last.low { steps.append(index) }
      if isKnown { last = ratio }
    }
    return steps
  }

  public var document: Document {
    var document = Document("History of suite `\(suite)`" + (hosts.count == 1 ? " on \(hosts[0].name)" : ""))
    document.text(
      "Every number is a row's time over that of \"\(reference)\" of the same model in the same run: absolute times from "
        + "separate runs are not comparable. A number in brackets left the interval of the one before it.")
    for host in hosts {
      if hosts.count > 1 { document.heading("On \(host.name)") }
      for model in host.series.map(\.model).uniqued() {
        describe(host, model, level: hosts.count > 1 ? 3 : 2, &document)
      }
    }
    return document
  }

  private func describe(_ host: Host, _ model: String, level: Int, _ document: inout Document) {
    let mine = host.series.filter { $0.model == model }
    document.heading(model, level: level)
    document.table(
      Table(
        ["configuration"] + host.versions, left: 1,
        mine.map { series in
          let fields = series.ratios.enumerated().map { index, ratio -> Table.Field in
            guard let ratio else { return "–" }
            let text = ratio.isExact ? Format.ratio(ratio) : "\(Format.ratio(ratio)) \(Format.spread(ratio))"
            return Table.Field(series.steps.contains(index) ? "(\(text))" : text, key: ratio.value)
          }
          return Table.Row([Table.Field(series.label)] + fields, tags: ["model": model])
        }))
    // Lines that lie on each other say nothing: a chart has at most six.
    let drawn = mine.filter { $0.ratios.compactMap { $0 }.count > 1 }
    let most = drawn.sorted { ($0.steps.count, $1.label) > ($1.steps.count, $0.label) }.prefix(6)
    document.chart(
      .lines(
        LineChart(
          title: "\(model): time over that of \(reference)", axis: "version", labels: host.versions.map(Self.short),
          series: most.map {
            LineChart.Series(name: $0.label, points: $0.ratios, steps: $0.steps, tags: ["model": model])
          })))
  }

  /// "0.2.0-g2cd7628ed8e5" becomes "0.2.0-g2cd76".
  private static func short(_ version: String) -> String {
    let parts = version.split(separator: "-")
    return parts.count > 1 ? "\(parts[0])-\(parts[1].prefix(6))" : version
  }
}
