import Foundation
import GraphCore
import TensorCore

/// The parts of a mapped file: graphs and tensors, checked before they are used.
struct PacerFileParts: Sendable {
  let file: MappedFile
  /// Where graphs begin, and tensors.
  let graphOffset: Int
  let tensorOffset: Int

  /// More nodes than this, those of bodies counted each time one is run, or bodies within so many, no model has.
  private static let mostNodes = 1 << 18
  private static let mostLevels = 64

  /// - Parameter place: what they are, for messages.
  /// - Throws: ``GraphError`` where one lies outside of the file or is not what it should be.
  func tensors(_ stored: PacerLayout.Tensors, _ place: String) throws -> [Tensor] {
    guard stored.offsets.count == stored.types.count, stored.digests.count == stored.types.count else {
      throw GraphError(
        "\(place)s have \(stored.types.count) types, \(stored.offsets.count) places and \(stored.digests.count) digests"
      )
    }
    return try stored.types.enumerated().map { number, type in
      if let fault = type.fault { throw GraphError("\(place) \(number): \(type): \(fault)") }
      let (offset, overflow) = tensorOffset.addingReportingOverflow(stored.offsets[number])
      guard !type.isUpperBound, !overflow, offset >= tensorOffset,
        let storage = file.storage(at: offset, count: type.byteCount)
      else {
        throw GraphError("\(place) \(number): \(type) at \(stored.offsets[number]) is no part of the file")
      }
      return Tensor(type: type, storage: storage)
    }
  }

  /// The text of a variant's graph.
  func graphText(of variant: PacerLayout.Variant) throws -> Data {
    let place = variant.graph
    let (offset, overflow) = graphOffset.addingReportingOverflow(place.offset)
    guard !overflow, place.offset >= 0, let raw = file.bytes(at: offset, count: place.length) else {
      throw GraphError("its graph lies outside of the file")
    }
    let data = Data(raw)
    guard PacerLayout.digest(raw).hex == place.digest else { throw GraphError("its graph is damaged") }
    return data
  }

  /// A variant's graph, which is not verified.
  func graph(of variant: PacerLayout.Variant, _ kinds: OpKinds) throws -> Graph {
    let decoder = PacerLayout.decoder()
    decoder.userInfo = [GraphBodies.key: GraphBodies(), OpKinds.key: kinds, Self.key: self]
    return try decoder.decode(Graphs.self, from: graphText(of: variant)).last
  }

  private static let key = CodingUserInfoKey(rawValue: "pacer.file")!

  /// A ``PacerLayout/StoredVariant``, each graph of which may run those before it.
  private struct Graphs: Decodable {
    let last: Graph
    private enum CodingKeys: CodingKey { case tensors, graphs }

    init(from decoder: any Decoder) throws {
      guard let file = decoder.userInfo[PacerFileParts.key] as? PacerFileParts,
        let bodies = decoder.userInfo[GraphBodies.key] as? GraphBodies
      else { preconditionFailure("a variant is decoded without its file") }
      let container = try decoder.container(keyedBy: CodingKeys.self)
      let tensors = try file.tensors(container.decode(PacerLayout.Tensors.self, forKey: .tensors), "tensor")
      var list = try container.nestedUnkeyedContainer(forKey: .graphs)
      // By number of the graph: its nodes with those of all that they run, and how deep that goes.
      var (nodes, levels) = ([Int](), [Int]())
      while true {
        let graph = try list.decode(StoredGraph.self).graph(tensors)
        let inner = graph.nodes.flatMap { ($0.op as? any ControlOp)?.bodies ?? [] }.compactMap(bodies.number(of:))
        let count = inner.reduce(graph.nodes.count) { min($0 + nodes[$1], mostNodes + 1) }
        let level = 1 + (inner.map { levels[$0] }.max() ?? 0)
        guard count <= mostNodes, level <= mostLevels else {
          throw GraphError("graph \(nodes.count) runs more graphs in graphs than a model does")
        }
        if list.isAtEnd {
          last = graph
          return
        }
        try graph.verify()
        bodies.append(GraphBody(graph))
        nodes.append(count)
        levels.append(level)
      }
    }
  }
}
