import BenchModel
import BenchProtocol
import BenchStatistics
import RuntimeCore

/// What a result says about presets and about where tensors come from, in words.
extension Record {
  /// The ladder of the presets, with this machine's own times: one for each choice on the other axes.
  func describePresets(_ rows: [Row], _ catalog: Catalog, _ document: inout Document) {
    let presets = rows.filter { $0.configuration[Axes.preset] != nil && $0.latency != nil && $0.relativeTime != nil }
    func others(_ configuration: Configuration) -> Configuration {
      catalog.axes.taking(["preset"], from: Configuration(choices: [:]), in: configuration)
    }
    let ladders = presets.map { others($0.configuration) }.uniqued().map { kind in
      presets.filter { others($0.configuration) == kind }
    }
    .filter { ladder in ladder.count > 1 && ladder.allSatisfy { $0.hasBaseline(of: ladder[0]) } }
    guard !ladders.isEmpty else { return }
    document.heading("Release presets", level: 3)
    for ladder in ladders {
      func gain(_ row: Row, over other: Row) -> Attribution.Effect {
        Attribution.Effect(of: row.relativeTime!, over: other.relativeTime!)
      }
      let (first, last) = (ladder[0], ladder.last!)
      let steps = zip(ladder, ladder.dropFirst()).map { before, preset in
        "\(preset.label) \(Format.time(preset.latency!.value)): \(gain(preset, over: before).inWords)"
      }
      let whole = gain(last, over: first)
      document.text(
        "\(first.label) \(Format.time(first.latency!.value)); then \(steps.joined(separator: "; then ")). Overall: "
          + "\(whole.inWords).")
    }
  }

  /// For each set of rows that differ in nothing but where their tensors come from.
  func describeAllocators(_ rows: [Row], _ catalog: Catalog, _ document: inout Document) {
    func others(_ configuration: Configuration) -> Configuration {
      catalog.axes.taking(["allocator", "in-place"], from: Configuration(choices: [:]), in: configuration)
    }
    // Presets differ in more, and say so elsewhere.
    let eligible = rows.filter {
      $0.configuration[Axes.preset] == nil && $0.configuration[Axes.backend] == "cpu" && $0.relativeTime != nil
    }
    let groups = eligible.map { others($0.configuration) }.uniqued().map { kind in
      eligible.filter { others($0.configuration) == kind }
    }
    .filter { group in
      let kinds = Set(group.map { $0[Axes.allocator] })
      return kinds.count > 2 && kinds.contains(.system)
    }
    guard !groups.isEmpty else { return }
    func value(_ row: Row, _ name: String) -> String {
      let metric = catalog.metrics.first { $0.name == name }
      return metric.flatMap { metric in metric.value(row).map { metric.unit.text($0) } } ?? "–"
    }
    document.heading("Where tensors come from", level: 3)
    for group in groups {
      guard let system = group.first(where: { $0.configuration[Axes.allocator] == .system }) else { continue }
      func effect(_ row: Row, over other: Row) -> Attribution.Effect? {
        guard row.hasBaseline(of: other) else { return nil }
        return Attribution.Effect(of: row.relativeTime!, over: other.relativeTime!)
      }
      let metrics = [
        "minor-faults", "steady-faults", "tensor-allocations", "cache-misses", "tensor-peak-bytes", "peak-resident",
      ]
      let rows = group.map { row -> [String] in
        let speedup = row.id == system.id ? "1" : effect(row, over: system)?.words ?? "–"
        return [row.label, speedup] + metrics.map { value(row, $0) }
      }
      document.table(Table(["configuration", "speed-up over system"] + metrics, left: 2, rows))
      var sentences = group.filter { $0.id != system.id }.compactMap { row -> String? in
        guard let effect = effect(row, over: system) else { return nil }
        let faults =
          "\(value(row, "minor-faults")) page faults an inference instead of \(value(system, "minor-faults"))"
        return "\(row.label) against \(system.label): \(effect.inWords), with \(faults)"
      }
      if let mapped = group.first(where: { $0.configuration[Axes.allocator] == .mapped }),
        let caching = group.first(where: { $0.configuration[Axes.allocator] == .caching }),
        let effect = effect(caching, over: mapped)
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
  /// One row's time over another's, both being to the same baseline.
  package init(of time: Estimate, over other: Estimate) {
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
