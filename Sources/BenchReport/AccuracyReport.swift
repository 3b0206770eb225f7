import BenchModel
import Foundation

extension AccuracyBisection {
  public var report: Document {
    var document = Document(
      "First divergence from the reference: \(configuration.model) on \(configuration[Axes.backend])")
    if sharesWrongly {
      document.text(
        "Every op is right, alone and with all outputs kept, but the network as it is usually run is "
          + "\(scientific(asRun)) off: look at tensors that share memory, and try `--allocator system`.")
    } else if let culprit {
      var faults: [String] = []
      if culprit.hasNaN { faults.append("it has NaN or infinity") }
      if culprit.isZero { faults.append("it is zero everywhere") }
      if !culprit.repeats { faults.append("a second run gave other bits") }
      if culprit.alone > tolerance {
        faults.append("alone it is \(scientific(culprit.alone)) off, where \(scientific(tolerance)) is allowed")
      } else if isOff(culprit) {
        faults.append(
          "alone it is right, in the network \(scientific(culprit.inNetwork)) off: look at the order in which it runs, not at it"
        )
      }
      document.text(
        "First wrong: `\(culprit.node)` (\(culprit.op), kernel \(culprit.kernel)): \(faults.joined(separator: "; ")).")
    } else {
      let worst = nodes.map(\.alone).max() ?? 0
      let within = nodes.map(\.inNetwork).max() ?? 0
      document.text(
        "Each of the \(nodes.count) ops alone is within \(scientific(tolerance)) of the reference (largest difference "
          + "\(scientific(worst))) and repeats to the bit. In the whole network, where differences add up and "
          + "\(scientific(Self.growth * tolerance)) is allowed, the largest of a node is \(scientific(within)), and the "
          + "network's output as it is usually run is \(scientific(asRun)) off.")
    }
    document.text("Device: \(device). Errors are relative to the largest value of the scalar oracle's output.")
    document.table(
      Table(
        ["node", "op", "kernel", "alone", "in the network", ""], left: 3,
        nodes.map { node in
          let marks = [
            node.hasNaN ? "no number" : nil, node.isZero ? "all zero" : nil, node.repeats ? nil : "not repeatable",
            isOff(node) ? "off" : nil,
          ]
          return [
            node.node, node.op, node.kernel, scientific(node.alone), scientific(node.inNetwork),
            marks.compactMap { $0 }.joined(separator: ", "),
          ]
        }))
    return document
  }

  private func scientific(_ value: Double) -> String { String(format: "%.1e", value) }
}
