import GraphCore
import TensorCore

extension NNAPIModelWriter {
  mutating func recurrent(_ node: Node, _ op: Recurrent) throws -> Int? {
    try need(op.usesDefaultActivations, "NNAPI's recurrent layers have their own activations, not other ones")
    try need(!op.given.contains(.lengths), "NNAPI's sequences have one length")
    try need(op.direction != .reverse, "NNAPI has no layers that run backwards alone")
    let isLSTM: Bool
    switch op.kind {
    case .lstm(couplesGates: false):
      try need(op.clip == nil, "NNAPI clips the cell state, not the sums before activations")
      isLSTM = true
    case .lstm: throw NotInNNAPI("NNAPI's LSTM has coupled gates without weights of the input gate only")
    case .rnn:
      try need(op.clip == nil, "NNAPI's RNN does not clip")
      isLSTM = false
    case .gru: throw NotInNNAPI("NNAPI has no GRU; FULLY_CONNECTED, MUL, ADD, LOGISTIC and TANH make its steps")
    }
    let x = try plain(node)
    let layer = RecurrentOperands(op, node, graph)
    // Activations of these layers have numbers of their own, in which 4 is tanh.
    let tanh = 4
    try need(self[x].type == .tensorFloat32, "NNAPI's recurrent layers compute \(self[x].type) with weights alike")
    try need(
      node.op.parameterInputs.allSatisfy { graph.isWeight(node.inputs[$0]) }
        && (op.position(of: .peepholes).map { graph.isWeight(node.inputs[$0]) } ?? true), "its weights are computed")
    let code: OperationCode
    var inputs = [x]
    switch (isLSTM, op.direction) {
    case (true, .bidirectional):
      code = .bidirectionalSequenceLstm
      for direction in 0..<2 { inputs += lstm(layer, direction) }
      for direction in 0..<2 {
        inputs += [try layer.state(.hidden, direction, &self), try layer.state(.cell, direction, &self)]
      }
      // No second input, whose weights are left out for either direction.
      inputs += [omitted(.tensorFloat32, self[x].dimensions)] + (0..<8).map { _ in omitted(.tensorFloat32, [0]) }
      inputs += [int(tanh), float(0), float(0), bool(false), bool(true)]
      inputs += (0..<8).map { _ in omitted(.tensorFloat32, [0]) }
    case (true, _):
      code = .unidirectionalSequenceLstm
      inputs += lstm(layer, 0)
      inputs += [try layer.state(.hidden, 0, &self), try layer.state(.cell, 0, &self)]
      inputs += [int(tanh), float(0), float(0), bool(true)]
      // Nor norms of layers.
      inputs += (0..<4).map { _ in omitted(.tensorFloat32, [0]) }
    case (false, .bidirectional):
      code = .bidirectionalSequenceRnn
      for direction in 0..<2 {
        inputs += [
          layer.matrix(1, 0, direction, &self), layer.matrix(2, 0, direction, &self), layer.bias(0, direction, &self),
        ]
        inputs.append(try layer.state(.hidden, direction, &self))
      }
      inputs += [
        omitted(.tensorFloat32, self[x].dimensions), omitted(.tensorFloat32, [0]), omitted(.tensorFloat32, [0]),
      ]
      inputs += [int(tanh), bool(true), bool(false)]
    case (false, _):
      code = .unidirectionalSequenceRnn
      inputs += [layer.matrix(1, 0, 0, &self), layer.matrix(2, 0, 0, &self), layer.bias(0, 0, &self)]
      inputs += [try layer.state(.hidden, 0, &self), int(tanh), int(1)]
    }
    let (steps, batch, hidden) = (self[x].dimensions[0], self[x].dimensions[1], layer.hidden)
    let sequence = Operand(.tensorFloat32, [steps, batch, hidden])
    let state = Operand(.tensorFloat32, [batch, hidden])
    let directions = op.direction.count
    let states = [Operand](repeating: state, count: directions * (isLSTM ? 2 : 1))
    let results = emit(code, inputs, [Operand](repeating: sequence, count: directions) + states)
    // One behind the other along the axis of directions.
    var whole = results[..<directions].map { reshape($0, [steps, 1, batch, hidden]) }
    if directions == 2 {
      whole = [emit(.concatenation, whole + [int(1)], Operand(.tensorFloat32, [steps, 2, batch, hidden]))]
    }
    set(whole[0], of: node.outputs[0])
    for (index, id) in node.outputs.dropFirst().enumerated() {
      let own = (0..<directions).map { direction in
        reshape(results[directions + direction * (isLSTM ? 2 : 1) + index], [1, batch, hidden])
      }
      set(
        directions == 1 ? own[0] : emit(.concatenation, own + [int(0)], Operand(.tensorFloat32, [2, batch, hidden])),
        of: id)
    }
    return nil
  }

  /// Weights and biases of one direction, in the order of NNAPI's operands.
  private mutating func lstm(_ layer: RecurrentOperands, _ direction: Int) -> [Int] {
    // NNAPI has the gates as input, forget, cell, output, ONNX as input, output, forget, cell.
    let gates = [0, 2, 3, 1]
    var operands = gates.map { layer.matrix(1, $0, direction, &self) }
    operands += gates.map { layer.matrix(2, $0, direction, &self) }
    operands += layer.peepholes(direction, &self)
    operands += gates.map { layer.bias($0, direction, &self) }
    // No projection.
    return operands + [omitted(.tensorFloat32, [0]), omitted(.tensorFloat32, [0])]
  }
}

/// What a recurrent layer has, cut up as NNAPI wants it.
private struct RecurrentOperands {
  private let op: Recurrent
  private let node: Node
  private let batch: Int
  let hidden: Int

  init(_ op: Recurrent, _ node: Node, _ graph: Graph) {
    (self.op, self.node) = (op, node)
    (batch, hidden) = (graph[node.inputs[0]].type.shape[1], graph[node.inputs[2]].type.shape[2])
  }

  /// Rows of a gate of the input's weights (1) or the state's (2).
  func matrix(_ input: Int, _ gate: Int, _ direction: Int, _ writer: inout NNAPIModelWriter) -> Int {
    let (id, rows) = (node.inputs[input], op.kind.gates * hidden)
    let columns = writer.graph[id].type.shape[2]
    let start = (direction * rows + gate * hidden) * columns
    return writer.constant(
      NNAPIModel.Operand(.tensorFloat32, [hidden, columns]),
      .made { [hidden] in
        try $0.plain(id).values[start..<start + hidden * columns].flatMap(\.bitPattern.littleEndianBytes)
      })
  }

  /// Both biases of a gate together.
  func bias(_ gate: Int, _ direction: Int, _ writer: inout NNAPIModelWriter) -> Int {
    let operand = NNAPIModel.Operand(.tensorFloat32, [hidden])
    guard let position = op.position(of: .bias) else {
      return writer.constant(operand, .bytes([UInt8](repeating: 0, count: hidden * 4)))
    }
    let (id, rows) = (node.inputs[position], op.kind.gates * hidden)
    let start = direction * 2 * rows + gate * hidden
    return writer.constant(
      operand,
      .made { [hidden] graph in
        let values = try graph.plain(id).values
        return (start..<start + hidden).flatMap { (values[$0] + values[$0 + rows]).bitPattern.littleEndianBytes }
      })
  }

  /// Of the gates input, forget and output: ONNX has them as input, output, forget.
  func peepholes(_ direction: Int, _ writer: inout NNAPIModelWriter) -> [Int] {
    guard let position = op.position(of: .peepholes) else {
      return (0..<3).map { _ in writer.omitted(.tensorFloat32, [0]) }
    }
    let id = node.inputs[position]
    return [0, 2, 1].map { gate in
      let start = (direction * 3 + gate) * hidden
      return writer.constant(
        NNAPIModel.Operand(.tensorFloat32, [hidden]),
        .made { [hidden] in try $0.plain(id).values[start..<start + hidden].flatMap(\.bitPattern.littleEndianBytes) })
    }
  }

  /// What a state begins with: zeros where it is not given.
  func state(_ kind: Recurrent.Given, _ direction: Int, _ writer: inout NNAPIModelWriter) throws -> Int {
    let operand = NNAPIModel.Operand(.tensorFloat32, [batch, hidden])
    guard let position = op.position(of: kind) else {
      return writer.constant(operand, .bytes([UInt8](repeating: 0, count: batch * hidden * 4)))
    }
    let given = try writer.operand(node.inputs[position])
    let part =
      op.direction.count == 1
      ? given
      : writer.emit(
        .slice, [given, writer.ints([direction, 0, 0]), writer.ints([1, batch, hidden])],
        NNAPIModel.Operand(.tensorFloat32, [1, batch, hidden]))
    return writer.reshape(part, [batch, hidden])
  }
}
