import GraphCore
import TensorCore

/// Runs each op's own `evaluate`, node by node: the oracle as an executable.
package struct ReferenceExecutable: Executable {
  let graph: Graph

  package init(_ graph: Graph) throws {
    try graph.verify()
    self.graph = graph
  }

  package var placement: [Placement] {
    graph.nodes.map {
      Placement(node: $0.name, op: type(of: $0.op).name, device: "cpu", kernel: "reference")
    }
  }

  package func makeSession() throws -> any Session { try ReferenceSession(graph) }
}

final class ReferenceSession: Session {
  private let graph: Graph
  let inputs: [Tensor]
  private(set) var outputs: [Tensor]

  init(_ graph: Graph) throws {
    self.graph = graph
    self.inputs = try graph.inputs.map { try Tensor(zeros: graph[$0].type) }
    self.outputs = try graph.outputs.map { try Tensor(zeros: graph[$0].type) }
  }

  func run() throws { outputs = try graph.evaluate(inputs) }
}
