import GraphCore
import TensorCore

/// Writes what a file says with integers and scales beside them (ONNX: QuantizeLinear and DequantizeLinear around ops of floats, or
/// QLinearConv and QLinearMatMul; DynamicQuantizeLinear before MatMulInteger) as tensors of integers that stand for numbers, and ops on
/// those.
///
/// Sums of products are exact then, as those ops' own are. Where a file rounds sums of floats, they may round to the next integer. int8
/// tensors become uint8 ones of the same numbers, which kernels multiply.
public struct RecogniseQuantised: Pass {
  public let name = "recognise-quantised"
  public let summary = "compute on integers where a file has integers with scales beside them"
  public let off = "integers are made numbers before each op, and numbers integers behind it"
  public let tolerance = Pipeline.quantisedTolerance

  public init() {}

  /// - Returns: nodes that read or give integers which stand for numbers, more than there were.
  public func run(on graph: inout Graph, in context: PassContext) throws -> Int {
    func count(_ graph: Graph) -> Int {
      graph.nodes.count { node in (node.inputs + node.outputs).contains { graph[$0].type.quantization != nil } }
    }
    let before = count(graph)
    var recogniser = Recogniser()
    try graph.rewrite { try recogniser.run(&$0) }
    guard recogniser.foundAny else { return 0 }
    graph.removeUnused()
    let live = Set(graph.values.map(\.id))
    try graph.rewrite { try recogniser.giveIntegers(&$0, live: live) }
    graph.removeUnused()
    try graph.fuseActivations { op, function, inputs in
      Node.sumsIntegers(op, inputs) && function.clamps(channels: 1) != nil
    }
    try graph.rewrite { try $0.storeIntegers() }
    return count(graph) - before
  }
}

private struct Recogniser {
  /// By plain integers of the file: the same as numbers.
  private var typed: [ValueID: ValueID] = [:]
  /// What numbers are as integers, by value and type.
  private var known: [Stored: ValueID] = [:]
  /// By what is made of such integers as floats.
  private var sources: [ValueID: ValueID] = [:]

  private var foundDynamic = false

  var foundAny: Bool { !typed.isEmpty || foundDynamic }

  private struct Stored: Hashable {
    var number: ValueID
    var type: StoredType
  }

  mutating func run(_ graph: inout Rewriter) throws {
    for handle in graph.handles {
      // Removed with a chain that was found before.
      guard let node = graph[handle] else { continue }
      switch node.op {
      case is QuantizeLinear: try quantise(handle, node, &graph)
      case let op as DequantizeLinear:
        let zero = node.inputs.count > 2 ? node.inputs[2] : nil
        guard let integers = typed[node.inputs[0]], op.blockSize == 0,
          stored(graph[node.inputs[0]].type.dtype, scale: node.inputs[1], zero: zero, graph) == type(integers, graph)
        else { continue }
        sources[node.outputs[0]] = integers
      case let op as QLinearConv: try convolve(handle, node, op, &graph)
      case is QLinearMatMul: try multiply(handle, node, &graph)
      case is MatMulInteger: try multiplyDynamically(handle, node, &graph)
      case is Conv2D, is Linear: try product(handle, node, &graph)
      default: try carry(handle, node, &graph)
      }
    }
    // What else reads such floats is given them by one op.
    for handle in graph.handles {
      guard let node = graph[handle], let output = node.outputs.first, let integers = sources[output],
        graph.uses(of: output) > 0
      else { continue }
      let numbers = try graph.insert(graph[output].name, Requantize(), [integers], before: handle, placed: nil)
      graph.replaceUses(of: output, with: numbers)
    }
  }

  /// Where something still reads a file's plain integers, makes them of those that stand for numbers: nothing is computed twice.
  /// - Parameter live: values that are still there.
  mutating func giveIntegers(_ graph: inout Rewriter, live: Set<ValueID>) throws {
    for handle in graph.handles {
      guard let node = graph[handle], node.op is QuantizeLinear || node.op is QLinearConv || node.op is QLinearMatMul,
        let output = node.outputs.first, let integers = typed[output], live.contains(integers)
      else { continue }
      let numbers = try graph.insert(node.name + ".numbers", Requantize(), [integers], before: handle, placed: nil)
      if node.op is QuantizeLinear {
        graph.update(handle) { $0.inputs[0] = numbers }
      } else {
        let grid = Array(node.inputs[6...7])
        let plain = try graph.insert(
          graph[output].name, QuantizeLinear(to: graph[output].type.dtype), [numbers] + grid, before: handle,
          placed: nil)
        graph.remove(handle, readersRead: plain)
      }
    }
  }

  /// The one scale that a node's tensor has, of 8 bits; as uint8.
  private func stored(_ dtype: DType, scale: ValueID, zero: ValueID?, _ graph: Rewriter) -> StoredType? {
    guard dtype == .uint8 || dtype == .int8, let scale = graph.data(of: scale), scale.shape.count == 1,
      scale.type.dtype == .float32, scale.values[0] >= .leastNormalMagnitude, scale.values[0].isFinite
    else { return nil }
    var zeroPoint: Int64 = 0
    if let zero {
      guard let data = graph.data(of: zero), data.shape.count == 1, let integers = try? data.allIntegers() else {
        return nil
      }
      zeroPoint = integers[0]
    }
    return StoredType(.uint8, scale: scale.values[0], zeroPoint: Int32(zeroPoint + (dtype == .int8 ? 128 : 0)))
  }

  /// What a QuantizeLinear stores; nil of other nodes.
  private func stored(_ node: Node, _ graph: Rewriter) -> StoredType? {
    guard let op = node.op as? QuantizeLinear, op.blockSize == 0 else { return nil }
    return stored(op.dtype, scale: node.inputs[1], zero: node.inputs.count > 2 ? node.inputs[2] : nil, graph)
  }

  private func type(_ id: ValueID, _ graph: Rewriter) -> StoredType {
    StoredType(dtype: graph[id].type.dtype, quantization: graph[id].type.quantization)
  }

  private mutating func quantise(_ handle: Rewriter.Handle, _ node: Node, _ graph: inout Rewriter) throws {
    guard !graph[node.inputs[0]].type.isUpperBound, let stored = stored(node, graph) else { return }
    let number = sources[node.inputs[0]] ?? node.inputs[0]
    if type(number, graph) == stored {
      // Rounded to what it is.
      typed[node.outputs[0]] = number
    } else if let made = known[Stored(number: number, type: stored)] {
      typed[node.outputs[0]] = made
    } else if graph[number].type.dtype == .float32 || graph[number].type.quantization != nil {
      let made = try graph.insert(
        node.name + ".stored", Requantize(), [number], before: handle, placed: nil, stored: stored)
      (typed[node.outputs[0]], known[Stored(number: number, type: stored)]) = (made, made)
    }
  }

  /// Known integers around zero, of one scale or one for each index of an axis; also the other way round.
  private func weight(_ id: ValueID, _ graph: Rewriter) -> Tensor? {
    guard let node = graph.producer(of: id).flatMap({ graph[$0] }), node.stored == nil else { return nil }
    if let op = node.op as? Transpose, op == Transpose([1, 0]) {
      return weight(node.inputs[0], graph).flatMap(Self.turned)
    }
    guard let op = node.op as? DequantizeLinear, op.blockSize == 0, let integers = graph.data(of: node.inputs[0]) else {
      return nil
    }
    return Self.weight(
      integers, scale: node.inputs[1], zero: node.inputs.count > 2 ? node.inputs[2] : nil, axis: op.axis, graph)
  }

  private static func weight(
    _ integers: Tensor, scale: ValueID, zero: ValueID?, axis: Int, _ graph: Rewriter
  ) -> Tensor? {
    var zeros: [Int64]? = [0]
    if let zero { zeros = try? graph.data(of: zero)?.allIntegers() }
    guard integers.type.dtype == .int8 || integers.type.dtype == .uint8, integers.type.quantization == nil,
      let scale = graph.data(of: scale), scale.type.dtype == .float32, scale.shape.rank < 2, let zeros,
      Set(zeros).count == 1
    else { return nil }
    // Of uint8 those around 128 are int8 around zero.
    let middle: Int64 = integers.type.dtype == .uint8 ? 128 : 0
    guard zeros[0] == middle else { return nil }
    let scales = scale.values
    let quantization =
      scales.count == 1 ? Quantization(scale: scales[0]) : Quantization(scales: scales, axis: axis)
    guard quantization.fault(for: integers.shape, .int8) == nil, let all = try? integers.allIntegers() else {
      return nil
    }
    return try? Tensor(
      quantized: integers.shape, all.map { $0 - middle }, StoredType(dtype: .int8, quantization: quantization))
  }

  /// A matrix of such weights the other way round.
  private static func turned(_ tensor: Tensor) -> Tensor? {
    guard let quantization = tensor.type.quantization, tensor.shape.rank == 2, let all = try? tensor.allIntegers(),
      let plain = try? Transpose([1, 0]).evaluate([Tensor(tensor.shape, all, .int8)])[0],
      let integers = try? plain.allIntegers()
    else { return nil }
    let turned = quantization.axis.map { Quantization(scales: quantization.scales, axis: 1 - $0) } ?? quantization
    return try? Tensor(quantized: plain.shape, integers, StoredType(dtype: .int8, quantization: turned))
  }

  /// The numbers of a bias, which may be integers with a scale beside them.
  private func bias(_ id: ValueID, _ graph: Rewriter) -> [Float]? {
    if let tensor = graph.data(of: id), tensor.type.quantization == nil { return tensor.values }
    guard let node = graph.producer(of: id).flatMap({ graph[$0] }), node.op is DequantizeLinear,
      case let inputs = node.inputs.compactMap({ graph.data(of: $0) }), inputs.count == node.inputs.count
    else { return nil }
    return try? node.evaluate(inputs)[0].values
  }

  /// - Parameter bias: what it is in int32; nil where it is nothing that could be.
  /// - Returns: weight and bias that a convolution or linear layer of integers reads; nil where they are none.
  private func parameters(
    _ node: Node, _ input: ValueID, _ weight: Tensor?, _ graph: inout Rewriter,
    bias: ((IntegerWeights) throws -> Tensor?)? = nil
  ) throws -> [ValueID]? {
    guard let weight, let quantization = weight.type.quantization, quantization.axis ?? 0 == 0, weight.shape[0] > 0,
      let integers = IntegerWeights(weight, input: graph[input].type.quantization!)
    else { return nil }
    guard let bias else { return [graph.addConstant(node.name + ".int8", weight)] }
    guard let bias = try bias(integers) else { return nil }
    return [graph.addConstant(node.name + ".int8", weight), graph.addConstant(node.name + ".int32", bias)]
  }

  private mutating func product(_ handle: Rewriter.Handle, _ node: Node, _ graph: inout Rewriter) throws {
    guard let input = sources[node.inputs[0]], node.inputs.count <= 3, node.stored == nil else { return }
    // Kernels give its sums as integers alone.
    if let conv = node.op as? Conv2D,
      conv.isDepthwise(graph[node.inputs[0]].type.shape, graph[node.inputs[1]].type.shape),
      !isRounded(node.outputs[0], graph)
    {
      return
    }
    let bias = node.inputs.count > 2 ? self.bias(node.inputs[2], graph) : nil
    guard node.inputs.count < 3 || bias != nil else { return }
    let made = try parameters(
      node, input, weight(node.inputs[1], graph), &graph,
      bias: bias.map { values in { $0.holds(values) ? try $0.bias(values) : nil } })
    guard let made else { return }
    graph.update(handle) { $0.inputs = [input] + made }
  }

  /// Whether one QuantizeLinear alone reads a value, or what limits make of it.
  private func isRounded(_ id: ValueID, _ graph: Rewriter) -> Bool {
    guard let reader = graph.onlyUser(of: id).flatMap({ graph[$0] }) else { return false }
    if let op = reader.op as? Activation, op.function.clamps(channels: 1) != nil {
      return graph.onlyUser(of: reader.outputs[0]).flatMap { graph[$0] }.map { stored($0, graph) != nil } ?? false
    }
    return stored(reader, graph) != nil
  }

  private mutating func convolve(
    _ handle: Rewriter.Handle, _ node: Node, _ op: QLinearConv, _ graph: inout Rewriter
  ) throws {
    let (ids, window) = (node.inputs, op.window)
    guard let input = typed[ids[0]], window.kernel.count == 2,
      stored(graph[ids[0]].type.dtype, scale: ids[1], zero: ids[2], graph) == type(input, graph),
      let integers = graph.data(of: ids[3]),
      let result = stored(graph[ids[7]].type.dtype, scale: ids[6], zero: ids[7], graph)
    else { return }
    let bias = try ids.count > 8 ? graph.data(of: ids[8])?.allIntegers() : nil
    guard ids.count < 9 || bias != nil else { return }
    let made = try parameters(
      node, input, Self.weight(integers, scale: ids[4], zero: ids[5], axis: 0, graph), &graph,
      bias: bias.map { integers in { try $0.bias(integers) } })
    guard let made else { return }
    let conv = Conv2D(
      stride: Pair(window.strides[0], window.strides[1]),
      padding: Padding(
        top: window.before[0], left: window.before[1], bottom: window.after[0], right: window.after[1]),
      dilation: Pair(window.dilations[0], window.dilations[1]), groups: op.groups)
    try insert(conv, [input] + made, for: handle, node, result, &graph)
  }

  private mutating func multiply(_ handle: Rewriter.Handle, _ node: Node, _ graph: inout Rewriter) throws {
    let ids = node.inputs
    guard let input = typed[ids[0]], graph[input].type.shape.rank >= 2,
      stored(graph[ids[0]].type.dtype, scale: ids[1], zero: ids[2], graph) == type(input, graph),
      let integers = graph.data(of: ids[3]), integers.shape.rank == 2,
      let result = stored(graph[ids[7]].type.dtype, scale: ids[6], zero: ids[7], graph),
      case let weight = Self.weight(integers, scale: ids[4], zero: ids[5], axis: 1, graph).flatMap(Self.turned),
      let made = try parameters(node, input, weight, &graph)
    else { return }
    try insert(Linear(), [input] + made, for: handle, node, result, &graph)
  }

  /// `DynamicQuantizeLinear`, `MatMulInteger` with known weights, and what makes numbers of its sums: a cast, both scales, and a bias.
  private mutating func multiplyDynamically(_ handle: Rewriter.Handle, _ node: Node, _ graph: inout Rewriter) throws {
    let ids = node.inputs
    guard ids.count > 2, let source = graph.producer(of: ids[0]), let grid = graph[source],
      grid.op is DynamicQuantizeLinear, grid.outputs[0] == ids[0], grid.outputs[2] == ids[2],
      graph[grid.inputs[0]].type.shape.rank >= 2, !graph[grid.inputs[0]].type.isUpperBound,
      graph[grid.inputs[0]].type.quantization == nil, graph[grid.inputs[0]].type.dtype == .float32,
      let integers = graph.data(of: ids[1]), integers.shape.rank == 2,
      let cast = graph.onlyUser(of: node.outputs[0]), graph[cast]!.op as? Cast == Cast(to: .float32),
      let last = graph.onlyUser(of: graph[cast]!.outputs[0]), let product = graph[last],
      product.op as? Binary == Binary(.multiply),
      let scale = product.inputs.first(where: { $0 != graph[cast]!.outputs[0] }),
      let scaling = graph.producer(of: scale).flatMap({ graph[$0] }), scaling.op as? Binary == Binary(.multiply),
      scaling.inputs.contains(grid.outputs[1]),
      let scales = scaling.inputs.first(where: { $0 != grid.outputs[1] }),
      let weight = Self.weight(integers, scale: scales, zero: ids[safe: 3], axis: 1, graph).flatMap(Self.turned)
    else { return }
    var (end, bias): (Rewriter.Handle, ValueID?) = (last, nil)
    if let user = graph.onlyUser(of: product.outputs[0]), let sum = graph[user], sum.op as? Binary == Binary(.add),
      sum.stored == nil, let added = sum.inputs.first(where: { $0 != product.outputs[0] }),
      let data = graph.data(of: added), data.type == TensorType([weight.shape[0]])
    {
      (end, bias) = (user, added)
    }
    let types = [graph[grid.inputs[0]].type, weight.type] + (bias.map { [graph[$0].type] } ?? [])
    guard [scaling, product, graph[cast]!, node].allSatisfy({ $0.stored == nil }),
      (try? DynamicLinear().checkedOutputTypes(for: types)) == [graph[graph[end]!.outputs[0]].type]
    else { return }
    let made = try graph.insert(
      graph[end]!.name, DynamicLinear(),
      [grid.inputs[0], graph.addConstant(node.name + ".int8", weight)] + (bias.map { [$0] } ?? []), before: end,
      placed: node.placed)
    graph.remove(end, readersRead: made)
    foundDynamic = true
  }

  private mutating func insert(
    _ op: any Op, _ inputs: [ValueID], for handle: Rewriter.Handle, _ node: Node, _ stored: StoredType,
    _ graph: inout Rewriter
  ) throws {
    typed[node.outputs[0]] = try graph.insert(
      node.name, op, inputs, before: handle, placed: node.placed, stored: stored)
  }

  /// What hands numbers on reads the integers themselves.
  private mutating func carry(_ handle: Rewriter.Handle, _ node: Node, _ graph: inout Rewriter) throws {
    if node.op is Reshape || node.op is Transpose, node.inputs.count == 1, let integers = typed[node.inputs[0]] {
      // Plain integers of a file, in another order.
      typed[node.outputs[0]] = try graph.insert(
        node.name + ".stored", node.op, [integers], before: handle, placed: nil)
      return
    }
    guard node.inputs.contains(where: { sources[$0] != nil }) else { return }
    if node.op is Concat { return try join(handle, node, &graph) }
    guard QuantizationPlan.carries(node) else { return }
    if QuantizationPlan.follows(node) {
      // Its result would be integers too.
      let stored = type(sources[node.inputs[0]] ?? node.inputs[0], graph)
      let isRoundedAlike = graph.users(of: node.outputs[0]).allSatisfy { self.stored(graph[$0]!, graph) == stored }
      guard isRoundedAlike, sources[node.inputs[0]] != nil, !graph.outputs.contains(node.outputs[0]) else { return }
    }
    graph.update(handle) { [sources] changed in changed.inputs = changed.inputs.map { sources[$0] ?? $0 } }
    try graph.inferTypes(of: handle)
  }

  /// A concatenation that is rounded in one way only: its parts are rounded so instead.
  private mutating func join(_ handle: Rewriter.Handle, _ node: Node, _ graph: inout Rewriter) throws {
    let readers = graph.users(of: node.outputs[0]).map { stored(graph[$0]!, graph) }
    guard node.stored == nil, !graph[node.outputs[0]].type.isUpperBound, !graph.outputs.contains(node.outputs[0]),
      let first = readers.first, let type = first,
      readers.allSatisfy({ $0 == type })
    else { return }
    let types = Dictionary(node.inputs.map { ($0, self.type(sources[$0] ?? $0, graph)) }) { first, _ in first }
    _ = try graph.giveParts(of: handle, type) { [sources] in (sources[$0] ?? $0, isThat: types[$0] == type) }
    try graph.inferTypes(of: handle)
  }
}

extension Rewriter {
  /// Lets what computes on integers store what it computes as such, where nothing reads the numbers.
  fileprivate mutating func storeIntegers() throws {
    for handle in handles {
      guard let node = self[handle], node.op is Requantize, let stored = node.stored, stored.quantization != nil,
        self[node.inputs[0]].type.dtype == .float32, let producer = producer(of: node.inputs[0]),
        onlyUser(of: node.inputs[0]) == handle, let before = self[producer], before.stored == nil,
        before.outputs.count == 1,
        case let types = types(of: before.inputs),
        Node.sumsIntegers(before.op, types)
          || QuantizationPlan.carries(before) && types.contains(where: { $0.quantization != nil })
      else { continue }
      update(producer) { $0.stored = stored }
      remove(handle, readersRead: node.inputs[0])
      try inferTypes(of: producer)
    }
  }
}
