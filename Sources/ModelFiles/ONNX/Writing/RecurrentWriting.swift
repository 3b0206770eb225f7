import GraphCore
import TensorCore

/// Layers that go along a sequence.
let recurrentTranslations: ONNXTranslations = {
  var ops = ONNXTranslations()

  ops.add(Recurrent.self) { op, node in
    let isLSTM = op.kind.gates == 4
    let given: [Recurrent.Given] = [.bias, .lengths, .hidden] + (isLSTM ? [.cell, .peepholes] : [])
    let inputs = node.inputs[..<3] + given.map { op.position(of: $0).map { node.inputs[$0] } ?? "" }
    var attributes: [Pacer_Onnx_Attribute] = [
      .integer("hidden_size", node.types[2].shape[2]), .string("direction", op.direction.rawValue),
    ]
    switch op.kind {
    case .rnn: break
    case .gru(let resetsProduct): attributes.append(.integer("linear_before_reset", resetsProduct ? 1 : 0))
    case .lstm(let couplesGates): attributes.append(.integer("input_forget", couplesGates ? 1 : 0))
    }
    if !op.usesDefaultActivations {
      let words = op.activations.map(\.onnx)
      attributes.append(.strings("activations", words.map(\.name)))
      let (alphas, betas) = (words.compactMap(\.alpha), words.compactMap(\.beta))
      if !alphas.isEmpty { attributes.append(.floats("activation_alpha", alphas)) }
      if !betas.isEmpty { attributes.append(.floats("activation_beta", betas)) }
    }
    if let clip = op.clip { attributes.append(.float("clip", clip)) }
    node.emit(isLSTM ? "LSTM" : op.kind.gates == 3 ? "GRU" : "RNN", Array(inputs), attributes, outputs: node.results)
  }
  return ops
}()

extension GateActivation {
  /// Its name there, and the parameters that it has.
  fileprivate var onnx: (name: String, alpha: Float?, beta: Float?) {
    switch self {
    case .sigmoid: ("Sigmoid", nil, nil)
    case .tanh: ("Tanh", nil, nil)
    case .relu: ("Relu", nil, nil)
    case .softsign: ("Softsign", nil, nil)
    case .softplus: ("Softplus", nil, nil)
    case .affine(let alpha, let beta): ("Affine", alpha, beta)
    case .leakyReLU(let alpha): ("LeakyRelu", alpha, nil)
    case .thresholdedReLU(let alpha): ("ThresholdedRelu", alpha, nil)
    case .scaledTanh(let alpha, let beta): ("ScaledTanh", alpha, beta)
    case .hardSigmoid(let alpha, let beta): ("HardSigmoid", alpha, beta)
    case .elu(let alpha): ("Elu", alpha, nil)
    }
  }
}
