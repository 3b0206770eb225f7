import GraphCore
import RuntimeCore
import TensorCore

/// An op's own `evaluate` as a kernel: slow, and always right.
struct ReferenceKernel: CPUKernel {
  let name = Support.reference
  private let node: Node
  private let tensors: NodeTensors

  init(_ node: Node, of graph: Graph) { (self.node, tensors) = (node, NodeTensors(node, of: graph)) }

  func run(_ call: borrowing KernelCall) throws {
    try tensors.write(node.evaluate(tensors.arguments(call)), call)
  }
}

/// A node's inputs and outputs as tensors in NCHW, of the extents they have now.
struct NodeTensors {
  let inputs: [TensorType]
  let outputs: [TensorType]

  init(_ node: Node, of graph: Graph) {
    (inputs, outputs) = (graph.inputTypes(of: node), node.outputs.map { graph[$0].type })
  }

  func arguments(_ call: borrowing KernelCall) throws -> [Tensor] {
    try zip(inputs, call.inputs).map { try Self.tensor($0, $1).actual.converted(to: .nchw) }
  }

  func write(_ results: [Tensor], _ call: borrowing KernelCall) throws {
    guard results.count == outputs.count else {
      throw GraphError("\(results.count) results where \(outputs.count) were declared")
    }
    for (index, type) in outputs.enumerated() {
      try Self.tensor(type, call.outputs[index]).fill(results[index].converted(to: type.format))
    }
  }

  private static func tensor(_ type: TensorType, _ pointer: UnsafeMutableRawPointer) -> Tensor {
    Tensor(type: type, storage: Storage(borrowing: pointer, byteCount: type.storageByteCount))
  }
}
