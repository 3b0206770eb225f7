import BenchModel
import BenchStatistics
import Foundation

extension ClassificationAccuracy {
  /// A row for each configuration.
  public var report: Document {
    var document = Document("Accuracy of \(model)")
    document.text(
      Format.number(pictures, "picture") + (classes > 0 ? " of \(classes) class\(classes == 1 ? "" : "es")" : "")
        + ". Outputs are held against those of \(reference), in float32.")
    let isLabelled = rows.contains { $0.top1 != nil }
    document.table(
      Table(
        ["configuration"] + (isLabelled ? ["top-1", "top-5"] : []) + ["same class", "signal to noise"], left: 1,
        rows.map { row in
          if let reason = row.reason {
            return [row.label, "unavailable: \(reason)"] + [String](repeating: "", count: isLabelled ? 3 : 1)
          }
          let noise =
            row.signalToNoise.map { String(format: "%.1f dB", $0) } ?? (row.broken > 0 ? "–" : "no difference")
          let shares = (isLabelled ? [row.top1, row.top5] : []) + [row.agreement]
          return [row.label] + shares.map { $0.map(Self.words) ?? "–" } + [noise]
        }))
    for row in rows where row.broken > 0 {
      document.note(
        "\(row.label): NaN or infinite outputs for \(Format.number(row.broken, "picture")), which count as wrong.")
    }
    document.text(
      "Shares have Wilson's 95 % intervals: they say what other pictures of the same kind might give. Two configurations ran on "
        + "the same pictures, so that intervals which overlap do not say that they are alike; where one has another class "
        + "first, \"same class\" says how often.")
    return document
  }

  private static func words(_ share: Proportion) -> String {
    String(format: "%.1f %% (%.1f–%.1f)", share.value * 100, share.low * 100, share.high * 100)
  }
}
