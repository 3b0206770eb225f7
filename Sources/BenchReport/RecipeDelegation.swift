import BenchModel
import BenchProtocol
import BenchStatistics

extension Recipe {
  /// Suite whose rows hand graphs on to drivers in every way.
  static let delegationSuite = "delegation"

  /// What handing graphs on to drivers buys or costs, host by host: rows of one host differ from another's in devices, not in a number.
  func describeDelegation(_ document: inout Document) {
    let records = delegations.hosts.flatMap { host in
      (isOfRecords ? delegations.entries.filter { $0.host == host } : delegations.newest(on: host)).map { (host, $0) }
    }
    guard !records.isEmpty || !isOfRecords else { return }
    document.heading("Delegation: what it buys or costs here")
    document.text(
      "`--backend nnapi` hands a graph on to drivers after the manner of Android's NNAPI: `--driver` says which are installed, "
        + "`--partition measured` divides the graph by what was measured instead of by what drivers promise. Rows with a profile "
        + "show where another machine's driver would cut the graph, in this machine's times. `bench-suite placement MODEL --backend "
        + "nnapi --driver NAME` says what each refusal costs.")
    guard !records.isEmpty else {
      return document.text("Nothing measured yet: `\(Self.command(Self.delegationSuite))` gives some.")
    }
    for (host, entry) in records {
      let labels = Dictionary(entry.file.rows.map { ($0.id, $0.label) }) { first, _ in first }
      let rows = entry.file.rows.filter { $0[Axes.backend] == "nnapi" && $0.status == .measured && $0.ratio != nil }
      let baselines = rows.compactMap { $0.baseline.flatMap { labels[$0] } }.uniqued()
      document.text(
        "On \(host), version \(entry.version), each row's speed-up over \(baselines.joined(separator: " or ")):")
      document.table(
        Table(
          ["model", "configuration", "speed-up", "on devices", "models", "copied", "processor time", "in drivers"],
          left: 2, rows.map(delegationRow)))
      for name in rows.map(\.configuration.model).uniqued() {
        document.text(conclusion(on: name, rows.filter { $0.configuration.model == name }))
      }
    }
    if !isOfRecords {
      document.text("Measured with:")
      document.code(Self.command(Self.delegationSuite))
    }
  }

  private func delegationRow(_ row: Row) -> [String] {
    func value(_ name: String) -> String? {
      guard let metric = catalog.metrics.first(where: { $0.name == name }) else { return nil }
      return metric.value(row).map(metric.unit.text)
    }
    let nodes = value("delegated-nodes").map { delegated in
      value("nodes").map { "\(delegated) of \($0)" } ?? delegated
    }
    return [
      row.configuration.model, row.label, effect(of: row).words, nodes ?? "–", value("driver-models") ?? "–",
      value("border-bytes") ?? "–", value("cpu-time") ?? "–", value("driver-cpu-time") ?? "–",
    ]
  }

  /// Against the processor alone.
  private func effect(of row: Row) -> Attribution.Effect {
    Attribution.Effect(ratio: row.ratio, places: 1, pairs: row.ratio?.count ?? 0)
  }

  private func conclusion(on model: String, _ rows: [Row]) -> String {
    let effects = rows.map { (row: $0, effect: effect(of: $0)) }
    let faster = effects.filter { $0.effect.finding == .faster }
    let open = effects.count { $0.effect.finding == .unknown }
    var text = "Of \(model), "
    if let best = faster.min(by: { $0.effect.ratio!.value < $1.effect.ratio!.value }) {
      text +=
        "\(faster.count) of \(rows.count) \(faster.count == 1 ? "is" : "are") faster than that, \(best.row.label) the most: "
        + best.effect.words
    } else {
      text += "none of \(rows.count) is shown to be faster than that"
    }
    text += open > 0 ? "; \(open) not resolved." : "."
    // The usual cause of delegation that is slower than none.
    let trapped = effects.filter { entry in
      entry.effect.finding == .slower && entry.row.prepared?.placement?.nodes["nnapi-reference"] != nil
    }
    if let worst = trapped.max(by: { $0.effect.ratio!.value < $1.effect.ratio!.value }) {
      text +=
        " Of the slower ones, \(trapped.count) ran in part or whole on nnapi-reference, which is NNAPI's own code for the processor and no "
        + "accelerator; at worst \(worst.row.label): \(worst.effect.words)."
    }
    return text
  }
}
