import GraphCore
import TensorCore

extension Rewriter {
  /// Writes functions that files hold as chains of simple ops as the one op that each of them is: operator sets of their time had no
  /// name for them.
  /// - Returns: how many.
  mutating func recogniseFunctions() throws -> Int {
    var rewrites = 0
    for handle in handles {
      guard let node = self[handle], let found = Chain(self).function(node),
        self[found.inputs[0]].type == self[node.outputs[0]].type, node.stored == nil
      else { continue }
      let result = try insert(node.name, found.op, found.inputs, before: handle, placed: node.placed)
      remove(handle, readersRead: result)
      rewrites += 1
    }
    return rewrites
  }
}

/// Looks back from a node along the chain that it ends.
private struct Chain {
  let graph: Rewriter

  init(_ graph: Rewriter) { self.graph = graph }

  /// The function that ends with a node, and what it is a function of.
  func function(_ node: Node) -> (op: any Op, inputs: [ValueID])? {
    if let input = hardSigmoid(node) { return (Activation(.hardSigmoid), [input]) }
    if let input = hardSwish(node) { return (Activation(.hardSwish), [input]) }
    if let input = activated(node, .sigmoid) { return (Activation(.silu), [input]) }
    if let input = gelu(node) { return (Unary(.gelu(isApproximate: false)), [input]) }
    if let found = layerNorm(node) ?? layerNormParameter(node) { return found }
    // A product is a tenth of the work of a power.
    if Binary.computes(.power, node.op), let base = square(node.outputs[0]) {
      return (Binary(.multiply), [base, base])
    }
    return nil
  }

  private func producer(_ id: ValueID) -> Node? { graph.producer(of: id).flatMap { graph[$0] } }

  /// The one number that a value is everywhere, known beforehand.
  private func number(_ id: ValueID) -> Float? {
    guard let tensor = graph.data(of: id), tensor.shape.count == 1, tensor.type.dtype.isStoredFloat else { return nil }
    return tensor.values[0]
  }

  /// What a node combines with a number, and that number.
  private func operand(_ node: Node, _ function: Binary.Function) -> (id: ValueID, number: Float)? {
    guard Binary.computes(function, node.op), (node.op as? Binary)?.epilogue == nil else { return nil }
    if let number = number(node.inputs[1]) { return (node.inputs[0], number) }
    guard function == .add || function == .multiply, let number = number(node.inputs[0]) else { return nil }
    return (node.inputs[1], number)
  }

  /// What a node makes times a factor, however that is written.
  private func scaled(_ node: Node) -> (id: ValueID, factor: Float)? {
    if let (id, number) = operand(node, .multiply) { return (id, number) }
    if let (id, number) = operand(node, .divide), number != 0 { return (id, 1 / number) }
    return nil
  }

  private func isNear(_ a: Float, _ b: Float) -> Bool { (a - b).magnitude <= 1e-5 * b.magnitude }

  /// `relu6(x + 3)`.
  private func shiftedClamp(_ id: ValueID) -> ValueID? {
    guard let clamp = producer(id), (clamp.op as? Activation)?.function == .relu6, let sum = producer(clamp.inputs[0]),
      let (x, three) = operand(sum, .add), three == 3
    else { return nil }
    return x
  }

  private func hardSigmoid(_ node: Node) -> ValueID? {
    guard let (id, factor) = scaled(node), isNear(factor, 1 / 6) else { return nil }
    return shiftedClamp(id)
  }

  private func hardSwish(_ node: Node) -> ValueID? {
    if let input = activated(node, .hardSigmoid) { return input }
    guard let (id, factor) = scaled(node), isNear(factor, 1 / 6), let product = producer(id) else { return nil }
    return gated(product) { shiftedClamp($0.outputs[0]) }.flatMap { x, inner in x == inner ? x : nil }
  }

  /// `x · (1 + erf(x / √2)) / 2`, in whatever order.
  private func gelu(_ node: Node) -> ValueID? {
    guard let factors = factors(node), isNear(factors.number, 0.5), factors.ids.count == 2 else { return nil }
    for (x, other) in [(factors.ids[0], factors.ids[1]), (factors.ids[1], factors.ids[0])] {
      guard let sum = producer(other), let (erf, one) = operand(sum, .add), one == 1, let inner = producer(erf),
        (inner.op as? Unary)?.function == .erf, let argument = producer(inner.inputs[0]),
        let (id, factor) = scaled(argument), id == x, isNear(factor, 0.70710678)
      else { continue }
      return x
    }
    return nil
  }

  /// `(x − mean) / √(mean (x − mean)² + ε)` along the last axes.
  private func layerNorm(_ node: Node) -> (op: any Op, inputs: [ValueID])? {
    guard Binary.computes(.divide, node.op), let (x, axis) = centred(node.inputs[0]),
      let root = producer(node.inputs[1]), (root.op as? Unary)?.function == .squareRoot,
      let sum = producer(root.inputs[0]), let (variance, epsilon) = operand(sum, .add), epsilon >= 0,
      let (squares, own) = mean(variance), own == axis, let base = square(squares),
      let (other, inner) = centred(base), other == x, inner == axis
    else { return nil }
    return (LayerNorm(axis: axis, epsilon: epsilon), [x])
  }

  /// A factor or a sum of each element that follows a layer norm that has none yet, and that nothing else reads.
  private func layerNormParameter(_ node: Node) -> (op: any Op, inputs: [ValueID])? {
    let count = Binary.computes(.multiply, node.op) ? 1 : Binary.computes(.add, node.op) ? 2 : 0
    guard count > 0, (node.op as? Binary)?.epilogue == nil else { return nil }
    for side in 0...1 {
      let (id, parameter) = (node.inputs[side], node.inputs[1 - side])
      guard let norm = producer(id), let op = norm.op as? LayerNorm, !op.isRootMeanSquare, !op.givesStatistics,
        norm.inputs.count == count, graph.uses(of: id) == 1, graph.data(of: parameter) != nil,
        graph[parameter].type.shape.extents == Array(graph[id].type.shape.extents[op.axis...])
      else { continue }
      return (op, norm.inputs + [parameter])
    }
    return nil
  }

  /// A value less its mean along the last axes, from this one on.
  private func centred(_ id: ValueID) -> (x: ValueID, axis: Int)? {
    guard let node = producer(id), Binary.computes(.subtract, node.op), (node.op as? Binary)?.epilogue == nil,
      let (x, axis) = mean(node.inputs[1]), x == node.inputs[0]
    else { return nil }
    return (x, axis)
  }

  /// What a value is the mean of, along the last axes from this one on, which stay.
  private func mean(_ id: ValueID) -> (of: ValueID, axis: Int)? {
    guard let node = producer(id), let op = node.op as? Reduce, op.function == .mean, op.keepsAxes,
      let first = op.axes.first, case let type = graph[node.inputs[0]].type, type.format == .nchw,
      op.axes == Array(first..<type.shape.rank)
    else { return nil }
    return (node.inputs[0], first)
  }

  /// What a value is the square of.
  private func square(_ id: ValueID) -> ValueID? {
    guard let node = producer(id), let op = node.op as? Binary, op.epilogue == nil else { return nil }
    switch op.function {
    case .multiply: return node.inputs[0] == node.inputs[1] ? node.inputs[0] : nil
    case .power: return number(node.inputs[1]) == 2 ? node.inputs[0] : nil
    default: return nil
    }
  }

  /// A product of two values and a number, however it is put together.
  private func factors(_ node: Node) -> (ids: [ValueID], number: Float)? {
    if let (id, factor) = scaled(node), let product = producer(id), Binary.computes(.multiply, product.op) {
      return (product.inputs, factor)
    }
    guard Binary.computes(.multiply, node.op) else { return nil }
    for side in 0...1 {
      if let inner = producer(node.inputs[side]), let (id, factor) = scaled(inner) {
        return ([id, node.inputs[1 - side]], factor)
      }
    }
    return nil
  }

  /// A value times the activation of it that is looked for.
  private func activated(_ node: Node, _ function: Epilogue) -> ValueID? {
    let found = gated(node) { gate in (gate.op as? Activation)?.function == function ? gate.inputs[0] : nil }
    return found.flatMap { x, inner in x == inner ? x : nil }
  }

  /// A value times what a node makes that is of the kind that is looked for.
  private func gated(_ node: Node, _ find: (Node) -> ValueID?) -> (x: ValueID, found: ValueID)? {
    guard Binary.computes(.multiply, node.op) else { return nil }
    for side in 0...1 {
      if let gate = producer(node.inputs[side]), let found = find(gate) { return (node.inputs[1 - side], found) }
    }
    return nil
  }
}
