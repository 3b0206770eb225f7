import GraphCore
import TensorCore

extension Graph {
  /// The same with tensors of integers that stand for numbers written out as ONNX does it (QDQ): a QuantizeLinear and a
  /// DequantizeLinear behind whatever is stored so, a DequantizeLinear behind each such weight, and all between in float32. What sums
  /// integers exactly here is free to do so there, and rounds otherwise where it does not.
  /// - Throws: ``Unsupported`` where an input or output of the graph, or what a body reads, is such a tensor.
  func withExplicitQuantization() throws -> Graph {
    guard values.contains(where: { $0.type.quantization != nil }) else { return self }
    for id in inputs + outputs where self[id].type.quantization != nil {
      throw Unsupported("\(self[id].name): ONNX export writes no input or output like \(self[id].type)")
    }
    var writer = QuantizationWriter(self)
    for id in inputs { writer.numbers[id] = writer.graph.addInput(self[id].name, self[id].type) }
    for node in nodes { try writer.add(node) }
    writer.graph.setOutputs(try outputs.map { try writer.number(of: $0) })
    return writer.graph
  }
}

private struct QuantizationWriter {
  let source: Graph
  var graph: Graph
  /// By value of the source: what has its numbers.
  var numbers: [ValueID: ValueID] = [:]

  init(_ source: Graph) { (self.source, graph) = (source, Graph(name: source.name)) }

  mutating func number(of id: ValueID) throws -> ValueID {
    if let known = numbers[id] { return known }
    let value = source[id]
    guard let tensor = source.data(of: id) else { throw MissingWeight(value.name, value.type) }
    let made: ValueID
    if let quantization = tensor.type.quantization {
      let dense = try tensor.converted(to: .nchw)
      let integers = graph.addConstant(
        value.name, try Tensor(dense.shape, dense.allIntegers(), dense.type.dtype))
      made = try dequantise(integers, tensor.type.dtype, quantization, value.name)
    } else {
      made = graph.addConstant(value.name, tensor)
    }
    numbers[id] = made
    return made
  }

  private mutating func grid(
    _ dtype: DType, _ quantization: Quantization, _ name: String
  ) throws -> (scale: ValueID, zero: ValueID) {
    let shape: Shape = quantization.axis == nil ? [] : [quantization.scales.count]
    return (
      graph.addConstant(name + ".scale", try Tensor(shape, quantization.scales)),
      graph.addConstant(name + ".zero", try Tensor(shape, quantization.zeroPoints.map(Int64.init), dtype))
    )
  }

  private mutating func dequantise(
    _ integers: ValueID, _ dtype: DType, _ quantization: Quantization, _ name: String
  ) throws -> ValueID {
    let (scale, zero) = try grid(dtype, quantization, name)
    return try graph.addNode(
      name + ".numbers", DequantizeLinear(axis: quantization.axis ?? 0), [integers, scale, zero])
  }

  /// ONNX's own ops that compute the same, to the bit: its sums are of a matrix that is the other way round.
  private mutating func add(_ op: DynamicLinear, _ node: Node) throws {
    let weight = try source.data(of: node.inputs[1]).map { try $0.converted(to: .nchw) }
    guard let weight, let quantization = weight.type.quantization else {
      throw MissingWeight(source[node.inputs[1]].name, source[node.inputs[1]].type)
    }
    let (name, matrix) = (source[node.inputs[1]].name, try Tensor(weight.shape, weight.allIntegers(), .int8))
    let columns = graph.addConstant(name, try Transpose([1, 0]).evaluate([matrix])[0])
    let (scales, _) = try grid(.int8, quantization, name)
    let integers = try graph.addNodes(
      node.name + ".integers", DynamicQuantizeLinear(), [number(of: node.inputs[0])], stored: nil)
    let sums = try graph.addNode(node.name + ".sums", MatMulInteger(), [integers[0], columns, integers[2]])
    let reals = try graph.addNode(node.name + ".reals", Cast(to: .float32), [sums])
    let scale = try graph.addNode(node.name + ".scale", Binary(.multiply), [integers[1], scales])
    var steps: [(name: String, op: any Op, others: [ValueID])] = [("product", Binary(.multiply), [scale])]
    if node.inputs.count > 2 { steps.append(("sum", Binary(.add), [try number(of: node.inputs[2])])) }
    if let function = op.epilogue { steps.append(("activation", Activation(function), [])) }
    var result = reals
    for (index, step) in steps.enumerated() {
      // The last one has the layer's name, and so has its result.
      let name = index + 1 < steps.count ? node.name + "." + step.name : node.name
      result = try graph.addNode(name, step.op, [result] + step.others)
    }
    numbers[node.outputs[0]] = result
  }

  /// ONNX has no such layer: its weights are written as integers, and what they multiply is not rounded.
  private mutating func add(_ op: DynamicRecurrent, _ node: Node) throws {
    var inputs = try node.inputs.map { try number(of: $0) }
    for index in 1...2 {
      let shape = graph[inputs[index]].type.shape
      let (directions, name) = (op.layer.direction.count, graph[inputs[index]].name + ".matrices")
      inputs[index] = try graph.addNode(
        name, Reshape([.fixed(directions), .fixed(shape[0] / directions), .fixed(shape[1])]), [inputs[index]])
    }
    let outputs = try graph.addNodes(node.name, op.layer, inputs, stored: nil)
    for (id, plain) in zip(node.outputs, outputs) { numbers[id] = plain }
  }

  mutating func add(_ node: Node) throws {
    if let op = node.op as? DynamicLinear { return try add(op, node) }
    if let op = node.op as? DynamicRecurrent { return try add(op, node) }
    if node.op is any ControlOp, node.inputs.contains(where: { source[$0].type.quantization != nil }) {
      throw Unsupported("\(node.name): ONNX export writes no body that reads integers which stand for numbers")
    }
    let inputs = try node.inputs.map { try number(of: $0) }
    var outputs = inputs
    if !(node.op is Requantize) {
      outputs = try graph.addNodes(
        node.name, node.op, inputs, stored: node.stored?.quantization == nil ? node.stored : nil)
    }
    for (id, plain) in zip(node.outputs, outputs) {
      let type = source[id].type
      guard let quantization = type.quantization else {
        numbers[id] = plain
        continue
      }
      let name = source[id].name
      let (scale, zero) = try grid(type.dtype, quantization, name)
      let integers = try graph.addNode(
        name + ".integers", QuantizeLinear(to: type.dtype, axis: quantization.axis ?? 0), [plain, scale, zero])
      numbers[id] = try dequantise(integers, type.dtype, quantization, name)
    }
  }
}
