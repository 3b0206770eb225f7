import GraphCore
import TensorCore

/// Products and reductions.
let matrixTranslations: ONNXTranslations = {
  var ops = ONNXTranslations()

  ops.add(Linear.self) { op, node in
    let isMatrix = node.types[0].shape.rank == 2
    let weight = node.weight()
    try node.finish(op.epilogue) { suffix in
      if isMatrix {
        let inputs = [node.inputs[0], weight.name] + node.inputs.dropFirst(2)
        return node.emit("Gemm", inputs, weight.isTransposed ? [] : [.integer("transB", 1)], suffix)
      }
      let matrix =
        weight.isTransposed
        ? weight.name : node.emit("Transpose", [weight.name], [.integers("perm", [1, 0])], "weight")
      let hasBias = node.inputs.count > 2
      let product = node.emit("MatMul", [node.inputs[0], matrix], [], hasBias ? "product" : suffix)
      return hasBias ? node.emit("Add", [product, node.inputs[2]], [], suffix) : product
    }
  }
  ops.add(MatMul.self) { _, node in
    let dtype = node.types[0].dtype
    guard !dtype.isFloat, dtype.byteCount < 4 else {
      node.emit("MatMul", node.inputs)
      return
    }
    // ONNX multiplies integers of 32 bits at least; what is cut off of the sums is the same.
    let wide = node.inputs.enumerated().map { node.cast($1, to: .int32, "wide\($0)") }
    _ = node.cast(node.emit("MatMul", wide, [], "product"), to: dtype)
  }
  ops.add(Reduce.self) { op, node in try node.write(op) }
  return ops
}()

extension ONNXNodeWriter {
  /// The weight of a linear layer, and whether it is the other way round: what was turned for us need not be turned back.
  fileprivate func weight() -> (name: String, isTransposed: Bool) {
    let id = node.inputs[1]
    if let producer = writer.graph.producer(of: id), case let turned = writer.graph.nodes[producer],
      turned.op as? Transpose == Transpose([1, 0]), turned.stored == nil, inputs[1] == writer.name(of: id)
    {
      return (writer.name(of: turned.inputs[0]), true)
    }
    return (inputs[1], false)
  }

  fileprivate func write(_ op: Reduce) throws {
    let name =
      switch op.function {
      case .sum: "ReduceSum"
      case .mean: "ReduceMean"
      case .maximum: "ReduceMax"
      case .minimum: "ReduceMin"
      case .product: "ReduceProd"
      case .l1: "ReduceL1"
      case .l2: "ReduceL2"
      case .logSum: "ReduceLogSum"
      case .logSumExp: "ReduceLogSumExp"
      case .sumSquare: "ReduceSumSquare"
      }
    let dtype = types[0].dtype
    let isExtreme = op.function == .maximum || op.function == .minimum
    // Integers of 8 and 16 bits have no sums there, and of 16 bits no extremes: what is cut off of the result is the same.
    let isShort = !dtype.isFloat && dtype != .bool && dtype.byteCount < 4
    let isWidened = isShort && !(isExtreme && dtype.byteCount == 1)
    var (input, axes, keepsAxes) = (inputs[0], op.axes, op.keepsAxes)
    if isWidened { input = cast(input, to: .int32, "wide") }
    if axes.isEmpty {
      // Over no axes means over all there: each element gets an axis of its own.
      let rank = types[0].shape.rank
      input = emit("Unsqueeze", [input, try integers([rank], "new-axis")], [], "each")
      (axes, keepsAxes) = ([rank], false)
    }
    let reduced = emit(
      name, [input, try integers(axes, "axes")], [.integer("keepdims", keepsAxes ? 1 : 0)],
      isWidened ? "reduced" : "", since: op.function == .sum ? 13 : dtype == .bool ? 20 : 18)
    if isWidened { _ = cast(reduced, to: dtype) }
  }
}
