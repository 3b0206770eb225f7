import Foundation

/// The table of a result: the same cells in the terminal and in Markdown.
public struct ResultTable: Sendable {
  public static let headings = ["cell", "latency", "±", "ratio", "±", "n", "mallocs", "tensors", "peak", "error"]

  /// One row of a cell; where it has no figures, its label and the reason.
  public static func row(_ result: CellResult) -> [Table.Field] {
    func reason(_ text: String) -> [Table.Field] { [Table.Field(result.label), Table.Field(text)] }
    switch result.status {
    case .pending: return reason("not measured")
    case .unavailable: return reason("unavailable: \(result.reason ?? "")")
    case .failed: return reason("FAILED: \(result.reason ?? "")")
    case .invalid: return reason("INVALID: \(result.reason ?? "")")
    case .same: return reason("same graph as \(result.sameAs ?? "")")
    case .measured: break
    }
    func field(_ value: Double?, _ text: (Double) -> String) -> Table.Field {
      Table.Field(value.map(text) ?? "–", key: value)
    }
    func metric(_ name: String, _ text: (Double) -> String) -> Table.Field {
      field(standardMetrics.first { $0.name == name }.flatMap { $0.value(result) }, text)
    }
    func spread(_ estimate: Estimate?) -> Table.Field {
      field(estimate?.relativeHalfWidth) { _ in Format.spread(estimate!) }
    }
    let isBaseline = result.baseline == nil
    return [
      Table.Field(result.label), field(result.latency?.value, Format.time), spread(result.latency),
      isBaseline
        ? field(result.relativeTime?.value) { _ in "1" }
        : field(result.ratio?.value) { _ in Format.ratio(result.ratio!) },
      isBaseline ? "" : spread(result.ratio), field(Double(result.visits.count), Format.count),
      metric("heap-allocations", Format.count), metric("tensor-allocations", Format.count),
      metric("peak-resident", Format.bytes), metric("error") { String(format: "%.0e", $0) },
    ]
  }

  /// What backends other than the processor ran on: a GPU, or software that plays one.
  public static func devices(_ file: ResultFile) -> [String] {
    file.cells.compactMap { result in
      guard result.cell.backend != "cpu", result.accuracy != nil, let device = result.prepared?.device else {
        return nil
      }
      let engine = result.cell.engine == "pacer" ? "" : " (\(result.cell.engine))"
      return "\(result.cell.backend)\(engine) ran on \(device)."
    }.uniqued()
  }

  /// A sentence a person can repeat.
  public static func verdict(_ file: ResultFile) -> String {
    var sentences = PeerFinding.all(in: file).map(\.words)
    if !sentences.isEmpty { return sentences.joined(separator: " ") }
    for model in file.cells.map(\.cell.model).uniqued() {
      let measured = file.cells.filter { $0.cell.model == model && $0.status == .measured && $0.latency != nil }
      let pacer = measured.filter { $0.cell.engine == "pacer" && $0.accuracy != nil }
      let backend = pacer.contains { $0.cell.backend == "cpu" } ? "cpu" : pacer.first?.cell.backend
      let there = pacer.filter { $0.cell.backend == backend && $0.cell.precision == "fp32" }
      // Among cells with every pass on: the smallest of many noisy figures would praise the luckiest.
      let most = there.map(\.cell.passes.count).max() ?? 0
      let threads = there.map(\.cell.threads).min() ?? 1
      let own = there.filter { $0.cell.threads == threads && $0.cell.passes.count == most }
      guard let best = own.min(by: { $0.latency!.value < $1.latency!.value }), measured.count > 1 else { continue }
      let place = backend == "cpu" ? (threads == 1 ? "one thread" : "\(threads) threads") : backend!
      var sentence = "\(model) takes \(Format.time(best.latency!.value)) on \(place) with \(best.label)"
      if let ratio = best.ratio, ratio.value > 0, ratio.high.isFinite, ratio.low > 0 {
        let than = best.baseline.map { $0 == "all off" ? "with everything off" : "\($0)" } ?? ""
        sentence += String(format: ", %.2g× as fast as ", 1 / ratio.value) + than
        sentence += String(format: " (95%% interval %.2g–%.2g×)", 1 / ratio.high, 1 / ratio.low)
      }
      sentences.append(sentence + ".")
    }
    return sentences.joined(separator: " ")
  }
}

extension Sequence where Element: Hashable {
  func uniqued() -> [Element] {
    var seen = Set<Element>()
    return filter { seen.insert($0).inserted }
  }
}
