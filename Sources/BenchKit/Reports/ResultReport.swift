import Foundation

extension ResultFile {
  /// What the run found, as a report says it.
  public func document(_ catalog: Catalog) -> Document {
    var document = Document("Pacer, suite `\(suite)`, version \(version)")
    if let shortfall = ResultTable.shortfall(self) { document.note(shortfall) }
    let verdict = ResultTable.verdict(self)
    if !verdict.isEmpty { document.text(verdict) }
    let place = workerPrefix.map { " under `\(ShellWords.join($0))`" } ?? ""
    document.text("Measured \(started) on \(environment.summary)\(place) in \(Format.time(max(elapsed, 0) * 1e9)).")
    for device in ResultTable.devices(self) { document.text(device) }
    for warning in environment.warnings { document.note("\(warning).") }
    for model in cells.map(\.cell.model).uniqued() { describe(model, catalog, &document) }
    document.heading("How to read this")
    document.text(
      """
      The ratio is a row's time over that of its baseline, the row marked 1: of n pairs of fresh processes, interleaved on the
      same processors; below 1 is faster. Latency is the baseline's median inference over its processes, times that ratio;
      a baseline's own is its median. ± is half the 95 % interval, shown from three pairs on; nothing is called faster or
      slower before five. An effect whose interval holds 1 is not significant. mallocs and tensors are calls in one steady
      inference; peak is the resident set above that of an empty worker; error is the largest difference from the reference
      output over its largest value.
      """)
    let bases = cells.compactMap { cell in cell.baseline.map { [cell.cell.model, $0] } }.uniqued()
    if bases.count > bases.map({ $0[0] }).uniqued().count {
      document.text(
        "Where several rows of a model are marked 1, a row's ratio is to the one it was made to be compared with: "
          + "`baseline` in the result says which.")
    }
    document.text("Made with `\(command)`.")
    return document
  }

  private func describe(_ model: String, _ catalog: Catalog, _ document: inout Document) {
    let cells = cells.filter { $0.cell.model == model }
    document.heading(model)
    document.table(
      Table(
        ResultTable.headings, left: 1,
        cells.map { Table.Row(ResultTable.row($0, label), tags: $0.tags) }))
    for note in ResultTable.notes(cells) { document.text(note) }
    let measured = cells.filter { $0.status == .measured }
    document.chart(ratios(measured))
    document.chart(latencies(measured))
    document.chart(Self.memory(measured, "heap-allocations", "mallocs of one inference", catalog))
    document.chart(Self.memory(measured, "peak-resident", "peak resident set above an empty worker, MiB", catalog))
    describeEras(measured, &document)
    describeAllocators(measured, catalog, &document)
    describePasses(model, cells, catalog, &document)
    describeOptions(model, catalog, &document)
    describeFigures(measured, catalog, &document)
  }

  // MARK: Charts

  private func ratios(_ cells: [CellResult]) -> Chart {
    let bars = cells.compactMap { cell -> BarChart.Bar? in
      // A chart that has the scalar oracle in it shows nothing else.
      guard let ratio = cell.relativeTime, cell.cell.kernels != .reference else { return nil }
      let interval = ratio.hasInterval ? ratio : nil
      let spread = interval.map { " " + Format.spread($0) } ?? ""
      return BarChart.Bar(
        label: cell.label, value: ratio.value, low: interval?.low, high: interval?.high,
        text: cell.baseline == nil ? "1" : Format.ratio(ratio) + spread, tags: cell.tags)
    }
    let bases = cells.compactMap(\.baseline).uniqued()
    let base = bases.count > 1 ? "the row each is compared with" : bases.first.map(label) ?? "its baseline"
    return .bars(
      BarChart(
        title: "time relative to \(base): shorter is faster", axis: "ratio",
        reference: 1,
        bars: bars.count > 1 ? bars : []))
  }

  private func latencies(_ cells: [CellResult]) -> Chart {
    .spreads(
      SpreadChart(
        title: "latencies: 5th to 95th percentile, quartiles, median; of pairs, at the baseline's own speed",
        axis: "ms",
        rows: cells.filter { $0.cell.kernels != .reference }.compactMap { cell in
          SpreadChart.Row(
            cell.label, samples(of: cell).map { $0 / 1e6 }, text: cell.latency.map { Format.time($0.value) } ?? "",
            tags: cell.tags)
        }))
  }

  /// The samples of a cell as its latency is seen: those of a pair moved to where the pair's ratio puts them beside the
  /// baseline's latency, so that the hour at which a process happened to run moves no row.
  private func samples(of result: CellResult) -> [Double] {
    guard let base = result.baseline.flatMap({ cell($0) })?.latency?.value else { return result.samples }
    return result.visits.flatMap { visit in
      let scale = visit.ratio.map { base * $0 / visit.median } ?? 1
      return visit.sample.latencies.map { Double($0) * scale }
    }
  }

  private static func memory(_ cells: [CellResult], _ name: String, _ title: String, _ catalog: Catalog) -> Chart {
    guard let metric = catalog.metrics.first(where: { $0.name == name }) else {
      return .bars(BarChart(title: title, axis: "", bars: []))
    }
    let scale = metric.unit == .bytes ? 1 / 1024.0 / 1024 : 1
    return .bars(
      BarChart(
        title: title, axis: metric.unit == .bytes ? "MiB" : "",
        bars: cells.compactMap { cell in
          metric.value(cell).map {
            BarChart.Bar(label: cell.label, value: $0 * scale, text: Format.value($0, metric.unit), tags: cell.tags)
          }
        }))
  }

  // MARK: Passes and figures

  private func describePasses(
    _ model: String, _ cells: [CellResult], _ catalog: Catalog, _ document: inout Document
  ) {
    guard let full = cells.filter({ $0.prepared != nil }).max(by: { $0.cell.passes.count < $1.cell.passes.count }),
      let prepared = full.prepared, !prepared.passes.isEmpty
    else { return }
    let rewrites = Dictionary(prepared.passes.map { ($0.name, $0.rewrites) }) { first, _ in first }
    let attribution = Attribution(self, model: model, catalog: catalog)
    let isKnown = catalog.passes.contains {
      (attribution.alone($0.name) ?? attribution.last($0.name) ?? attribution.inOrder($0.name)) != nil
    }
    guard isKnown else { return }
    document.heading("Effect of each pass", level: 3)
    document.table(
      Table(
        [
          "pass", "when disabled", "rewrites", "alone", "cumulative", "ablation", "mean", "mallocs", "peak",
          "error",
        ],
        left: 2,
        catalog.passes.filter { rewrites[$0.name] != nil }.map { pass in
          [
            pass.name, pass.off, "\(rewrites[pass.name]!)",
            attribution.alone(pass.name)?.words ?? "–", attribution.inOrder(pass.name)?.words ?? "–",
            attribution.last(pass.name)?.words ?? "–",
            attribution.main(pass.name).map { "\($0.words), \($0.places) contexts" } ?? "–",
            attribution.last(pass.name)?.change("heap-allocations", catalog) ?? "–",
            attribution.last(pass.name)?.change("peak-resident", catalog) ?? "–",
            attribution.last(pass.name)?.change("error", catalog) ?? "–",
          ]
        }))
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
              "\(option.axis) \(option.to) instead of \(option.from)", option.cell, option.effect.words,
              option.effect.change("heap-allocations", catalog) ?? "–",
              option.effect.change("peak-resident", catalog) ?? "–",
            ]
          }))
    }
  }

  private func describeFigures(_ cells: [CellResult], _ catalog: Catalog, _ document: inout Document) {
    let metrics = catalog.metrics.filter { metric in cells.contains { metric.value($0) != nil } }
    guard !cells.isEmpty, !metrics.isEmpty else { return }
    document.heading("All figures, medians over processes", level: 3)
    func field(_ cell: CellResult, _ metric: Metric) -> Table.Field {
      let value = metric.value(cell)
      return Table.Field(value.map { Format.value($0, metric.unit) } ?? "–", key: value)
    }
    // The longer list goes down the page.
    if cells.count > 6 {
      document.table(
        Table(
          ["cell"] + metrics.map(\.name), left: 1,
          cells.map { cell in
            Table.Row([Table.Field(cell.label)] + metrics.map { field(cell, $0) }, tags: cell.tags)
          }))
    } else {
      document.table(
        Table(
          ["figure"] + cells.map(\.label), left: 1,
          metrics.map { metric in Table.Row([Table.Field(metric.name)] + cells.map { field($0, metric) }) }))
    }
    for (name, reason) in cells.first?.unavailableFigures.sorted(by: { $0.key < $1.key }) ?? [] {
      document.text("\(name): unavailable, \(reason).")
    }
  }
}

extension CellResult {
  /// What rows of the cell are chosen by.
  var tags: [String: String] {
    ["model": cell.model, "backend": cell.backend, "passes": cell.passes.joined(separator: " ")]
  }
}

extension MachineDescription {
  /// The machine in a phrase.
  var summary: String { "\(processor) (\(isa), \(processors) processors, \(system), \(libc))" }
}
