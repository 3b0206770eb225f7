import BenchModel
import Foundation

extension QuantizationSurvey {
  /// The whole, what leaving the worst layers in float32 would buy, and the layers from the worst on.
  public var report: Document {
    var document = Document("int8 for \(model)")
    document.text(
      "Signal to noise \(Self.decibels(signalToNoise)) with \(Format.number(layers.count, "layer")) in int8 ("
        + choices.joined(separator: ", ") + "); weights take \(Format.bytes(Double(quantizedWeightBytes))), in float32 "
        + "\(Format.bytes(Double(weightBytes))).")
    document.text(
      (learnsRanges
        ? "Ranges were learned from \(samples), and outputs on them (on eight at most) are held against those in float32: "
        : "Each inference finds its ranges itself. Outputs on \(samples) (on eight at most) are held against those in float32: ")
        + "on other inputs look with `bench-suite accuracy`.")
    if !kept.isEmpty {
      document.heading("The worst layers left in float32")
      document.table(
        Table(
          ["layers", "of the multiply-adds", "signal to noise"], left: 0,
          kept.map { kept in
            ["\(kept.nodes.count)", String(format: "%.1f %%", kept.share * 100), Self.decibels(kept.signalToNoise)]
          }))
      let worst = kept[min(1, kept.count - 1)].nodes
      document.text(
        "\(worst.count == 1 ? "The worst" : "The two worst"): \(keeping(worst)).")
    }
    if let target {
      let nodes = target.kept.nodes
      document.text(
        String(format: "For %g dB ", target.signalToNoise)
          + (nodes.isEmpty
            ? "no layer has to stay in float32."
            : "\(nodes.count == 1 ? "the worst layer stays" : "the \(nodes.count) worst layers stay") in float32"
              + String(format: " (%.1f %% of the multiply-adds): ", target.kept.share * 100)
              + "\(Self.decibels(target.kept.signalToNoise)), weights of \(Format.bytes(Double(target.weightBytes))). "
              + keeping(nodes) + "."))
    }
    document.heading("Each layer alone in int8")
    document.table(
      Table(
        ["layer", "op", "signal to noise", "MMAC"], left: 2,
        layers.map { layer in
          [
            layer.node, layer.op, Self.decibels(layer.signalToNoise), String(format: "%.1f", Double(layer.macs) / 1e6),
          ]
        }))
    if let path { document.text("file    \(path)") }
    return document
  }

  private func keeping(_ nodes: [String]) -> String {
    "`--keep-float \((keptAnyway + nodes).joined(separator: "+"))`"
  }

  private static func decibels(_ value: Double?) -> String {
    value.map { String(format: "%.1f dB", $0) } ?? "no difference"
  }
}
