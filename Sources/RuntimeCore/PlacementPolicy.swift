import GraphCore

/// Decides which of several backends runs each node, and in which order nodes run. Two calls with the same graph decide the same.
public protocol PlacementPolicy: Sendable {
  /// Chooses for every node. One that is placed already stays where it is unless its backend does not run it: formats were chosen
  /// for that.
  /// - Parameter isFinal: whether the graph runs as it is; else passes choose formats after this.
  func choose(
    _ graph: Graph, among backends: [any Backend], _ options: PrepareOptions, isFinal: Bool
  ) -> [PlacementChoice]
  /// The positions of nodes in the order in which they are to run: nodes of one backend that follow each other are one segment.
  /// - Parameter placed: for each node the position of its backend.
  func order(_ graph: Graph, placed: [Int]) -> [Int]
}

extension PlacementPolicy {
  public func order(_ graph: Graph, placed: [Int]) -> [Int] { Array(graph.nodes.indices) }
}

/// Which backend runs a node.
public struct PlacementChoice: Sendable, Equatable {
  /// Its position among those there are.
  public var backend: Int
  /// Why others do not.
  public var refusals: [Placement.Refusal]

  public init(_ backend: Int, refusals: [Placement.Refusal] = []) {
    (self.backend, self.refusals) = (backend, refusals)
  }
}

/// Each node runs on the first backend that has a kernel for it, and what nobody has one for on the last.
public struct FirstCapable: PlacementPolicy {
  public init() {}

  public func choose(
    _ graph: Graph, among backends: [any Backend], _ options: PrepareOptions, isFinal: Bool
  ) -> [PlacementChoice] {
    graph.nodes.map { choose($0, in: graph, backends, options) }
  }

  private func choose(
    _ node: Node, in graph: Graph, _ backends: [any Backend], _ options: PrepareOptions
  ) -> PlacementChoice {
    var refusals: [Placement.Refusal] = []
    for (index, backend) in backends.enumerated().dropLast() {
      let reason = backend.support(for: node, in: graph, options).refusal
      if let placed = node.placed, index < placed {
        // Placed behind it before its layout was chosen, for a reason that may have gone with that.
        refusals.append(.init(backend: backend.name, reason: reason ?? "placed before formats were chosen"))
        continue
      }
      guard let reason else { return PlacementChoice(index, refusals: refusals) }
      refusals.append(.init(backend: backend.name, reason: reason))
    }
    return PlacementChoice(backends.count - 1, refusals: refusals)
  }
}
