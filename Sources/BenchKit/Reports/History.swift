import Foundation

/// Every cell over versions, as its time over that of one reference cell of the same run.
public struct History: Sendable {
  struct Series: Sendable {
    var model: String
    var label: String
    /// One per version; nil where it was not measured.
    var ratios: [Estimate?]
    /// Versions at which it moved beyond both intervals.
    var steps: [Int]
  }

  let host: String
  let suite: String
  let reference: String
  let versions: [String]
  let series: [Series]

  /// - Throws: ``UserError`` where no run is kept, or those of several hosts.
  public init(_ library: RecordLibrary, suite: String, host: String?, reference: String) throws {
    let runs = library.entries.filter { $0.file.suite == suite && (host == nil || $0.host == host) }
    let hosts = Set(runs.map(\.host)).sorted()
    guard let only = hosts.first else {
      throw UserError(
        "no run of the suite \(suite)\(host.map { " on \($0)" } ?? "") is kept: bench-suite run \(suite) && "
          + "bench-suite record --suite \(suite)")
    }
    guard hosts.count == 1 else {
      throw UserError("runs of \(hosts.joined(separator: ", ")) are kept: choose one with --host")
    }
    (self.host, self.suite, self.reference) = (only, suite, reference)
    versions = runs.map(\.version)
    var keys: [[String]] = []
    for run in runs {
      for cell in run.file.cells where cell.hasFigures && cell.cell.engine == "pacer" {
        let key = [cell.cell.model, cell.label]
        if cell.label != reference && !keys.contains(key) { keys.append(key) }
      }
    }
    series = keys.map { key in
      let ratios = runs.map { Self.ratio(key[0], key[1], to: reference, in: $0.file) }
      return Series(model: key[0], label: key[1], ratios: ratios, steps: Self.steps(ratios))
    }.filter { $0.ratios.contains { $0 != nil } }
    if series.isEmpty {
      throw UserError("no run has the reference cell \"\(reference)\": choose another with --reference")
    }
  }

  /// A cell's time over the reference's, both ratios being to the same baseline.
  private static func ratio(_ model: String, _ label: String, to reference: String, in file: ResultFile) -> Estimate? {
    func find(_ label: String) -> CellResult? {
      guard let cell = file.cells.first(where: { $0.cell.model == model && $0.label == label }) else { return nil }
      if cell.status == .same {
        return file.cells.first { $0.cell.model == model && $0.label == cell.sameAs && $0.status == .measured }
      }
      return cell.status == .measured ? cell : nil
    }
    guard let cell = find(label), let other = find(reference), let a = cell.relativeTime, let b = other.relativeTime,
      cell.hasBaseline(of: other)
    else { return nil }
    // The same graph as the reference: the same time.
    return cell.label == other.label ? .one : a.over(b)
  }

  /// Where a ratio left the interval of the last one before it.
  static func steps(_ ratios: [Estimate?]) -> [Int] {
    var last: Estimate?
    var steps: [Int] = []
    for (index, ratio) in ratios.enumerated() {
      guard let ratio else { continue }
      if let last, ratio.low > last.high || ratio.high < last.low { steps.append(index) }
      last = ratio
    }
    return steps
  }

  public var document: Document {
    var document = Document("History of suite `\(suite)` on \(host)")
    document.text(
      "Every figure is a cell's time over that of \"\(reference)\" of the same model in the same run: times of different "
        + "sessions do not compare. A figure in brackets left the interval of the one before it.")
    for model in series.map(\.model).uniqued() {
      let mine = series.filter { $0.model == model }
      document.heading(model)
      document.table(
        Table(
          ["cell"] + versions, left: 1,
          mine.map { series in
            let fields = series.ratios.enumerated().map { index, ratio -> Table.Field in
              guard let ratio else { return "–" }
              let text = "\(Format.ratio(ratio)) \(Format.spread(ratio))"
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
            title: "\(model): time over that of \(reference)", axis: "version", labels: versions.map(Self.short),
            series: most.map {
              LineChart.Series(name: $0.label, points: $0.ratios, steps: $0.steps, tags: ["model": model])
            })))
    }
    return document
  }

  /// "0.2.0-g2cd7628ed8e5" becomes "0.2.0-g2cd76".
  private static func short(_ version: String) -> String {
    let parts = version.split(separator: "-")
    return parts.count > 1 ? "\(parts[0])-\(parts[1].prefix(6))" : version
  }
}
