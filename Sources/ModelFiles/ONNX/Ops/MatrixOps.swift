import Foundation
import GraphCore
import TensorCore

/// Products, reductions, and what is normalised by them.
let matrixOps: [String: ONNXBuilder] = {
  var ops: [String: ONNXBuilder] = [:]

  ops["MatMul"] = { node in
    let (a, b) = (try node.input(0), try node.input(1))
    // By a matrix of weights: a linear layer, whose weights are the other way round.
    if node.isWeight(b), node.type(of: b).shape.rank == 2, node.type(of: a).shape.rank >= 2 {
      return [try node.add(Linear(), [a, node.transposed(weight: b)])]
    }
    return [try node.add(MatMul(), [a, b])]
  }
  ops["Gemm"] = { node in
    var (a, b) = (try node.input(0), try node.input(1))
    let (alpha, beta) = (node.float("alpha", 1), node.float("beta", 1))
    guard node.type(of: a).shape.rank == 2, node.type(of: b).shape.rank == 2 else {
      throw GraphError("\(node.type(of: a)) times \(node.type(of: b))")
    }
    if node.flag("transA") { a = try node.add(Transpose([1, 0]), [a], "a") }
    let bias = try node.optional(2)
    if alpha == 1, bias == nil || beta == 1, node.isWeight(b) {
      let weight = try node.flag("transB") ? b : node.transposed(weight: b)
      let outputs = node.type(of: weight).shape[0]
      guard let bias else { return [try node.add(Linear(), [a, weight])] }
      if node.isWeight(bias), node.type(of: bias).shape == [outputs] {
        return [try node.add(Linear(), [a, weight, bias])]
      }
      return [try node.add(Binary(.add), [node.add(Linear(), [a, weight], "product"), bias])]
    }
    if node.flag("transB") { b = try node.add(Transpose([1, 0]), [b], "b") }
    let dtype = node.type(of: a).dtype
    func scaled(_ id: ValueID, _ factor: Float, _ suffix: String) throws -> ValueID {
      factor == 1
        ? id : try node.add(Binary(.multiply), [id, node.constant(Double(factor), dtype, suffix + "-factor")], suffix)
    }
    let product = try scaled(node.add(MatMul(), [a, b], "product"), alpha, "scaled")
    guard let bias else { return [product] }
    return [try node.add(Binary(.add), [product, scaled(bias, beta, "bias")])]
  }

  /// Before version 13 over all axes from one on.
  func softmax(_ name: String, _ op: @escaping @Sendable (Int) -> any Op) {
    ops[name] = { node in
      let (input, shape) = (try node.input(0), try node.shape(0))
      let axis = try shape.axis(node.integer("axis", node.version < 13 ? 1 : -1), name)
      if node.version >= 13 || axis == shape.rank - 1 { return [try node.add(op(axis), [input])] }
      let rows = try node.reshape(
        input, to: [shape.extents[..<axis].reduce(1, *), shape.extents[axis...].reduce(1, *)], "rows")
      return [try node.reshape(node.add(op(1), [rows], "values"), to: shape)]
    }
  }
  softmax("Softmax") { Softmax(axis: $0) }
  softmax("LogSoftmax") { Softmax(axis: $0, isLogarithm: true) }

  func reduction(_ name: String, _ function: Reduce.Function, inputSince change: Int) {
    ops[name] = { node in
      let (input, shape) = (try node.input(0), try node.shape(0))
      let named = try node.integers("axes", orInput: 1, since: change) ?? []
      // Of each element alone.
      if named.isEmpty, node.flag("noop_with_empty_axes") { return [try node.add(Reduce(function, axes: []), [input])] }
      let axes = try named.isEmpty ? Array(0..<shape.rank) : Set(named.map { try shape.axis($0, name) }).sorted()
      return [try node.add(Reduce(function, axes: axes, keepsAxes: node.flag("keepdims", true)), [input])]
    }
  }
  reduction("ReduceSum", .sum, inputSince: 13)
  reduction("ReduceMean", .mean, inputSince: 18)
  reduction("ReduceMax", .maximum, inputSince: 18)
  reduction("ReduceMin", .minimum, inputSince: 18)
  reduction("ReduceProd", .product, inputSince: 18)
  reduction("ReduceL1", .l1, inputSince: 18)
  reduction("ReduceL2", .l2, inputSince: 18)
  reduction("ReduceLogSum", .logSum, inputSince: 18)
  reduction("ReduceLogSumExp", .logSumExp, inputSince: 18)
  reduction("ReduceSumSquare", .sumSquare, inputSince: 18)
  return ops
}()

extension ONNXNode {
  /// Whether a value is a weight of float32 or narrower: there before a run, as such or as integers with a scale.
  func isWeight(_ id: ValueID) -> Bool {
    guard type(of: id).dtype.isStoredFloat else { return false }
    return switch reader.graph[id].source {
    case .constant, .parameter: true
    case .input: false
    case .node: reader.isStoredWeight(id)
    }
  }

  /// A matrix of weights the other way round, as linear layers have them.
  func transposed(weight id: ValueID) throws -> ValueID {
    let name = reader.graph[id].name + ".transposed"
    guard case .parameter = reader.graph[id].source, let tensor = reader.graph.data(of: id),
      reader.graph.weights[name] == nil
    else { return try add(Transpose([1, 0]), [id], "weight") }
    let turned = try Transpose([1, 0]).evaluate([tensor])[0]
    reader.graph.weights[name] = turned
    return reader.graph.addParameter(name, turned.type)!
  }
}
