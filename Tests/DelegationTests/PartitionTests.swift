import GraphCore
import GraphPasses
import Pacer
import RuntimeCore
import TensorCore
import TestSupport
import Testing

@testable import Delegation

/// A network that branches: two convolutions of one input with activations of their own, put together.
private func branches() throws -> Graph {
  var graph = Graph(name: "branches")
  let x = graph.addInput("x", TensorType([1, 3, 8, 8]))
  func conv(_ name: String, _ input: ValueID) throws -> ValueID {
    let channels = graph[input].type.shape[1]
    let weight = graph.addConstant(
      "\(name).weight", try Tensor([4, channels, 1, 1], (0..<4 * channels).map { Float($0 % 5) - 2 }))
    return try graph.addNode(name, Conv2D(), [input, weight])
  }
  let a = try graph.addNode("a.act", Activation(.relu), [conv("a", x)])
  let b = try graph.addNode("b.act", Activation(.hardSwish), [conv("b", x)])
  let sum = try graph.addNode("sum", Binary(.add), [a, b])
  graph.setOutputs([try conv("last", sum)])
  return graph
}

@Suite struct PartitionTests {
  private static func driver(_ name: String, _ time: Float, power: Float? = nil, without: Set<OperationCode> = [])
    -> DriverProfile
  {
    DriverProfile(
      name, capabilities: Capabilities(others: PerformanceInfo(time: time, power: power ?? time)),
      limits: DriverProfile.Limits(withoutOperations: without))
  }

  private func placed(_ graph: Graph, _ backend: NNAPIBackend, fallback: (any Backend)? = nil) throws -> [String] {
    try Placer(backend, fallback: fallback, PrepareOptions()).plan(graph).placement.map { "\($0.node): \($0.backend)" }
  }

  @Test func `numbers and names are those of the NDK's header`() {
    #expect(OperationCode.allCases.count == 102)
    #expect(Set(OperationCode.allCases.map(\.description)).count == 102)
    let known: [Int32: String] = [
      0: "ADD", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 9: "FULLY_CONNECTED", 16: "LSTM", 31: "MEAN", 45: "CAST",
      58: "LESS",
      62: "LOGICAL_NOT", 72: "QUANTIZE", 81: "ROI_ALIGN", 92: "UNIDIRECTIONAL_SEQUENCE_LSTM", 96: "IF", 97: "WHILE",
      99: "HARD_SWISH", 101: "RANK",
    ]
    for (number, name) in known { #expect(OperationCode(rawValue: number)?.description == name) }
    for code in OperationCode.allCases { #expect(OperationCode(name: code.description) == code) }
    #expect(OperandType.tensorQuant8AsymmSigned.rawValue == 14 && OperandType.allCases.count == 16)
    #expect(
      ResultCode.deadObject.rawValue == 14
        && ResultCode.missedDeadlinePersistent.description == "MISSED_DEADLINE_PERSISTENT")
  }

  @Test func `each operation goes to the driver that promises the most, ties to the processor, else to the first`()
    throws
  {
    let graph = try branches()
    func all(_ driver: String) -> [String] { graph.nodes.map { "\($0.name): \(driver)" } }
    let (slow, fast) = (Self.driver("slow", 0.9), Self.driver("fast", 0.5))
    #expect(try placed(graph, NNAPIBackend(drivers: [slow, fast])) == all("fast"))
    #expect(try placed(graph, NNAPIBackend(drivers: [fast, Self.driver("alike", 0.5)])) == all("fast"))
    #expect(try placed(graph, NNAPIBackend(drivers: [Self.driver("even", 1)])) == all("nnapi-reference"))
    #expect(try placed(graph, NNAPIBackend(drivers: [Self.driver("worse", 3)])) == all("nnapi-reference"))
    let thrifty = Self.driver("thrifty", 0.9, power: 0.1)
    #expect(try placed(graph, NNAPIBackend(drivers: [fast, thrifty], preference: .lowPower)) == all("thrifty"))
    #expect(try placed(graph, NNAPIBackend(drivers: [fast, thrifty], preference: .fastSingleAnswer)) == all("fast"))
    // Of float32 that may be computed in 16 bits a driver may promise more.
    var half = Self.driver("half", 0.9)
    half.capabilities.relaxedFloat = PerformanceInfo(time: 0.2, power: 1)
    #expect(try placed(graph, NNAPIBackend(drivers: [fast, half])) == all("fast"))
    #expect(try placed(graph, NNAPIBackend(drivers: [fast, half], relaxesFloat32: true)) == all("half"))
  }

  @Test func `queues are drained the last device first, and each into one step`() throws {
    let graph = try branches()
    let backend = NNAPIBackend(drivers: [Self.driver("npu", 0.5, without: [.hardSwish])])
    let planned = try Placer(backend, PrepareOptions()).plan(graph)
    // Ready at first are both convolutions, the driver's: its step takes the first branch to its end. The activation that it lacks is
    // the processor's, and what waits for both comes after that.
    #expect(
      planned.placement.map { "\($0.node): \($0.backend)" } == [
        "a: npu", "b: npu", "a.act: npu", "b.act: nnapi-reference", "sum: npu", "last: npu",
      ])
    #expect(planned.plan.segments.count == 3)
    #expect(planned.placement[3].refusals == [.init(backend: "npu", reason: "npu has no HARD_SWISH")])
  }

  @Test func `of two branches that are ready the processor's is computed first`() throws {
    var graph = Graph(name: "two")
    let x = graph.addInput("x", TensorType([1, 4]))
    let relu = try graph.addNode("relu", Activation(.relu), [x])
    let tanh = try graph.addNode("tanh", Unary(.tanh), [x])
    let exp = try graph.addNode("exp", Unary(.exp), [relu])
    graph.setOutputs([try graph.addNode("sum", Binary(.add), [exp, tanh])])
    let backend = NNAPIBackend(drivers: [
      Self.driver("first", 0.5, without: [.tanh, .exp]), Self.driver("second", 0.6, without: [.tanh]),
    ])
    // Queues: first (relu), second (none), processor (tanh). Then relu, which makes exp ready for the second; the sum is the first's.
    #expect(
      try placed(graph, backend) == ["tanh: nnapi-reference", "relu: first", "exp: second", "sum: first"])
  }

  private func operations(_ op: any Op, _ types: [TensorType], stored: StoredType? = nil) throws -> NNAPIModel {
    var graph = Graph(name: "one")
    let inputs = types.enumerated().map { graph.addInput("x\($0.offset)", $0.element) }
    let result = try graph.addNode("one", op, inputs, stored: stored)
    graph.setOutputs([result])
    return try NNAPIModel(graph.nodes[0], in: graph)
  }

  @Test func `what an operation does otherwise than Pacer is refused, with the reason`() throws {
    func refusal(_ op: any Op, _ types: TensorType..., stored: StoredType? = nil) -> String? {
      do {
        _ = try operations(op, types, stored: stored)
        return nil
      } catch { return "\(error)" }
    }
    let ints = TensorType([4], .int32)
    #expect(refusal(Binary(.divide), ints, ints) == "DIV of integers rounds down, not towards zero")
    #expect(refusal(Binary(.add), ints, ints) == nil)
    #expect(refusal(Reshape(to: [2, 2]), ints) == "RESHAPE has no form for TENSOR_INT32")
    #expect(refusal(Reshape(to: [2, 2]), TensorType([4], .bool)) == "RESHAPE has no form for TENSOR_BOOL8")
    #expect(refusal(Activation(.relu), TensorType([0, 4])) == "NNAPI has no tensors without elements")
    #expect(refusal(Transpose([]), TensorType([])) == "TRANSPOSE has one axis at least")
    let image = TensorType([1, 2, 8, 8])
    let wide = Window(kernel: 2, stride: 1, padding: 2, dilation: 1)
    #expect(refusal(MaxPool2D(wide), image) == "MAX_POOL_2D has no windows wholly in padding")
    let filter = TensorType([2, 2, 1, 1])
    #expect(refusal(Conv2D(padding: 1), image, filter) == "CONV_2D is padded by less than its filter reaches")
    #expect(refusal(Conv2D(), image, filter) == nil)
    let words = TensorType([4], .int16, quantization: Quantization(scale: 1))
    #expect(
      refusal(Activation(.relu), words, stored: StoredType(.int16, scale: 1))
        == "RELU has no form for TENSOR_QUANT16_SYMM")
    #expect(
      refusal(ArgExtreme(.maximum, axis: 0), TensorType([4])) == "NNAPI has no tensors of int64, which places are here")
    // Of one element a step of any size leads nowhere.
    #expect(refusal(Slice([.init(axis: 3, start: 3, end: .max, step: .max)]), image) == nil)
    let bytes = TensorType([4], .int8, quantization: Quantization(scale: 1))
    #expect(
      refusal(Binary(.multiply), bytes, bytes, stored: StoredType(.int8, scale: 0.5))
        == "MUL of quantised tensors needs a result with a scale over the product of theirs")
    #expect(refusal(Binary(.multiply), bytes, bytes, stored: StoredType(.int8, scale: 2)) == nil)
  }

  @Test func `what is rounded before an activation or a residual holds all that it can be`() throws {
    let image = TensorType([1, 1, 2, 2], .int8, quantization: Quantization(scale: 1.0 / 128))
    let weight = TensorType([1, 1, 1, 1], .int8, quantization: Quantization(scale: 1))
    let bias = TensorType([1], .int32, quantization: Quantization(scale: 1.0 / 128))
    // A sum with a summand of ±1 is no further than 1 from what the activation changes at.
    for (function, least) in [(Epilogue.sigmoid, -9 as Float), (.hardSwish, -4), (.relu, -1)] {
      var graph = Graph(name: "one")
      let x = graph.addInput("x", image)
      let parameters = [
        graph.addConstant("w", try Tensor(quantized: weight.shape, [1], StoredType(.int8, scale: 1))),
        graph.addConstant("b", try Tensor(quantized: bias.shape, [0], StoredType(.int32, scale: 1.0 / 128))),
      ]
      let result = try graph.addNode(
        "one", Conv2D(epilogue: function), [x] + parameters + [x],
        stored: StoredType(.int8, scale: 1.0 / 256, zeroPoint: -128))
      graph.setOutputs([result])
      let model = try NNAPIModel(graph.nodes[0], in: graph)
      let sum = model.operands[model.operations[0].outputs[0]]
      #expect(model.operations[0].code == .conv2d && model.operations[1].code == .add)
      #expect(abs(sum.range.lowerBound - least) < 0.1, "\(function): \(sum.range)")
    }
    // Scales that no file should have are no reason to end.
    let huge = TensorType([4], .int8, quantization: Quantization(scale: 3e38))
    _ = try? operations(Binary(.add, epilogue: .relu), [huge, huge], stored: StoredType(.int8, scale: 3e38))
  }

  @Test func `what NNAPI cannot express stays with Pacer's processor, with the reason`() throws {
    var graph = Graph(name: "erf")
    let x = graph.addInput("x", TensorType([1, 4]))
    graph.setOutputs([try graph.addNode("relu", Activation(.relu), [try graph.addNode("erf", Unary(.erf), [x])])])
    let planned = try Placer(NNAPIBackend(), fallback: CPUBackend(), PrepareOptions()).plan(graph)
    #expect(planned.placement.map(\.backend) == ["cpu", "cpu-fast"])
    #expect(planned.placement[0].refusals.map(\.backend) == ["cpu-fast", "nnapi-reference"])
    #expect(planned.placement[0].refusals[0].reason == "NNAPI has no operation for erf")
    #expect(throws: Unsupported.self) { try Placer(NNAPIBackend(), PrepareOptions()).plan(graph) }
  }

  @Test func `limits of a profile are seen to, each with its reason`() throws {
    let graph = try branches()
    func reason(_ limits: DriverProfile.Limits, _ graph: Graph) throws -> String? {
      let profile = DriverProfile(
        "dsp", capabilities: Capabilities(others: .init(time: 0.1, power: 0.1)), limits: limits)
      let planned = try Placer(NNAPIBackend(drivers: [profile]), PrepareOptions()).plan(graph)
      return planned.placement.flatMap(\.refusals).first?.reason
    }
    #expect(try reason(.init(), graph) == nil)
    #expect(try reason(.init(operations: [.conv2d, .relu, .hardSwish]), graph) == "dsp has no ADD")
    #expect(try reason(.init(operandTypes: [.tensorQuant8Asymm]), graph) == "dsp has no TENSOR_FLOAT32")
    #expect(try reason(.init(maxRank: 3), graph) == "dsp takes 3 axes, not 4")
    #expect(try reason(.init(layout: .nhwc), graph) == "dsp takes images in nhwc, not in nchw")
    #expect(try reason(.init(maxNodes: 2), graph) == "dsp takes 2 nodes at most")
    #expect(try reason(.init(maxBatch: 1), graph.reshaped(inputs: [[2, 3, 8, 8]])) == "dsp takes batches of 1, not 2")
  }

  @Test func `IF and WHILE promise what their parts do`() throws {
    let placement = NNAPIBackend()
    var body = Graph(name: "body")
    let x = body.addInput("x", TensorType([1]))
    body.setOutputs([try body.addNode("y", Activation(.relu), [x])])
    var graph = Graph(name: "if")
    let condition = graph.addInput("c", TensorType([1], .bool))
    let value = graph.addInput("x", TensorType([1]))
    graph.setOutputs([
      try graph.addNode("if", If(then: GraphBody(body), otherwise: GraphBody(body)), [condition, value])
    ])
    let capabilities = Capabilities(others: .init(time: 0.5, power: 1), if: .init(time: 2, power: 1))
    // 2 + ½ (0.5 + 0.5)
    #expect(placement.performance(of: graph.nodes[0], in: graph, on: capabilities) == 2.5)
    #expect(placement.performance(of: body.nodes[0], in: body, on: capabilities) == 0.5)
  }
}
