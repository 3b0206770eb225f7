import Foundation
import GraphCore
import TensorCore

/// Operators that bring elements to a common scale.
let normalisationOps: [String: ONNXBuilder] = {
  var ops: [String: ONNXBuilder] = [:]

  ops["BatchNormalization"] = { node in
    let (x, type) = (try node.input(0), try node.type(0))
    let epsilon = node.float("epsilon", 1e-5)
    guard type.shape.rank >= 2, node.inputCount == 5 else { throw GraphError("\(node.inputCount) inputs of \(type)") }
    let otherOutputs = node.proto.output.dropFirst().contains { !$0.isEmpty }
    let isTraining = node.version >= 14 ? node.flag("training_mode") : otherOutputs
    if isTraining, node.version < 14 { throw Unsupported("it is in training mode") }
    let isSpatial = node.version >= 9 || node.flag("spatial", true)
    if !isTraining, isSpatial, type.dtype.isStoredFloat {
      return [try node.add(BatchNorm(epsilon: epsilon), node.inputs)]
    }
    // Parameters for each channel, or before version 9 for each element.
    let parameters = try (1..<5).map { index in
      let parameter = try node.cast(node.input(index), to: type.dtype, "parameter\(index)")
      guard isSpatial else { return parameter }
      let ones = [Reshape.Extent](repeating: .fixed(1), count: type.shape.rank - 2)
      return try node.add(Reshape([.axis(0)] + ones), [parameter], "by-channel\(index)")
    }
    guard isTraining else {
      return [
        try node.scaled(
          x, mean: parameters[2], variance: parameters[3], epsilon, scale: parameters[0], bias: parameters[1])
      ]
    }
    let axes = type.shape.extents.indices.filter { $0 != 1 }
    let (mean, variance) = try node.moments(x, axes)
    let result = try node.scaled(
      x, mean: mean, variance: variance, epsilon, scale: parameters[0], bias: parameters[1])
    let momentum = Double(node.float("momentum", 0.9))
    let running = try zip([3, 4], [mean, variance]).map { index, now in
      let old = try node.input(index)
      let dtype = node.type(of: old).dtype
      let share = try node.cast(
        node.reshape(now, to: [type.shape[1]], "batch\(index)"), to: dtype, "batch\(index).typed")
      return try node.add(
        Binary(.add),
        [
          node.add(Binary(.multiply), [old, node.constant(momentum, dtype, "momentum")], "old\(index)"),
          node.add(Binary(.multiply), [share, node.constant(1 - momentum, dtype, "rest")], "new\(index)"),
        ], "running\(index)")
    }
    return [result] + running
  }
  ops["InstanceNormalization"] = { node in
    [try node.add(InstanceNorm(epsilon: node.float("epsilon", 1e-5)), node.inputs)]
  }

  ops["LayerNormalization"] = { node in
    let (x, type) = (try node.input(0), try node.type(0))
    let axis = try type.shape.axis(node.integer("axis", -1), "layer_norm")
    let hasStatistics = node.proto.output.dropFirst().contains { !$0.isEmpty }
    let parameters = try [node.input(1)] + (node.optional(2).map { [$0] } ?? [])
    // Statistics are float32 whatever is normalised.
    let isNarrow = hasStatistics && type.dtype.byteCount == 2
    let inputs = isNarrow ? try ([x] + parameters).map { try node.cast($0, to: .float32, "wide") } : [x] + parameters
    let op = LayerNorm(axis: axis, epsilon: node.float("epsilon", 1e-5), givesStatistics: hasStatistics)
    var results = try node.normalised(op, inputs)
    if isNarrow { results[0] = try node.cast(results[0], to: type.dtype, "narrow") }
    return try [results[0]] + results.dropFirst().map { try node.cast($0, to: .float32, "statistics") }
  }
  ops["RMSNormalization"] = { node in
    let axis = try node.shape(0).axis(node.integer("axis", -1), "rms_norm")
    let op = LayerNorm(axis: axis, epsilon: node.float("epsilon", 1e-5), isRootMeanSquare: true)
    return try node.normalised(op, [node.input(0), node.input(1)])
  }
  ops["GroupNormalization"] = { node in
    let (shape, groups) = (try node.shape(0), node.integer("num_groups", 0))
    guard shape.rank > 2, groups > 0, shape[1] % groups == 0 else {
      throw GraphError("\(shape) in \(groups) groups")
    }
    let rows = try node.add(Reshape([.axis(0), .fixed(groups), .rest]), [node.input(0)], "groups")
    let scaled = try node.add(LayerNorm(axis: 2, epsilon: node.float("epsilon", 1e-5)), [rows], "normalised")
    func apply(_ input: ValueID, _ ones: [Int]) throws -> ValueID {
      let parameters = try (1...2).map { index in
        try node.reshape(node.input(index), to: Shape(node.shape(index).extents + ones), "parameter\(index)")
      }
      return try node.add(
        Binary(.add), [node.add(Binary(.multiply), [input, parameters[0]], "scaled"), parameters[1]], "biased")
    }
    // Before version 21 scale and bias go by group.
    if node.version < 21 { return [try node.reshape(apply(scaled, [1]), to: shape, "images")] }
    return [try apply(node.reshape(scaled, to: shape, "images"), shape.extents.dropFirst(2).map { _ in 1 })]
  }
  ops["LRN"] = { node in
    let op = LocalResponseNorm(
      size: node.integer("size", 0), alpha: node.float("alpha", 1e-4), beta: node.float("beta", 0.75),
      bias: node.float("bias", 1))
    return [try node.add(op, [node.input(0)])]
  }
  ops["LpNormalization"] = { node in
    let (input, type) = (try node.input(0), try node.type(0))
    let (axis, p) = (try type.shape.axis(node.integer("axis", -1), "lp_norm"), node.integer("p", 2))
    guard p == 1 || p == 2 else { throw GraphError("the norm of order \(p)") }
    let norm = try node.add(Reduce(p == 1 ? .l1 : .l2, axes: [axis]), [input], "norm")
    // Zeros stay zeros.
    let dtype = type.widened.dtype
    let least = try node.constant(Double(Float.leastNormalMagnitude), dtype, "least")
    return [try node.add(Binary(.divide), [input, node.add(Binary(.maximum), [norm, least], "divisor")])]
  }
  ops["MeanVarianceNormalization"] = { node in
    let (input, type) = (try node.input(0), try node.type(0))
    let named = node.integers("axes") ?? [0, 2, 3]
    let axes = try Set(named.map { try type.shape.axis($0, "mean_variance") }).sorted()
    let (mean, variance) = try node.moments(input, axes)
    let centred = try node.add(Binary(.subtract), [input, mean], "centred")
    let deviation = try node.add(Unary(.squareRoot), [variance], "deviation")
    let least = try node.constant(1e-9, type.widened.dtype, "least")
    return [try node.add(Binary(.divide), [centred, node.add(Binary(.add), [deviation, least], "divisor")])]
  }
  ops["Hardmax"] = { node in
    let (input, shape) = (try node.input(0), try node.shape(0))
    let axis = try shape.axis(node.integer("axis", node.version < 13 ? 1 : -1), "hardmax")
    // Before version 13 over all axes from one on.
    if node.version >= 13 || axis == shape.rank - 1 { return [try node.add(Hardmax(axis: axis), [input])] }
    let (before, behind) = (shape.extents[..<axis].reduce(1, *), shape.extents[axis...].reduce(1, *))
    let rows = try node.reshape(input, to: [before, behind], "rows")
    return [try node.reshape(node.add(Hardmax(axis: 1), [rows], "values"), to: shape)]
  }
  return ops
}()

extension ONNXNode {
  /// Mean and variance over some axes, which stay with an extent of 1.
  fileprivate func moments(_ input: ValueID, _ axes: [Int]) throws -> (mean: ValueID, variance: ValueID) {
    let mean = try add(Reduce(.mean, axes: axes), [input], "mean")
    let centred = try add(Binary(.subtract), [input, mean], "distance")
    let squares = try add(Binary(.multiply), [centred, centred], "squares")
    return (mean, try add(Reduce(.mean, axes: axes), [squares], "variance"))
  }

  /// `(x − mean) / √(variance + ε) · scale + bias`, broadcast.
  fileprivate func scaled(
    _ x: ValueID, mean: ValueID, variance: ValueID, _ epsilon: Float, scale: ValueID, bias: ValueID
  ) throws -> ValueID {
    let dtype = type(of: variance).widened.dtype
    let sum = try add(Binary(.add), [variance, constant(Double(epsilon), dtype, "epsilon")], "sum")
    let factor = try add(Binary(.divide), [scale, add(Unary(.squareRoot), [sum], "root")], "factor")
    let centred = try add(Binary(.subtract), [x, mean], "centred")
    return try add(Binary(.add), [add(Binary(.multiply), [centred, factor], "product"), bias])
  }

  /// What a layer norm computes; parameters of other shapes than what is normalised are applied by ops of their own.
  fileprivate func normalised(_ op: LayerNorm, _ inputs: [ValueID]) throws -> [ValueID] {
    let wanted = Array(type(of: inputs[0]).shape.extents[op.axis...])
    if inputs.dropFirst().allSatisfy({ type(of: $0).shape.extents == wanted }) { return try addAll(op, inputs) }
    var results = try addAll(op, [inputs[0]], "normalised")
    for (index, parameter) in inputs.dropFirst().enumerated() {
      results[0] = try add(
        Binary(index == 0 ? .multiply : .add), [results[0], parameter], index == 0 ? "scaled" : "biased")
    }
    return results
  }
}
