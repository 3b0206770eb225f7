import GraphCore
import TensorCore

/// Scales a convolution's weights so that the batch norm behind it is not needed, and puts constant factors and sums behind it, or
/// behind a linear layer, into its weights and bias.
///
/// `w' = w · γ/√(σ²+ε)`, `b' = (b − μ) · γ/√(σ²+ε) + β`, computed in double precision.
public struct FoldBatchNorm: Pass {
  public let name = "fold-batch-norm"
  public let summary = "fold batch norm, and constant factors and sums, into the convolution before them"
  public let off =
    "each batch norm, and each factor or bias that a file keeps apart, runs as an op of its own over the whole tensor"
  public let pytorchName: String? = "CONV_BN_FUSION"

  public init() {}

  public func run(on graph: inout Graph, in context: PassContext) throws -> Int {
    let folds = try graph.rewrite { graph in
      var folds = try graph.foldAffine()
      for handle in graph.handles {
        guard let fold = Fold(graph, convolution: handle) else { continue }
        try fold.apply(to: &graph)
        folds += 1
      }
      return folds
    }
    graph.removeUnused()
    return folds
  }
}

private struct Fold {
  let convolution: Rewriter.Handle
  let norm: Rewriter.Handle
  let epsilon: Float

  init?(_ graph: Rewriter, convolution handle: Rewriter.Handle) {
    guard let node = graph[handle], let conv = node.op as? any FusingOp, conv.epilogue == nil, node.inputs.count <= 3,
      conv is Conv2D || (conv as? ConvTranspose2D)?.groups == 1,
      node.stored == nil,
      let user = graph.onlyUser(of: node.outputs[0]), let batchNorm = graph[user]!.op as? BatchNorm,
      graph[user]!.inputs[0] == node.outputs[0], graph[user]!.stored == nil,
      // A weight that two layers share must stay as it is.
      node.inputs[1...].allSatisfy({ graph.uses(of: $0) == 1 }),
      (node.inputs[1...] + graph[user]!.inputs[1...]).allSatisfy({ Self.isWeight(graph[$0]) })
    else { return nil }
    (convolution, norm, epsilon) = (handle, user, batchNorm.epsilon)
  }

  /// What a node or a caller makes is not there before a run, and integers that stand for numbers would be none any more.
  private static func isWeight(_ value: Value) -> Bool {
    guard value.type.quantization == nil else { return false }
    return switch value.source {
    case .constant, .parameter: true
    case .input, .node: false
    }
  }

  func apply(to graph: inout Rewriter) throws {
    let (node, batchNorm) = (graph[convolution]!, graph[norm]!)
    func data(_ id: ValueID) throws -> Tensor {
      guard let tensor = graph.data(of: id) else { throw MissingWeight(graph[id].name) }
      return try tensor.converted(to: .nchw).rounded(to: .float32)
    }
    let weight = try data(node.inputs[1])
    let (gamma, beta) = try (data(batchNorm.inputs[1]), data(batchNorm.inputs[2]))
    let (mean, variance) = try (data(batchNorm.inputs[3]), data(batchNorm.inputs[4]))
    let oldBias = node.inputs.count > 2 ? try data(node.inputs[2]) : nil

    defer { withExtendedLifetime((weight, gamma, beta, mean, variance, oldBias)) {} }

    // A transposed convolution has its outputs along the second axis.
    let isTransposed = node.op is ConvTranspose2D
    let outputs = weight.shape[isTransposed ? 1 : 0]
    let taps = weight.shape.extents[2...].reduce(1, *)
    let newWeight = try Tensor(uninitialized: TensorType(weight.shape))
    let newBias = try Tensor(uninitialized: TensorType([outputs]))
    let (source, target) = (weight.floats.baseAddress!, newWeight.floats.baseAddress!)
    let scales = (0..<outputs).map {
      Double(gamma.floats[$0]) / (Double(variance.floats[$0]) + Double(epsilon)).squareRoot()
    }
    for i in 0..<weight.shape.count {
      let output = isTransposed ? i / taps % outputs : i / (weight.shape.count / outputs)
      target[i] = Float(Double(source[i]) * scales[output])
    }
    for (o, scale) in scales.enumerated() {
      let shifted = Double(oldBias?.floats[o] ?? 0) - Double(mean.floats[o])
      newBias.floats[o] = Float(shifted * scale + Double(beta.floats[o]))
    }

    graph.setData(of: node.inputs[1], to: newWeight)
    if node.inputs.count > 2 {
      graph.setData(of: node.inputs[2], to: newBias)
    } else {
      let bias = graph.addWeight(node.name + ".bias", newBias, like: node.inputs[1])
      graph.update(convolution) { $0.inputs.append(bias) }
    }
    graph.remove(norm, readersRead: node.outputs[0])
  }
}
