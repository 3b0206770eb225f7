import Foundation

extension ResultFile {
  /// What the run found, as a report says it.
  public func document(_ catalog: Catalog) -> Document {
    var document = Document("Pacer, suite `\(suite)`, version \(version)")
    let verdict = ResultTable.verdict(self)
    if !verdict.isEmpty { document.text(verdict) }
    let state = isComplete ? "" : "; interrupted, so some cells have fewer visits"
    document.text("Measured \(started) on \(environment.summary) in \(Int(elapsed)) s\(state).")
    for device in ResultTable.devices(self) { document.text(device) }
    for warning in environment.warnings { document.note("\(warning).") }
    for model in cells.map(\.cell.model).uniqued() { describe(model, catalog, &document) }
    document.heading("How to read this")
    document.text(
      """
      Latency is the median inference of a fresh process, averaged (geometrically) over n processes; ± is half the 95 %
      interval over those processes. The ratio is to the row of the same model marked 1, of which a process took turns
      with each of this row's: below 1 is faster. An effect whose interval holds 1 is not resolved. mallocs and tensors
      are calls in one steady inference; peak is the resident set above that of an empty worker; error is the largest
      difference from the reference output over its largest value.
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
        cells.map { Table.Row(ResultTable.row($0), tags: $0.tags) }))
    let measured = cells.filter { $0.status == .measured }
    document.chart(Self.ratios(measured))
    document.chart(Self.latencies(measured))
    document.chart(Self.memory(measured, "heap-allocations", "mallocs of one inference", catalog))
    document.chart(Self.memory(measured, "peak-resident", "peak resident set above an empty worker, MiB", catalog))
    describeEras(measured, &document)
    describeAllocators(measured, catalog, &document)
    describePasses(model, cells, catalog, &document)
    describeOptions(model, catalog, &document)
    describeFigures(measured, catalog, &document)
  }

  // MARK: Charts

  private static func ratios(_ cells: [CellResult]) -> Chart {
    let bars = cells.compactMap { cell -> BarChart.Bar? in
      // A chart that has the scalar oracle in it shows nothing else.
      guard let ratio = cell.relativeTime, cell.cell.kernels != .reference else { return nil }
      let text = cell.baseline == nil ? "1" : "\(Format.ratio(ratio)) \(Format.spread(ratio))"
      return BarChart.Bar(
        label: cell.label, value: ratio.value, low: ratio.low, high: ratio.high, text: text, tags: cell.tags)
    }
    let bases = cells.compactMap(\.baseline).uniqued()
    let base = bases.count > 1 ? "the row each is compared with" : bases.first ?? "all off"
    return .bars(
      BarChart(
        title: "time relative to \(base == "all off" ? "everything off" : base): shorter is faster", axis: "ratio",
        reference: 1,
        bars: bars.count > 1 ? bars : []))
  }

  private static func latencies(_ cells: [CellResult]) -> Chart {
    .spreads(
      SpreadChart(
        title: "latencies of all processes: 5th to 95th percentile, quartiles, median", axis: "ms",
        rows: cells.filter { $0.cell.kernels != .reference }.compactMap { cell in
          let samples = cell.samples.map { $0 / 1e6 }
          return SpreadChart.Row(
            cell.label, samples, text: Format.time(median(samples) * 1e6), tags: cell.tags)
        }))
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
    document.heading("What each pass is worth", level: 3)
    document.table(
      Table(
        [
          "pass", "without it", "rewrites", "alone", "in order", "on top of the rest", "on average", "mallocs", "peak",
          "error",
        ],
        left: 2,
        catalog.passes.filter { rewrites[$0.name] != nil }.map { pass in
          [
            pass.name, pass.off, "\(rewrites[pass.name]!)",
            attribution.alone(pass.name)?.words ?? "–", attribution.inOrder(pass.name)?.words ?? "–",
            attribution.last(pass.name)?.words ?? "–",
            attribution.main(pass.name).map { "\($0.words), \($0.places) places" } ?? "–",
            attribution.last(pass.name)?.change("heap-allocations", catalog) ?? "–",
            attribution.last(pass.name)?.change("peak-resident", catalog) ?? "–",
            attribution.last(pass.name)?.change("error", catalog) ?? "–",
          ]
        }))
    document.text(
      "How many times as fast with the pass as without it: where no other is on, where those above it are on, where all "
        + "others are on, and on average of all places measured; with the 95 % interval. Mallocs, peak and error: without "
        + "it → with it, where all others are on.")
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
    if !pairs.isEmpty {
      document.heading("Passes that change each other's worth", level: 3)
      document.text(
        "\(resolved.count) of \(pairs.count) pairs of passes measured together and apart. Above 1 they help each other: "
          + "together they are worth that many times what they are worth apart.")
      document.table(
        Table(
          ["pass", "and", "together over apart", "places"], left: 2,
          resolved.map { [$0.0, $0.1, $0.2.words, "\($0.2.places)"] }))
    }
  }

  private func describeOptions(_ model: String, _ catalog: Catalog, _ document: inout Document) {
    let options = Attribution(self, model: model, catalog: catalog).options
    if !options.isEmpty {
      document.heading("Other options", level: 3)
      document.table(
        Table(
          ["option", "in", "times as fast", "mallocs", "peak"], left: 2,
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
