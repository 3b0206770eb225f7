import Foundation

/// The table of a result: the same cells in the terminal and in Markdown.
public struct ResultTable: Sendable {
  public static let headings = ["cell", "latency", "±", "ratio", "±", "n", "mallocs", "tensors", "peak", "error"]

  /// One row of a cell, or its reason for having none.
  public static func row(_ result: CellResult) -> (fields: [String], note: String?) {
    switch result.status {
    case .pending: return ([result.label], "not measured")
    case .unavailable: return ([result.label], "unavailable: \(result.reason ?? "")")
    case .failed: return ([result.label], "FAILED: \(result.reason ?? "")")
    case .invalid: return ([result.label], "INVALID: \(result.reason ?? "")")
    case .same: return ([result.label], "same graph as \(result.sameAs ?? "")")
    case .measured: break
    }
    func metric(_ name: String, _ format: (Double) -> String) -> String {
      let value = standardMetrics.first { $0.name == name }.flatMap { $0.value(result) }
      return value.map(format) ?? "–"
    }
    let ratio: String
    let spread: String
    if result.baseline != nil {
      ratio = result.ratio.map(Format.ratio) ?? "–"
      spread = result.ratio.map(Format.spread) ?? "–"
    } else {
      // A cell without output, such as the null backend's, is nobody's baseline.
      ratio = result.accuracy == nil ? "–" : "1"
      spread = ""
    }
    let fields: [String] = [
      result.label,
      result.latency.map { Format.time($0.value) } ?? "–",
      result.latency.map(Format.spread) ?? "–",
      ratio, spread, "\(result.visits.count)",
      metric("heap-allocations", Format.count),
      metric("tensor-allocations", Format.count),
      metric("peak-resident", Format.bytes),
      metric("error") { String(format: "%.0e", $0) },
    ]
    return (fields, nil)
  }

  /// What the fields of a measured cell are sorted by.
  static func keys(_ result: CellResult) -> [Double?] {
    func metric(_ name: String) -> Double? {
      standardMetrics.first { $0.name == name }.flatMap { $0.value(result) }
    }
    return [
      nil, result.latency?.value, result.latency?.relativeHalfWidth,
      result.ratio?.value ?? (result.accuracy == nil ? nil : 1), result.ratio?.relativeHalfWidth,
      Double(result.visits.count), metric("heap-allocations"), metric("tensor-allocations"), metric("peak-resident"),
      metric("error"),
    ]
  }

  /// A sentence a person can repeat.
  public static func verdict(_ file: ResultFile) -> String {
    var sentences: [String] = []
    for model in file.cells.map(\.cell.model).uniqued() {
      let measured = file.cells.filter { $0.cell.model == model && $0.status == .measured && $0.cell.backend == "cpu" }
      // Among cells with every pass on: the smallest of many noisy figures would praise the luckiest.
      let most = measured.map(\.cell.passes.count).max() ?? 0
      let own = measured.filter {
        $0.cell.engine == "pacer" && $0.cell.threads == 1 && $0.latency != nil && $0.cell.passes.count == most
      }
      guard let best = own.min(by: { $0.latency!.value < $1.latency!.value }), measured.count > 1 else { continue }
      var sentence = "\(model) takes \(Format.time(best.latency!.value)) on one thread with \(best.label)"
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
