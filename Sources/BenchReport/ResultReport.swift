import BenchModel
import BenchStatistics
import Foundation

extension Record {
  /// What the run found, as a report says it: first what it concludes on, then everything else, folded.
  public func document(_ catalog: Catalog) -> Document {
    var document = Document("Pacer, suite `\(suite)`, version \(version)")
    if let shortfall = ResultTable.shortfall(self) { document.note(shortfall) }
    let conclusions = models.map { Conclusion(self, $0, catalog) }
    for sentence in conclusions.compactMap(\.sentence) { document.text(sentence) }
    for warning in environment.warnings { document.note("\(warning).") }
    document.blocks.append(.contents)
    for (model, conclusion) in zip(models, conclusions) {
      document.heading(model)
      document.chart(conclusion.chart)
      document.table(conclusion.table)
      for note in ResultTable.notes(conclusion.shown) { document.text(note) }
      if conclusion.shown.count < conclusion.rows.count {
        document.text("\(conclusion.shown.count) of \(conclusion.rows.count) configurations; the others are below.")
      }
    }
    for model in models { describe(model, catalog, &document) }
    document.folded("Where and how this was measured") { describeMeasuring(&$0) }
    document.folded("How to read this") { describeWords(&$0) }
    return document
  }

  private func describeMeasuring(_ document: inout Document) {
    let place = start.workerPrefix.map { " under `\(ShellWords.join($0))`" } ?? ""
    document.text("Measured \(started) on \(environment.summary)\(place) in \(Format.time(max(elapsed, 0) * 1e9)).")
    for device in ResultTable.devices(self) { document.text(device) }
    for reference in ResultTable.references(self) { document.text(reference) }
    if let share = ResultTable.timedShare(self) { document.text(share) }
    if isAsStored {
      document.text(
        "Ratios are as stored: the version that measured this kept no slices, from which they could be made again.")
    }
    let seed = start.seed.map { ", seed \($0)" } ?? ""
    document.text("Made with `\(command)`\(seed).")
  }

  private func describeWords(_ document: inout Document) {
    document.text(
      """
      The ratio is a row's time over that of its baseline, the row marked 1, and the speed-up its inverse: of n pairs of fresh
      processes, interleaved on the same processors; a ratio below 1 is faster. Latency is the baseline's median inference over
      its processes, times that ratio; a baseline's own is its median. ± is half the 95 % interval, shown from three pairs on;
      nothing is called faster or slower before five. An effect whose interval holds 1 is not significant. mallocs and tensors
      are calls in one steady inference; peak is the resident set above that of an empty worker; error is the largest
      difference from the reference output over its largest value. A bar with two gaps is longer than it is drawn.
      """)
    let bases = rows.compactMap { row in row.baseline.map { [row.configuration.model, $0] } }.uniqued()
    if bases.count > bases.map({ $0[0] }).uniqued().count {
      document.text(
        "Where several rows of a model are marked 1, a row's ratio is to the one it was made to be compared with: "
          + "`baseline` in the result says which.")
    }
  }

  private func describe(_ model: String, _ catalog: Catalog, _ document: inout Document) {
    let rows = rows.filter { $0.configuration.model == model }
    let measured = rows.filter { $0.status == .measured }
    document.folded("\(model): all configurations") { part in
      var table = Table(
        ResultTable.headings(catalog), left: 1,
        rows.map { Table.Row(ResultTable.row($0, catalog, label), tags: $0.tags) })
      table.help = ResultTable.help(catalog)
      part.table(table)
      for note in ResultTable.notes(rows) { part.text(note) }
      part.chart(ratios(measured))
      part.chart(latencies(measured))
      part.chart(Self.memory(measured, "heap-allocations", "mallocs of one inference", catalog))
      part.chart(Self.memory(measured, "peak-resident", "peak resident set above an empty worker, MiB", catalog))
    }
    document.folded("\(model): passes and options") { part in
      describePresets(measured, catalog, &part)
      describeAllocators(measured, catalog, &part)
      describePasses(model, rows, catalog, &part)
      describeOptions(model, catalog, &part)
    }
    document.folded("\(model): all metrics") { describeMetrics(measured, catalog, &$0) }
  }

  // MARK: Charts

  private func ratios(_ rows: [Row]) -> Chart {
    let bars = rows.compactMap { row -> BarChart.Bar? in
      guard let ratio = row.relativeTime else { return nil }
      let interval = ratio.hasInterval ? ratio : nil
      let spread = interval.map { " " + Format.spread($0) } ?? ""
      return BarChart.Bar(
        label: row.label, value: ratio.value, low: interval?.low, high: interval?.high,
        text: row.baseline == nil ? "1" : Format.ratio(ratio) + spread, tags: row.tags)
    }
    let bases = rows.compactMap(\.baseline).uniqued()
    let base = bases.count > 1 ? "the row each is compared with" : bases.first.map(label) ?? "its baseline"
    return .bars(
      BarChart(
        title: "time relative to \(base): shorter is faster", axis: "ratio",
        reference: 1,
        bars: bars.count > 1 ? bars : []))
  }

  private func latencies(_ rows: [Row]) -> Chart {
    .spreads(
      SpreadChart(
        title: "latencies: 5th to 95th percentile, quartiles, median; of pairs, at the baseline's own speed",
        axis: "ms",
        rows: rows.compactMap { row in
          SpreadChart.Row(
            row.label, quantiles: quantilesNs(of: row)?.map { $0 / 1e6 },
            text: row.latency.map { Format.time($0.value) } ?? "", tags: row.tags)
        }))
  }

  /// Quantiles of a row's latencies as its latency is seen: those of a pair moved to where the pair's ratio puts them
  /// beside the baseline's latency, so that the hour at which a process happened to run moves no row.
  private func quantilesNs(of result: Row) -> [Double]? {
    if let kept = result.quantilesNs {
      // What is left of single latencies is moved as a whole.
      return result.latency.map { latency in kept.map { $0 * latency.value / kept[2] } }
    }
    let base = result.baseline.flatMap { row($0) }?.latency?.value
    let latencies = result.runs.flatMap { run in
      let scale = base.flatMap { base in run.ratio.map { base * $0 / run.medianNs } } ?? 1
      return run.slicesNs.flatMap { $0.map { Double($0) * scale } }
    }
    return latencies.isEmpty ? nil : quantiles(of: latencies)
  }

  private static func memory(_ rows: [Row], _ name: String, _ title: String, _ catalog: Catalog) -> Chart {
    guard let metric = catalog.metrics.first(where: { $0.name == name }) else {
      return .bars(BarChart(title: title, axis: "", bars: []))
    }
    let scale = metric.unit == .bytes ? 1 / 1024.0 / 1024 : 1
    return .bars(
      BarChart(
        title: title, axis: metric.unit == .bytes ? "MiB" : "",
        bars: rows.compactMap { row in
          metric.value(row).map {
            BarChart.Bar(label: row.label, value: $0 * scale, text: metric.unit.text($0), tags: row.tags)
          }
        }))
  }

  // MARK: Passes and metrics

  private func describePasses(
    _ model: String, _ rows: [Row], _ catalog: Catalog, _ document: inout Document
  ) {
    guard
      let full = rows.filter({ $0.prepared != nil }).max(by: {
        $0.configuration[Axes.passes].count < $1.configuration[Axes.passes].count
      }),
      let passes = full.prepared?.passes, !passes.isEmpty
    else { return }
    let rewrites = Dictionary(passes.map { ($0.name, $0.rewrites) }) { first, _ in first }
    let attribution = Attribution(self, model: model, catalog: catalog)
    let isKnown = catalog.passes.contains {
      (attribution.alone($0.name) ?? attribution.last($0.name) ?? attribution.inOrder($0.name)) != nil
    }
    guard isKnown else { return }
    document.heading("Effect of each pass", level: 3)
    func words(_ effect: Attribution.Effect?) -> String { effect?.words ?? "–" }
    let passRows = catalog.passes.filter { rewrites[$0.name] != nil }.map { pass -> [String] in
      let (name, last) = (pass.name, attribution.last(pass.name))
      let mean = attribution.main(name).map { "\($0.words), \($0.places) contexts" } ?? "–"
      let changes = ["heap-allocations", "peak-resident", "error"].map { last?.change($0, catalog) ?? "–" }
      return [
        name, pass.off, "\(rewrites[name]!)", words(attribution.alone(name)), words(attribution.inOrder(name)),
        words(last), mean,
      ] + changes
    }
    document.table(
      Table(
        ["pass", "when disabled", "rewrites", "alone", "cumulative", "ablation", "mean", "mallocs", "peak", "error"],
        left: 2, passRows))
    document.text(
      "Speed-up with the pass over without it, with the 95 % interval: alone (no other pass), cumulative (with those above "
        + "it), ablation (all others on), and the mean of all contexts measured. Mallocs, peak and error: without it → with "
        + "it, all others on.")
    if attribution.passes.allSatisfy({ attribution.shapley($0) != nil }) {
      document.table(
        Table(
          ["pass", "share of everything"], left: 1,
          attribution.passes.map { [$0, attribution.shapley($0)!.words] }))
    }
    let pairs = attribution.passes.enumerated().flatMap { index, a in
      attribution.passes.dropFirst(index + 1).compactMap { b in
        attribution.interaction(a, b).map { (a, b, $0) }
      }
    }
    let resolved = pairs.filter { [.faster, .slower].contains($0.2.finding) }
    if !resolved.isEmpty {
      document.heading("Pass interactions", level: 3)
      document.text(
        "\(resolved.count) of \(pairs.count) pairs of passes. Combined speed-up over the product of both speed-ups: above 1 "
          + "they help each other.")
      document.table(
        Table(
          ["pass", "and", "combined over product", "contexts"], left: 2,
          resolved.map { [$0.0, $0.1, $0.2.words, "\($0.2.places)"] }))
    }
  }

  private func describeOptions(_ model: String, _ catalog: Catalog, _ document: inout Document) {
    let options = Attribution(self, model: model, catalog: catalog).options
    if !options.isEmpty {
      document.heading("Other options", level: 3)
      document.table(
        Table(
          ["option", "in", "speed-up", "mallocs", "peak"], left: 2,
          options.map { option in
            return [
              "\(option.axis) \(option.to) instead of \(option.from)", option.row, option.effect.words,
              option.effect.change("heap-allocations", catalog) ?? "–",
              option.effect.change("peak-resident", catalog) ?? "–",
            ]
          }))
    }
  }

  private static let metricsAcross = 6

  private func describeMetrics(_ rows: [Row], _ catalog: Catalog, _ document: inout Document) {
    let metrics = catalog.metrics.filter { metric in rows.contains { metric.value($0) != nil } }
    guard !rows.isEmpty, !metrics.isEmpty else { return }
    document.text("Medians over the runs.")
    // Side by side what is counted alike, in as many tables as that needs to fit a page.
    for (unit, alike) in metrics.map(\.unit.name).uniqued().map({ unit in
      (unit, metrics.filter { $0.unit.name == unit })
    }) {
      for start in stride(from: 0, to: alike.count, by: Self.metricsAcross) {
        let shown = alike[start..<min(start + Self.metricsAcross, alike.count)]
        var table = Table(
          [unit] + shown.map(\.name), left: 1,
          rows.map { row in Table.Row([Table.Field(row.label)] + shown.map { $0.field(row) }, tags: row.tags) })
        table.help = Dictionary(shown.map { ($0.name, $0.summary) }) { first, _ in first }
        document.table(table)
      }
    }
    // Once for all rows that say the same.
    let reasons = rows.flatMap { row in row.unavailableMetrics.map { [$0.key, $0.value] } }.uniqued()
    for reason in reasons.sorted(by: { $0[0] < $1[0] }) {
      let those = rows.filter { $0.unavailableMetrics[reason[0]] == reason[1] }
      let place = those.count == rows.count ? "" : " (\(those.map(\.label).joined(separator: "; ")))"
      document.text("\(reason[0]): unavailable, \(reason[1])\(place).")
    }
  }
}

extension Row {
  /// What rows of a table are chosen by.
  var tags: [String: String] {
    [
      "model": configuration.model, "backend": self[Axes.backend],
      "passes": self[Axes.passes].joined(separator: " "),
    ]
  }
}

extension MachineDescription {
  /// The machine in a phrase.
  var summary: String { "\(processor) (\(isa), \(processors) processors, \(system), \(libc))" }
}
