import GraphCore
import TensorCore

/// Scales a convolution's weights so that the batch norm behind it is not needed.
///
/// `w' = w · γ/√(σ²+ε)`, `b' = (b − μ) · γ/√(σ²+ε) + β`, computed in double precision.
public struct FoldBatchNorm: Pass {
  public let name = "fold-batch-norm"
  public let summary = "fold batch norm into the convolution before it"
  public let off = "each batch norm runs as an op of its own over the whole tensor"
  public let pytorchName: String? = "CONV_BN_FUSION"

  public init() {}

  public func run(on graph: inout Graph, for target: any TargetTraits) throws -> Int {
    var folds = 0
    var index = 0
    while index < graph.nodes.count {
      if let fold = Fold(graph, convolution: index) {
        try fold.apply(to: &graph)
        folds += 1
      }
      index += 1
    }
    graph.removeUnused()
    return folds
  }
}

private struct Fold {
  let convolution: Int
  let norm: Int
  let epsilon: Float

  init?(_ graph: Graph, convolution index: Int) {
    let node = graph.nodes[index]
    guard let conv = node.op as? Conv2D, conv.activation == nil, node.inputs.count <= 3,
      !graph.outputs.contains(node.outputs[0])
    else { return nil }
    let users = graph.users(of: node.outputs[0])
    guard users.count == 1, let batchNorm = graph.nodes[users[0]].op as? BatchNorm else { return nil }
    // A weight that two layers share must stay as it is.
    guard node.inputs[1...].allSatisfy({ graph.users(of: $0).count == 1 }) else { return nil }
    guard graph.nodes[users[0]].inputs[0] == node.outputs[0] else { return nil }
    self.convolution = index
    self.norm = users[0]
    self.epsilon = batchNorm.epsilon
  }

  func apply(to graph: inout Graph) throws {
    let node = graph.nodes[convolution]
    let batchNorm = graph.nodes[norm]
    func data(_ id: ValueID) throws -> Tensor {
      guard let tensor = graph.data(of: id) else { throw GraphError("weight \(graph[id].name) is missing") }
      return try tensor.converted(to: .nchw)
    }
    let weight = try data(node.inputs[1])
    let (gamma, beta) = try (data(batchNorm.inputs[1]), data(batchNorm.inputs[2]))
    let (mean, variance) = try (data(batchNorm.inputs[3]), data(batchNorm.inputs[4]))
    let oldBias = node.inputs.count > 2 ? try data(node.inputs[2]) : nil

    defer { withExtendedLifetime((weight, gamma, beta, mean, variance, oldBias)) {} }

    let outputs = weight.shape[0]
    let depth = weight.shape.count / outputs
    let newWeight = try Tensor(uninitialized: TensorType(weight.shape))
    let newBias = try Tensor(uninitialized: TensorType([outputs]))
    let (source, target) = (weight.floats.baseAddress!, newWeight.floats.baseAddress!)
    for o in 0..<outputs {
      let scale = Double(gamma.floats[o]) / (Double(variance.floats[o]) + Double(epsilon)).squareRoot()
      for i in (o * depth)..<((o + 1) * depth) { target[i] = Float(Double(source[i]) * scale) }
      let shifted = Double(oldBias?.floats[o] ?? 0) - Double(mean.floats[o])
      newBias.floats[o] = Float(shifted * scale + Double(beta.floats[o]))
    }

    replaceData(of: node.inputs[1], with: newWeight, in: &graph)
    if node.inputs.count > 2 {
      replaceData(of: node.inputs[2], with: newBias, in: &graph)
    } else {
      let name = node.name + ".bias"
      let bias: ValueID
      if case .constant = graph[node.inputs[1]].source {
        bias = graph.addConstant(name, newBias)
      } else {
        bias = graph.addParameter(name, newBias.type)!
        graph.weights[name] = newBias
      }
      graph.setInputs([node.inputs[0], node.inputs[1], bias], ofNode: convolution)
    }
    graph.replaceUses(of: batchNorm.outputs[0], with: node.outputs[0])
    graph.removeNode(at: norm)
  }

  private func replaceData(of id: ValueID, with tensor: Tensor, in graph: inout Graph) {
    if case .constant = graph[id].source {
      graph[id].source = .constant(tensor)
      graph[id].type = tensor.type
    } else {
      graph.weights[graph[id].name] = tensor
    }
  }
}
