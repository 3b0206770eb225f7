import Foundation
import GraphCore
import TensorCore

/// Layers that go along a sequence.
let recurrentOps: [String: ONNXBuilder] = [
  "RNN": { try $0.recurrent(.rnn) },
  "GRU": { try $0.recurrent(.gru(resetsProduct: $0.flag("linear_before_reset"))) },
  "LSTM": { try $0.recurrent(.lstm(couplesGates: $0.flag("input_forget"))) },
]

extension ONNXNode {
  fileprivate func recurrent(_ kind: Recurrent.Kind) throws -> [ValueID] {
    guard let direction = Recurrent.Direction(rawValue: string("direction", "forward")) else {
      throw GraphError("direction is \"\(string("direction", ""))\"")
    }
    // A batch before the steps: the op has the steps first.
    let batchFirst = version >= 14 && flag("layout")
    func swapped(_ id: ValueID, _ suffix: String) throws -> ValueID {
      batchFirst ? try add(Transpose([1, 0, 2]), [id], suffix) : id
    }
    var inputs = [try swapped(input(0), "x"), try input(1), try input(2)]
    var given: Recurrent.Given = []
    for (index, flag) in [Recurrent.Given.bias, .lengths, .hidden, .cell, .peepholes].enumerated() {
      guard let id = try optional(3 + index) else { continue }
      given.insert(flag)
      inputs.append(flag == .hidden || flag == .cell ? try swapped(id, "initial\(index)") : id)
    }
    let hidden = type(of: inputs[2]).shape.extents.last ?? 0
    guard integer("hidden_size", hidden) == hidden else {
      throw GraphError("hidden_size is \(integer("hidden_size", 0)), its weights have \(hidden)")
    }
    let op = Recurrent(
      kind, direction: direction, given: given, activations: try activations(kind, direction.count),
      clip: has("clip") ? float("clip", 0) : nil)
    let outputs = try addAll(op, inputs)
    guard batchFirst else { return outputs }
    return try [add(Transpose([2, 0, 1, 3]), [outputs[0]], "y")]
      + outputs.dropFirst().enumerated().map { try add(Transpose([1, 0, 2]), [$1], "last\($0)") }
  }

  /// - Parameter directions: how many; what names the activations of one is meant for each.
  private func activations(_ kind: Recurrent.Kind, _ directions: Int) throws -> [GateActivation]? {
    guard let names = strings("activations"), !names.isEmpty else { return nil }
    let count = directions * kind.activations
    // An RNN's default names two whatever its direction.
    let all = names.count == kind.activations ? (0..<directions).flatMap { _ in names } : names
    guard all.count >= count else { throw GraphError("activations \(names) in \(directions) directions") }
    // Parameters are listed only for those that have some, in order.
    var alphas = (floats("activation_alpha") ?? [])[...]
    var betas = (floats("activation_beta") ?? [])[...]
    return try all.prefix(count).map { name in
      func alpha(_ standard: Float) -> Float { alphas.popFirst() ?? standard }
      func beta(_ standard: Float) -> Float { betas.popFirst() ?? standard }
      switch name.lowercased() {
      case "sigmoid": return .sigmoid
      case "tanh": return .tanh
      case "relu": return .relu
      case "softsign": return .softsign
      case "softplus": return .softplus
      case "affine": return .affine(alpha: alpha(1), beta: beta(0))
      case "leakyrelu": return .leakyReLU(alpha: alpha(0.01))
      case "thresholdedrelu": return .thresholdedReLU(alpha: alpha(1))
      case "scaledtanh": return .scaledTanh(alpha: alpha(1), beta: beta(1))
      case "hardsigmoid": return .hardSigmoid(alpha: alpha(0.2), beta: beta(0.5))
      case "elu": return .elu(alpha: alpha(1))
      default: throw Unsupported("a gate's activation \(name)")
      }
    }
  }
}
