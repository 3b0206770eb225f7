import BenchModel
import BenchProtocol
import Foundation

extension PlacementTable {
  public var report: Document {
    var document = Document("Placement of \(configuration.model) on \(configuration[Axes.backend])")
    let counts = Dictionary(nodes.map { ($0.backend, 1) }, uniquingKeysWith: +)
    let parts = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.value) on \($0.key)" }
    var summary = "\(Format.number(nodes.count, "node")): \(parts.joined(separator: ", "))"
    if segments > 1 { summary += ", in \(segments) segments" }
    if copies > 0 {
      summary +=
        "; \(copies) cop\(copies == 1 ? "y" : "ies") of \(Format.bytes(Double(copiedBytes))) to or from a device per inference"
    }
    document.text(summary + ".")
    let reasons = Dictionary(grouping: nodes.flatMap { node in node.refusals.map { "\($0.key): \($0.value)" } }) { $0 }
    document.table(
      Table(
        ["why not elsewhere", "nodes"], left: 1,
        reasons.sorted { ($1.value.count, $0.key) < ($0.value.count, $1.key) }.map { [$0.key, "\($0.value.count)"] }))
    document.table(
      Table(
        ["node", "op", "backend", "kernel", "why not elsewhere"], left: 5,
        nodes.map { node in
          [
            node.node, node.op, node.backend, node.kernel,
            node.refusals.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: "; "),
          ]
        }))
    return document
  }
}

extension WorkerLine.Prepared.Placement {
  /// Where nodes run that do not all run on the backend that was asked for, and why.
  func words(asked backend: String) -> String {
    let all = nodes.values.reduce(0, +)
    // The one that was asked for first, then the one with the most.
    let places = nodes.sorted { a, b in
      (a.key != backend ? 1 : 0, b.value, a.key) < (b.key != backend ? 1 : 0, a.value, b.key)
    }
    var text = places.enumerated().map { index, place in
      index == 0 ? "\(place.value) of \(all) nodes ran on \(place.key)" : "\(place.value) on \(place.key)"
    }.joined(separator: ", ")
    if let segments, segments > 1 { text += ", in \(segments) parts" }
    let why = reasons.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(3).map(\.key)
    if !why.isEmpty { text += " (\(why.joined(separator: "; ")))" }
    if copies > 0 {
      let bytes = Format.bytes(Double(copiedBytes))
      text += ", with \(copies) cop\(copies == 1 ? "y" : "ies") of \(bytes) per inference to or from a device"
    }
    text += "."
    // Delegated to a processor's reference code: the usual cause of delegation that is slower than none.
    if nodes["nnapi-reference"] != nil {
      text += " nnapi-reference is NNAPI's own code for the processor, and no accelerator."
    }
    return text
  }
}
