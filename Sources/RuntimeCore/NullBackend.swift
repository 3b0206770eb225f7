import GraphCore
import TensorCore

/// Computes nothing. What the harness measures with it is the harness's own cost.
public struct NullBackend: Backend {
  public let name = "null"
  public var computesOutputs: Bool { false }

  public init() {}

  public func availability(_ options: PrepareOptions) -> Availability {
    .available(DeviceInfo(name: "null", detail: "no work: shows the harness's own overhead"))
  }
  public func support(for node: Node, in graph: Graph, _ options: PrepareOptions) -> Support { .kernel("null") }
  public func target(_ options: PrepareOptions) -> any TargetTraits { PlainTarget() }
  public func prepare(_ graph: Graph, _ options: PrepareOptions) throws -> any Executable {
    NullExecutable(graph: graph)
  }
}

struct NullExecutable: Executable {
  let graph: Graph
  var placement: [Placement] {
    graph.nodes.map { Placement(node: $0.name, op: type(of: $0.op).name, device: "null", kernel: "null") }
  }
  func makeSession() throws -> any Session { try NullSession(graph) }
}

final class NullSession: Session {
  let inputs: [Tensor]
  let outputs: [Tensor]
  init(_ graph: Graph) throws {
    inputs = try graph.inputs.map { try Tensor(zeros: graph[$0].type) }
    outputs = try graph.outputs.map { try Tensor(zeros: graph[$0].type) }
  }
  func run() {}
}
