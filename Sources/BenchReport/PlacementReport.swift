import BenchModel
import BenchProtocol
import Foundation
import struct RuntimeCore.MeasuredPartition

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
    let macs = nodes.reduce(0) { $0 + $1.macs }
    if delegated > 0, delegated < nodes.count, macs > 0 {
      let own = nodes.filter(\.isDelegated).reduce(0) { $0 + $1.macs }
      document.text(
        "On devices run \(delegated) of \(Format.number(nodes.count, "node")) with "
          + String(format: "%.1f %% of the multiply-accumulates.", Double(own) / Double(macs) * 100))
    }
    if let partition {
      document.text(partition.cost.words(insteadOf: partition.unmeasuredCost, tookNs: nil))
      document.table(Self.costs(partition))
    }
    let reasons = Dictionary(grouping: nodes.flatMap { node in node.refusals.map { "\($0.key): \($0.value)" } }) { $0 }
    document.table(
      Table(
        ["why not elsewhere", "nodes"], left: 1,
        reasons.sorted { ($1.value.count, $0.key) < ($0.value.count, $1.key) }.map { [$0.key, "\($0.value.count)"] }))
    if lifted.count > 1 { document.table(liftedTable) }
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

  /// What was measured of each device.
  private static func costs(_ partition: MeasuredPartition) -> Table {
    Table(
      ["device", "takes", "all of those", "a model besides", "chosen"], left: 1,
      partition.devices.map { device in
        let times = device.nodeNs.compactMap { $0 }
        return [
          device.name, device.failure.map { "failed: \($0)" } ?? Format.number(times.count, "node"),
          times.isEmpty ? "–" : Format.time(times.reduce(0, +)),
          device.isHost || times.isEmpty ? "–" : Format.time(device.executionNs),
          "\(partition.chosen.count { $0 == device.name })",
        ]
      })
  }

  /// What each reason of refusal costs.
  private var liftedTable: Table {
    let isTimed = lifted.contains { $0.borderNs != nil }
    return Table(
      ["NNAPI's choice if not", "refused for it", "on devices", "segments", "copies", "bytes"]
        + (isTimed ? ["models and copies, expected"] : []), left: 1,
      lifted.map { lifted in
        [
          lifted.reason.isEmpty ? "(as it is)" : lifted.reason, lifted.reason.isEmpty ? "–" : "\(lifted.refused)",
          "\(lifted.delegated)", "\(lifted.segments)", "\(lifted.copies)", Format.bytes(Double(lifted.copiedBytes)),
        ] + (isTimed ? [lifted.borderNs.map(Format.time) ?? "–"] : [])
      })
  }
}

extension WorkerLine.Prepared.Placement {
  /// Where nodes run that do not all run on the backend that was asked for, and why.
  /// - Parameter tookNs: An inference's median; nil where none was timed.
  func words(asked backend: String, tookNs: Double? = nil) -> String {
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
    if let expected { text += " " + expected.words(insteadOf: unmeasured, tookNs: tookNs) }
    // Delegated to a processor's reference code: the usual cause of delegation that is slower than none.
    if nodes["nnapi-reference"] != nil {
      text += " nnapi-reference is NNAPI's own code for the processor, and no accelerator."
    }
    return text
  }
}

extension MeasuredPartition.Cost {
  /// What a measured partition was expected to cost, what NNAPI's own would by the same times, and what came out.
  func words(insteadOf other: Self?, tookNs: Double?) -> String {
    var text = "Its partition was planned by measured times, which expect \(parts)"
    if let other {
      text +=
        other.totalNs - totalNs < 0.01 * other.totalNs
        ? "; NNAPI's own choice is expected to take as long"
        : "; of NNAPI's own choice they expect \(other.parts)"
    }
    if let tookNs { text += "; it took \(Format.time(tookNs))" }
    return text + "."
  }

  /// `4.10 ms, of which 0.31 in 24 executions and 0.2 in copies of 2.07 MiB`.
  var parts: String {
    var text = Format.time(totalNs)
    if let unmeasuredNodes { text += " (without \(Format.number(unmeasuredNodes, "node")) of control flow)" }
    guard executions > 0 else { return text }
    text +=
      ", of which \(Format.time(executionsNs)) to have \(Format.number(executions, "model")) executed and "
      + "\(Format.time(copiesNs)) for copies of \(Format.bytes(Double(copiedBytes)))"
    return text
  }
}
