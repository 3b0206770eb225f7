import GraphCore
import TensorCore

extension Rewriter {
  /// Puts constant factors and sums behind convolutions and linear layers into their weights and biases.
  /// - Returns: how many.
  mutating func foldAffine() throws -> Int {
    var folds = 0
    for handle in handles {
      while let fold = Fold(self, handle) {
        try fold.apply(to: &self)
        folds += 1
      }
    }
    return folds
  }
}

private struct Fold {
  let layer: Rewriter.Handle
  let step: Rewriter.Handle
  let function: Binary.Function
  /// One number for each output.
  let numbers: [Float]

  init?(_ graph: Rewriter, _ handle: Rewriter.Handle) {
    guard let node = graph[handle], (node.op as? any FusingOp)?.epilogue == nil, node.stored == nil,
      node.op is Conv2D || node.op is Linear, node.inputs.count <= 3, let user = graph.onlyUser(of: node.outputs[0]),
      let step = graph[user], let op = step.op as? Binary, op.epilogue == nil, step.stored == nil,
      graph[step.outputs[0]].type == graph[node.outputs[0]].type,
      // A weight that two layers share must stay as it is.
      node.inputs[1...].allSatisfy({
        graph.uses(of: $0) == 1 && graph.data(of: $0) != nil && graph[$0].type.quantization == nil
      })
    else { return nil }
    let side = step.inputs[0] == node.outputs[0] ? 1 : 0
    let isPossible =
      switch op.function {
      case .add, .multiply: true
      case .subtract, .divide: side == 1
      default: false
      }
    guard isPossible, step.inputs[0] != step.inputs[1], let constant = graph.data(of: step.inputs[side]),
      constant.type.quantization == nil
    else {
      return nil
    }
    let outputs = graph[node.inputs[1]].type.shape[0]
    let rank = graph[node.outputs[0]].type.shape.rank
    let axis = node.op is Conv2D ? 1 : rank - 1
    // Only along the axis of outputs may it differ.
    let aligned = [Int](repeating: 1, count: max(rank - constant.shape.rank, 0)) + constant.shape.extents
    guard aligned.count == rank, aligned.enumerated().allSatisfy({ $1 == 1 || $0 == axis && $1 == outputs }) else {
      return nil
    }
    let values = constant.values
    guard values.allSatisfy({ $0.isFinite && (op.function != .divide || $0 != 0) }) else { return nil }
    numbers = values.count == outputs ? values : [Float](repeating: values[0], count: outputs)
    (layer, self.step, function) = (handle, user, op.function)
  }

  func apply(to graph: inout Rewriter) throws {
    let node = graph[layer]!
    func data(_ id: ValueID) throws -> Tensor { try graph.data(of: id)!.converted(to: .nchw).rounded(to: .float32) }
    if function == .multiply || function == .divide {
      let factors = function == .multiply ? numbers.map(Double.init) : numbers.map { 1 / Double($0) }
      for input in node.inputs[1...] {
        let old = try data(input)
        let (depth, values) = (old.shape.count / numbers.count, old.values)
        let new = values.enumerated().map { Float(Double($1) * factors[$0 / depth]) }
        graph.setData(of: input, to: try Tensor(old.shape, new))
      }
    } else {
      let sign: Float = function == .subtract ? -1 : 1
      let old = node.inputs.count > 2 ? try data(node.inputs[2]).values : [Float](repeating: 0, count: numbers.count)
      let new = try Tensor([numbers.count], zip(old, numbers).map { $0 + sign * $1 })
      if node.inputs.count > 2 {
        graph.setData(of: node.inputs[2], to: new)
      } else {
        let bias = graph.addWeight(node.name + ".bias", new, like: node.inputs[1])
        graph.update(layer) { $0.inputs.append(bias) }
      }
    }
    graph.remove(step, readersRead: node.outputs[0])
  }
}
