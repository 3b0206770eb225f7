import RuntimeCore

/// What a result says about presets and about where tensors come from, in words.
extension ResultFile {
  /// The ladder of the presets, with this machine's own figures.
  func describeEras(_ cells: [CellResult], _ document: inout Document) {
    let eras = cells.filter { $0.cell.preset != nil && $0.latency != nil && $0.relativeTime != nil }
    guard eras.count > 1 else { return }
    document.heading("From era to era", level: 3)
    var steps = ["\(eras[0].label) \(Format.time(eras[0].latency!.value))"]
    for (before, era) in zip(eras, eras.dropFirst()) where era.hasBaseline(of: before) {
      let gain = Attribution.Effect(
        ratio: Estimate.product([(era.relativeTime!, 1), (before.relativeTime!, -1)]), places: 1)
      steps.append("\(era.label) \(Format.time(era.latency!.value)): \(gain.words)")
    }
    document.text(steps.joined(separator: "; then ") + ".")
    let last = eras.last!
    if let ratio = last.ratio, last.hasBaseline(of: eras[0]) {
      document.text(
        "Altogether \(Attribution.Effect(ratio: ratio, places: 1).words) as fast."
          + (last.cell.model == "mobilenet-v2"
            ? " The talk of 2020 told of 250 ms that became 15 ms, on a phone it does not name." : ""))
    }
  }

  /// For each set of cells that differ in nothing but where their tensors come from.
  func describeAllocators(_ cells: [CellResult], _ catalog: Catalog, _ document: inout Document) {
    func others(_ cell: Cell) -> Cell {
      ["allocator", "in-place"].reduce(cell) { $0.taking($1, from: Cell(model: $0.model)) }
    }
    // Presets differ in more, and say so elsewhere.
    let eligible = cells.filter { $0.cell.preset == nil && $0.cell.backend == "cpu" && $0.relativeTime != nil }
    let groups = eligible.map { others($0.cell) }.uniqued().map { kind in eligible.filter { others($0.cell) == kind } }
      .filter { group in Set(group.map(\.cell.allocator)).count > 2 }
    guard !groups.isEmpty else { return }
    func figure(_ cell: CellResult, _ name: String) -> String {
      let metric = catalog.metrics.first { $0.name == name }
      return metric.flatMap { metric in metric.value(cell).map { Format.value($0, metric.unit) } } ?? "–"
    }
    document.heading("Where tensors come from", level: 3)
    for group in groups {
      guard let system = group.first(where: { $0.cell.allocator == .system }) else { continue }
      func effect(_ cell: CellResult, over other: CellResult) -> Attribution.Effect? {
        guard cell.hasBaseline(of: other) else { return nil }
        return Attribution.Effect(
          ratio: Estimate.product([(cell.relativeTime!, 1), (other.relativeTime!, -1)]), places: 1)
      }
      let figures = ["minor-faults", "steady-faults", "tensor-allocations", "cache-misses", "tensor-peak-bytes"]
      document.table(
        Table(
          ["cell", "times as fast as system"] + figures + ["peak-resident"], left: 2,
          group.map { cell in
            [cell.label, cell.label == system.label ? "1" : effect(cell, over: system)?.words ?? "–"]
              + (figures + ["peak-resident"]).map { figure(cell, $0) }
          }))
      var sentences = group.filter { $0.label != system.label }.compactMap { cell -> String? in
        guard let effect = effect(cell, over: system) else { return nil }
        let faults =
          "\(figure(cell, "minor-faults")) page faults an inference instead of \(figure(system, "minor-faults"))"
        return "\(cell.label) against \(system.label): \(effect.inWords), with \(faults)"
      }
      if let mapped = group.first(where: { $0.cell.allocator == .mapped }),
        let caching = group.first(where: { $0.cell.allocator == .caching }), let effect = effect(caching, over: mapped)
      {
        sentences.append(
          "where the system gives pages back at once (\(mapped.label)), as on the phones of the talk, a cache gives: "
            + "\(effect.inWords) (the talk: 5–20 %)")
      }
      document.text(sentences.joined(separator: "; ") + ".")
    }
  }
}

extension Attribution.Effect {
  /// As part of a sentence.
  var inWords: String {
    switch finding {
    case .sameGraph, .unknown, .none: words
    case .faster: "\(words) as fast"
    case .slower: "\(words) as fast, so slower"
    }
  }
}
