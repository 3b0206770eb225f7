import GraphCore
import RuntimeCore

/// How NNAPI's backend divides a graph between devices.
public enum PartitionMode: Sendable {
  /// As Android does: by what drivers promise.
  case nnapi
  /// By what was measured before; nil where nothing was yet, with which nothing is prepared.
  case measured(MeasuredPartition?)

  /// As suites and command lines name them.
  public static let names = ["nnapi", "measured"]
}

/// Places a graph as its measured partition says; another graph, such as a body of control flow, as NNAPI does.
struct MeasuredPlacement: PlacementPolicy {
  let partition: MeasuredPartition
  let nnapi: NNAPIPlacement

  func choose(
    _ graph: Graph, among backends: [any Backend], _ options: PrepareOptions, isFinal: Bool
  ) -> [PlacementChoice] {
    var choices = nnapi.choose(graph, among: backends, options, isFinal: isFinal)
    let isMeasured = graph.structureDigest.hex == partition.graph
    if isMeasured {
      for (node, name) in partition.chosen.enumerated() {
        // What a device takes may hang on formats, which are chosen between the two times that nodes are placed.
        guard let device = backends.firstIndex(where: { $0.name == name }),
          !choices[node].refusals.contains(where: { $0.backend == name })
        else { continue }
        choices[node].backend = device
      }
    }
    // Another graph, of which nothing was measured and no node is placed, is NNAPI's.
    guard isMeasured || graph.nodes.contains(where: { $0.placed != nil }) else { return choices }
    for node in choices.indices {
      for (position, backend) in backends.enumerated() where position != choices[node].backend {
        guard let device = backend as? any NNAPIDevice, !device.isProcessor,
          !choices[node].refusals.contains(where: { $0.backend == backend.name })
        else { continue }
        let failure = partition.devices.first { $0.name == backend.name }?.failure
        choices[node].refusals.append(
          .init(
            backend: backend.name,
            reason: failure.map { "it failed while it was measured: \($0)" }
              ?? "the measured partition has it elsewhere"))
      }
    }
    return choices
  }

  func order(_ graph: Graph, placed: [Int]) -> [Int] { nnapi.order(graph, placed: placed) }
}
