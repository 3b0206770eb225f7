import RuntimeCore

/// What a result says about presets and about where tensors come from, in words.
extension ResultFile {
  /// The ladder of the presets, with this machine's own figures: one for each choice on the other axes.
  func describeEras(_ cells: [CellResult], _ document: inout Document) {
    let eras = cells.filter { $0.cell.preset != nil && $0.latency != nil && $0.relativeTime != nil }
    func others(_ cell: Cell) -> Cell { cell.taking(["preset"], from: Cell(model: cell.model)) }
    let ladders = eras.map { others($0.cell) }.uniqued().map { kind in eras.filter { others($0.cell) == kind } }
      .filter { ladder in ladder.count > 1 && ladder.allSatisfy { $0.hasBaseline(of: ladder[0]) } }
    guard !ladders.isEmpty else { return }
    document.heading("Release presets", level: 3)
    for ladder in ladders {
      func gain(_ cell: CellResult, over other: CellResult) -> Attribution.Effect {
        Attribution.Effect(of: cell.relativeTime!, over: other.relativeTime!)
      }
      let (first, last) = (ladder[0], ladder.last!)
      let steps = zip(ladder, ladder.dropFirst()).map { before, era in
        "\(era.label) \(Format.time(era.latency!.value)): \(gain(era, over: before).inWords)"
      }
      let whole = gain(last, over: first)
      document.text(
        "\(first.label) \(Format.time(first.latency!.value)); then \(steps.joined(separator: "; then ")). Overall: "
          + "\(whole.inWords).")
    }
  }

  /// For each set of cells that differ in nothing but where their tensors come from.
  func describeAllocators(_ cells: [CellResult], _ catalog: Catalog, _ document: inout Document) {
    func others(_ cell: Cell) -> Cell {
      cell.taking(["allocator", "in-place"], from: Cell(model: cell.model))
    }
    // Presets differ in more, and say so elsewhere.
    let eligible = cells.filter { $0.cell.preset == nil && $0.cell.backend == "cpu" && $0.relativeTime != nil }
    let groups = eligible.map { others($0.cell) }.uniqued().map { kind in eligible.filter { others($0.cell) == kind } }
      .filter { group in
        let kinds = Set(group.map(\.cell.allocator))
        return kinds.count > 2 && kinds.contains(.system)
      }
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
        return Attribution.Effect(of: cell.relativeTime!, over: other.relativeTime!)
      }
      let figures = ["minor-faults", "steady-faults", "tensor-allocations", "cache-misses", "tensor-peak-bytes"]
      document.table(
        Table(
          ["cell", "speed-up over system"] + figures + ["peak-resident"], left: 2,
          group.map { cell in
            [cell.label, cell.cell == system.cell ? "1" : effect(cell, over: system)?.words ?? "–"]
              + (figures + ["peak-resident"]).map { figure(cell, $0) }
          }))
      var sentences = group.filter { $0.cell != system.cell }.compactMap { cell -> String? in
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
      if !sentences.isEmpty { document.text(sentences.joined(separator: "; ") + ".") }
    }
  }
}

extension Attribution.Effect {
  /// One cell's time over another's, both being to the same baseline.
  init(of time: Estimate, over other: Estimate) {
    let pairs = [time, other].filter { !$0.isExact }.map(\.count).min()
    self.init(ratio: Estimate.product([(time, 1), (other, -1)]), places: 1, pairs: pairs ?? .max)
  }

  /// As part of a sentence.
  var inWords: String {
    switch finding {
    case .sameGraph, .unknown, .none: words
    case .faster: "\(words) faster"
    case .slower: "\(words), slower"
    }
  }
}
