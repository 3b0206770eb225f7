import GraphCore
import ModelZoo
import Pacer
import TensorCore
import Testing

@Suite struct QuantizeInt8Tests {
  private func quantised(
    _ model: ModelDescription, side: Int, _ options: QuantizeInt8.Options = .init(), passes: [any Pass] = standardPasses
  ) throws -> (plain: Graph, graph: Graph, input: Tensor) {
    let work = try ModelInput(model, shape: [1, 3, side, side])
    let target = try CPUBackend().target(PrepareOptions())
    let portable = Pipeline(standardPasses.filter { !$0.isForTarget }, checksNumbers: false)
    let graph = try Pipeline(passes.adding(portable: [QuantizeInt8(options)]), checksNumbers: false)
      .run(on: work.graph, for: target, samples: [[work.input]]).graph
    return (try portable.run(on: work.graph, for: target).graph, graph, work.input)
  }

  @Test(arguments: [ModelDescription.mobileNetV2, .resNet18])
  func `a network is quantised once, at its input, and gives numbers at its output`(_ model: ModelDescription) throws {
    let (_, graph, _) = try quantised(model, side: 64)
    #expect(graph.nodes.count { $0.op is Requantize } == 1)
    #expect(
      graph.nodes.count { $0.op is Binary } == 0,
      "\(graph.nodes.filter { $0.op is Binary }.map { node in (node.name, graph.inputTypes(of: node)) })")
    #expect(graph[graph.outputs[0]].type.dtype == .float32)
    for node in graph.nodes where graph.cost(of: node).macs > 0 {
      #expect(Node.sumsIntegers(node.op, graph.inputTypes(of: node)), "\(node.name)")
    }
  }

  /// A convolution of one channel to two, a clamp, an addition to itself, and a convolution behind.
  private func small() throws -> Graph {
    var graph = Graph(name: "small")
    let x = graph.addInput("x", TensorType([1, 1, 2, 2]))
    let first = graph.addConstant("w1", try Tensor([2, 1, 1, 1], [1, -0.25] as [Float]))
    let bias = graph.addConstant("b1", try Tensor([2], [0.5, 0] as [Float]))
    let y = try graph.addNode("first", Conv2D(epilogue: .relu), [x, first, bias])
    let z = try graph.addNode("twice", Binary(.add), [y, y])
    let second = graph.addConstant("w2", try Tensor([1, 2, 1, 1], [0.5, 0.25] as [Float]))
    graph.setOutputs([try graph.addNode("second", Conv2D(), [z, second])])
    return graph
  }

  @Test func `scales are those of the samples and the weights`() throws {
    var options = QuantizeInt8.Options()
    options.observer = .minMax
    let sample = try Tensor([1, 1, 2, 2], [-1, 0, 2, 4.1] as [Float])
    let target = try CPUBackend().target(PrepareOptions())
    let graph = try Pipeline([QuantizeInt8(options)], checksNumbers: false)
      .run(on: try small(), for: target, samples: [[sample]]).graph
    #expect(graph.nodes.map(\.name) == ["x.int8", "first", "twice", "second"])
    let narrow = graph[graph.nodes[0].outputs[0]].type
    #expect(narrow.quantization == Quantization(scale: Float(5.1) / 255, zeroPoint: 50))
    let weight = graph[graph.nodes[1].inputs[1]].type
    #expect(weight.dtype == .int8)
    #expect(weight.quantization == Quantization(scales: [Float(1) / 127, Float(0.25) / 127], axis: 0))
    #expect(try graph.data(of: graph.nodes[1].inputs[1])?.allIntegers() == [127, -127])
    let bias = try #require(graph.data(of: graph.nodes[1].inputs[2]))
    #expect(bias.type.dtype == .int32)
    #expect(try bias.allIntegers() == [Int64((0.5 / Double(bias.type.quantization!.scales[0])).rounded()), 0])
    // Both sides are the same convolution: it is rounded, as is the sum, to what it was seen to be.
    #expect(graph[graph.nodes[1].outputs[0]].type.quantization?.zeroPoints == [0])
    #expect((graph[graph.nodes[2].outputs[0]].type.quantization!.scales[0] - 9.2 / 255).magnitude < 1e-6)
    #expect(graph.nodes[3].stored == nil)
    let found = try graph.evaluate([sample])[0].values
    let expected = try small().evaluate([sample])[0].values
    for (a, b) in zip(found, expected) { #expect((a - b).magnitude < 0.04, "\(found) for \(expected)") }
  }

  @Test func `of seven bits no integer is above 127`() throws {
    var options = QuantizeInt8.Options()
    (options.activationBits, options.observer) = (7, .minMax)
    let (_, graph, input) = try quantised(
      .mobileNetV2, side: 32, options, passes: standardPasses.filter { !$0.isForTarget })
    var count = 0
    _ = try graph.evaluate([input]) { node, outputs in
      guard outputs[0].type.dtype == .uint8 else { return }
      count += 1
      // What is not among the samples may be above; this is the sample, a little off from layer to layer.
      #expect((try? outputs[0].allIntegers().max()) ?? 999 <= 140, "\(node.name)")
    }
    #expect(count > 50)
  }

  @Test func `weights of seven bits are within 64, but for depthwise filters`() throws {
    var options = QuantizeInt8.Options()
    (options.weightBits, options.observer) = (7, .minMax)
    let (_, graph, _) = try quantised(
      .mobileNetV2, side: 32, options, passes: standardPasses.filter { !$0.isForTarget })
    var largest: [Bool: Int64] = [:]
    for node in graph.nodes where Node.sumsIntegers(node.op, graph.inputTypes(of: node)) {
      let weight = try #require(graph.data(of: node.inputs[1]))
      let isDepthwise = (node.op as? Conv2D)?.isDepthwise(graph[node.inputs[0]].type.shape, weight.shape) == true
      largest[isDepthwise] = max(largest[isDepthwise] ?? 0, try weight.allIntegers().map(abs).max() ?? 0)
    }
    #expect(largest == [false: 64, true: 127])
  }

  @Test func `layers that are kept stay in float32, and the rest is closer for it`() throws {
    let portable = standardPasses.filter { !$0.isForTarget }
    let (plain, all, input) = try quantised(.resNet18, side: 32, passes: portable)
    let expected = try plain.evaluate([input])[0]
    let error = try all.evaluate([input])[0].relativeError(to: expected)
    #expect(error > 0 && error < 0.3)
    var options = QuantizeInt8.Options()
    options.kept = Set(plain.nodes.map(\.name).filter { !$0.hasPrefix("fc") })
    let (_, most, _) = try quantised(.resNet18, side: 32, options, passes: portable)
    let products = most.nodes.filter { most.cost(of: $0).macs > 0 }
    #expect(products.count { Node.sumsIntegers($0.op, most.inputTypes(of: $0)) } == 1)
    #expect(try most.evaluate([input])[0].relativeError(to: expected) < error)
    options.kept = ["no such node"]
    #expect(throws: UnknownName.self) { try quantised(.resNet18, side: 32, options, passes: portable) }
    options.kept = Set(plain.nodes.map(\.name))
    let (_, none, _) = try quantised(.resNet18, side: 32, options, passes: portable)
    #expect(try none.evaluate([input])[0].values == expected.values)
  }

  @Test func `functions that are more than limits become tables`() throws {
    var graph = Graph(name: "swish")
    let x = graph.addInput("x", TensorType([1, 4, 5, 5]))
    let w = graph.addConstant("w", try Tensor([4, 4, 1, 1], (0..<16).map { Float($0 % 5) / 4 - 0.4 }))
    let y = try graph.addNode("first", Conv2D(epilogue: .hardSwish), [x, w])
    graph.setOutputs([try graph.addNode("second", Conv2D(), [y, w])])
    let target = try CPUBackend().target(PrepareOptions())
    let (found, _) = try Pipeline([QuantizeInt8(), ChannelsLast(), PrepackWeights()]).run(on: graph, for: target)
    let kernels = try CPUBackend().prepare(found, PrepareOptions()).placement.map(\.kernel)
    #expect(kernels.contains("lookup"), "\(kernels)")
    #expect(!kernels.contains("reference"), "\(kernels)")
  }

  /// A graph of convolutions on `[1, 4, 8, 8]`.
  private struct Odd {
    var graph = Graph(name: "odd")
    let x: ValueID
    init() { x = graph.addInput("x", TensorType([1, 4, 8, 8])) }

    mutating func weight(_ shape: Shape) throws -> ValueID {
      let values = (0..<shape.count).map { Float(($0 * 31) % 17 - 8) / 20 }
      return graph.addConstant("w\(graph.values.count)", try Tensor(shape, values))
    }
    mutating func conv(_ name: String, _ input: ValueID, channels: Int = 4, _ epilogue: Epilogue? = nil) throws
      -> ValueID
    {
      let weight = try weight([4, channels, 1, 1])
      return try graph.addNode(name, Conv2D(epilogue: epilogue), [input, weight])
    }
    mutating func add(_ name: String, _ op: any Op, _ inputs: ValueID...) throws -> ValueID {
      try graph.addNode(name, op, inputs)
    }
  }

  /// Graphs that int8 has to leave as they are on the outside.
  private func odd(_ build: (inout Odd) throws -> [ValueID]) throws -> Graph {
    var odd = Odd()
    let outputs = try build(&odd)
    odd.graph.setOutputs(outputs)
    return odd.graph
  }

  @discardableResult
  private func checkQuantised(_ graph: Graph, kept: Set<String> = []) throws -> Graph {
    let target = try CPUBackend().target(PrepareOptions())
    var options = QuantizeInt8.Options()
    options.kept = kept
    let passes = standardPasses.adding(portable: [QuantizeInt8(options)])
    let input = try Tensor([1, 4, 8, 8], (0..<256).map { Float(($0 * 7) % 23 - 11) / 5 })
    let (found, _) = try Pipeline(passes, checksNumbers: false).run(on: graph, for: target, samples: [[input]])
    #expect(found.outputs.map { found[$0].type } == graph.outputs.map { graph[$0].type })
    #expect(found.nodes.contains { Node.sumsIntegers($0.op, found.inputTypes(of: $0)) })
    let executable = try CPUBackend().prepare(found, PrepareOptions())
    #expect(!executable.placement.contains { $0.kernel == "reference" }, "\(executable.placement)")
    let session = try executable.makeSession()
    try session.run(with: [input])
    for (a, b) in zip(session.outputs, try graph.evaluate([input])) {
      #expect(a.actual.relativeError(to: try b.converted(to: a.format)) < 0.3)
    }
    return found
  }

  @Test func `what is concatenated is rounded as the whole`() throws {
    let graph = try odd { graph in
      let first = try graph.conv("first", graph.x, .relu)
      let alone = try graph.conv("alone", first)
      let pooled = try graph.add("pool", MaxPool2D(Window(kernel: 3, stride: 1, padding: 1)), first)
      let inner = try graph.add("inner", Concat(axis: 1), alone, pooled, first)
      let last = try graph.conv("last", inner, channels: 12)
      let outer = try graph.add("outer", Concat(axis: 1), inner, last, last)
      return [
        try graph.conv("end", try graph.add("pool2", MaxPool2D(Window(kernel: 2, stride: 2)), outer), channels: 20)
      ]
    }
    let found = try checkQuantised(graph)
    let types = Dictionary(uniqueKeysWithValues: found.nodes.map { ($0.name, found[$0.outputs[0]].type) })
    for name in ["inner", "outer"] { #expect(types[name]?.dtype == .uint8, "\(found)") }
    // One by its convolution itself; what has other readers is put from one scale into another.
    #expect(types["alone"]?.quantization == types["inner"]?.quantization)
    let parts = found.nodes.filter { $0.op is Requantize }.map(\.name)
    #expect(parts == ["x.int8", "pool.inner", "first.inner", "inner.outer", "last.outer"], "\(parts)")
    // Of a whole that numbers are wanted of, nothing: by the graph's reader, by what computes no integers, by a layer that is kept.
    let readers: [(op: (any Op)?, kept: Set<String>)] = [(nil, []), (Softmax(axis: 1), []), (Conv2D(), ["reader"])]
    for (reader, kept) in readers {
      let graph = try odd { graph in
        let one = try graph.conv("one", graph.x, .relu)
        let two = try graph.conv("two", graph.x)
        let whole = try graph.add("whole", Concat(axis: 1), one, two)
        let three = try graph.conv("three", whole, channels: 8)
        guard let reader else { return [three, whole] }
        let weight = reader is Conv2D ? [try graph.weight([4, 8, 1, 1])] : []
        return [three, try graph.graph.addNode("reader", reader, [whole] + weight)]
      }
      let found = try checkQuantised(graph, kept: kept)
      let wholes = found.nodes.filter { $0.op is Concat }.map { found[$0.outputs[0]].type.dtype }
      #expect(wholes == [DType.float32], "\(found)")
    }
    // One that is kept itself, and a part that is known.
    let known = try checkQuantised(
      try odd { graph in
        let one = try graph.conv("one", graph.x, .relu)
        let constant = graph.graph.addConstant("part", try Tensor([1, 4, 8, 8], (0..<256).map { Float($0 % 9) / 3 }))
        let whole = try graph.add("whole", Concat(axis: 1), one, constant)
        let kept = try graph.add("kept", Concat(axis: 1), one, one)
        return [
          try graph.conv("three", whole, channels: 8), try graph.conv("four", kept, channels: 8),
        ]
      }, kept: ["kept"])
    let kinds = known.nodes.filter { $0.op is Concat }.map { ($0.name, known[$0.outputs[0]].type.dtype) }
    #expect(kinds.contains { $0 == ("whole", .uint8) } && kinds.contains { $0 == ("kept", .float32) }, "\(known)")
  }

  @Test func `integers do not leak out of what int8 is for`() throws {
    // A skip connection that is joined to numbers.
    try checkQuantised(
      try odd { graph in
        let y = try graph.conv("first", graph.x)
        let z = try graph.conv("second", y, .relu)
        let s = try graph.add("up", Softmax(axis: 1), z)
        let joined = try graph.add("join", Concat(axis: 1), y, s)
        return [try graph.conv("third", joined, channels: 8)]
      })
    // Outputs of the graph that something else reads too, and that are views of what is quantised.
    try checkQuantised(
      try odd { graph in
        let y = try graph.conv("first", graph.x)
        let flat = try graph.add("flat", Reshape.flatten, y)
        let pooled = try graph.add("pool", MaxPool2D(Window(kernel: 2, stride: 2)), y)
        return [flat, pooled, try graph.conv("second", pooled)]
      })
    // A residual that nothing makes integers of.
    try checkQuantised(
      try odd { graph in
        let y = try graph.conv("first", graph.x)
        return [try graph.add("add", Binary(.add), graph.x, y)]
      })
    // Two activations, of which a reader of both comes before another of one.
    try checkQuantised(
      try odd { graph in
        let one = try graph.conv("one", graph.x, .silu)
        let two = try graph.conv("two", graph.x, .silu)
        let joined = try graph.add("join", Concat(axis: 1), one, two)
        return [joined, try graph.conv("three", two)]
      })
  }

  @Test func `a bias that its weights are too small for is still told`() throws {
    var graph = Graph(name: "dead")
    let x = graph.addInput("x", TensorType([1, 2, 2, 2]))
    let w = graph.addConstant("w", try Tensor([3, 2, 1, 1], [1e-7, 0, 0, 0, 1, -1] as [Float]))
    let b = graph.addConstant("b", try Tensor([3], [0.5, 0.4, 0.25] as [Float]))
    graph.setOutputs([try graph.addNode("conv", Conv2D(), [x, w, b])])
    let target = try CPUBackend().target(PrepareOptions())
    let input = try Tensor([1, 2, 2, 2], [0, 2, 1, -1, 0.5, 1, 2, -2] as [Float])
    let found = try Pipeline([QuantizeInt8()], checksNumbers: false)
      .run(on: graph, for: target, samples: [[input]]).graph
    for (a, b) in zip(try found.evaluate([input])[0].values, try graph.evaluate([input])[0].values) {
      #expect((a - b).magnitude < 0.03, "\(a) for \(b)")
    }
  }

  @Test func `weights that are no numbers are an error`() throws {
    var graph = Graph(name: "nan")
    let x = graph.addInput("x", TensorType([1, 2, 2, 2]))
    let w = graph.addConstant("w", try Tensor([1, 2, 1, 1], [1, 1] as [Float]))
    let b = graph.addConstant("b", try Tensor([1], [Float.nan]))
    graph.setOutputs([try graph.addNode("conv", Conv2D(), [x, w, b])])
    let target = try CPUBackend().target(PrepareOptions())
    #expect(throws: GraphError.self) {
      try Pipeline([QuantizeInt8()], checksNumbers: false).run(on: graph, for: target)
    }
  }

  @Test func `a sample that is no number here and there moves no bias`() throws {
    var graph = Graph(name: "nan")
    let x = graph.addInput("x", TensorType([1, 2, 2, 2]))
    let w = graph.addConstant("w", try Tensor([2, 2, 1, 1], [1, 0.3, -0.7, 0.1] as [Float]))
    graph.setOutputs([try graph.addNode("conv", Conv2D(), [x, w])])
    let target = try CPUBackend().target(PrepareOptions())
    let sample = try Tensor([1, 2, 2, 2], [0, 2, .nan, -1, 0.5, .infinity, 2, -.infinity] as [Float])
    let input = try Tensor([1, 2, 2, 2], [0, 2, 1, -1, 0.5, 1, 2, -1] as [Float])
    let found = try Pipeline([QuantizeInt8()], checksNumbers: false)
      .run(on: graph, for: target, samples: [[sample]]).graph
    for (a, b) in zip(try found.evaluate([input])[0].values, try graph.evaluate([input])[0].values) {
      #expect((a - b).magnitude < 0.05, "\(a) for \(b)")
    }
  }

  @Test func `ranges`() throws {
    // A bell with one value far away.
    var values = (1...20_000).map { i in
      let u = (Float(i) - 0.5) / 20_000
      return 2 * (u - 0.5) / (1 - (2 * u - 1).magnitude).squareRoot() * 0.5
    }
    values.append(400)
    var histogram = Histogram(values.min()!...values.max()!)
    histogram.add(values)
    func error(_ range: ClosedRange<Float>) -> Double {
      let stored = StoredType(
        .uint8, scale: (max(range.upperBound, 0) - min(range.lowerBound, 0)) / 255,
        zeroPoint: Int32(
          (-min(range.lowerBound, 0) / ((max(range.upperBound, 0) - min(range.lowerBound, 0)) / 255)).rounded()))
      let tensor = try! Tensor([values.count], values)
      let rounded = try! tensor.stored(as: stored).values
      return zip(values, rounded).reduce(0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
    }
    let all = RangeObserver.minMax.range(of: histogram, levels: 255)
    #expect(all == values.min()!...values.max()!)
    let most = RangeObserver.percentile.range(of: histogram, levels: 255)
    #expect(most.upperBound < 400 && most.lowerBound >= all.lowerBound)
    let closest = RangeObserver.histogram.range(of: histogram, levels: 255)
    #expect(error(closest) <= error(all) && error(closest) <= error(most) * 1.5)
    var constant = Histogram(3...3)
    constant.add([3, 3, 3])
    for observer in RangeObserver.allCases { #expect(observer.range(of: constant, levels: 255) == 3...3) }
  }

  @Test func `biases make good what rounded weights move means by`() throws {
    // Weights of which each is rounded up by nearly half a step, and inputs that are nowhere near zero.
    var graph = Graph(name: "biased")
    let x = graph.addInput("x", TensorType([1, 8, 6, 6]))
    let step: Float = 1 / 127
    let values = (0..<16).map { $0 % 8 == 0 ? Float(1) : step * (Float($0 % 8) * 3 - 0.45) }
    let w = graph.addConstant("w", try Tensor([2, 8, 1, 1], values))
    graph.setOutputs([try graph.addNode("conv", Conv2D(), [x, w])])
    let input = try Tensor([1, 8, 6, 6], (0..<288).map { 2 + Float(($0 * 31) % 64) / 64 })
    let target = try CPUBackend().target(PrepareOptions())
    func shift(_ isOn: Bool) throws -> Float {
      var options = QuantizeInt8.Options()
      options.correctsBias = isOn
      let found = try Pipeline([QuantizeInt8(options)], checksNumbers: false)
        .run(on: graph, for: target, samples: [[input]]).graph
      #expect(found.nodes.last?.inputs.count == (isOn ? 3 : 2))
      let pairs = zip(try found.evaluate([input])[0].values, try graph.evaluate([input])[0].values)
      return pairs.reduce(0) { $0 + $1.0 - $1.1 } / 72
    }
    let (with, without) = (try shift(true), try shift(false))
    // 7 weights, 0.45 of a step each, times 2.5.
    #expect((without - 7 * 0.45 * step * 2.5).magnitude < 0.01, "\(without)")
    #expect(with.magnitude < 0.002, "\(with)")
  }
}
