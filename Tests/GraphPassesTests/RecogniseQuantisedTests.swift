import GraphCore
import Pacer
import TensorCore
import Testing

/// A graph as files write it, with integers and scales beside them.
private struct FileGraph {
  var graph = Graph(name: "file")
  private var count = 0

  mutating func constant(_ tensor: Tensor) -> ValueID {
    count += 1
    return graph.addConstant("c\(count)", tensor)
  }
  mutating func grid(_ scale: Float, _ zero: Int64, _ dtype: DType) throws -> [ValueID] {
    [constant(try Tensor([], [scale])), constant(try Tensor([], [zero], dtype))]
  }
  mutating func quantise(_ name: String, _ x: ValueID, _ scale: Float, _ zero: Int64, _ dtype: DType = .uint8) throws
    -> ValueID
  {
    try graph.addNode(name, QuantizeLinear(to: dtype), [x] + grid(scale, zero, dtype))
  }
  mutating func dequantise(_ name: String, _ x: ValueID, _ scale: Float, _ zero: Int64, _ dtype: DType = .uint8) throws
    -> ValueID
  {
    try graph.addNode(name, DequantizeLinear(), [x] + grid(scale, zero, dtype))
  }
  /// Rounded to integers and back, as a file has it between two ops.
  mutating func rounded(_ name: String, _ x: ValueID, _ scale: Float, _ zero: Int64, _ dtype: DType = .uint8) throws
    -> ValueID
  {
    try dequantise(name + ".dq", try quantise(name + ".q", x, scale, zero, dtype), scale, zero, dtype)
  }
  static func integers(_ shape: Shape, _ dtype: DType = .int8) throws -> Tensor {
    try Tensor(shape, (0..<shape.count).map { Int64(($0 * 37) % 255) - 127 }, dtype)
  }
  /// Weights with a scale for each output, and a bias of the products' scales.
  mutating func weights(_ name: String, _ shape: Shape, input: Float, axis: Int = 0) throws -> [ValueID] {
    let scales = (0..<shape[axis]).map { Float($0 + 1) / 900 }
    let weight = try graph.addNode(
      name + ".w", DequantizeLinear(axis: axis),
      [
        constant(try Self.integers(shape)), constant(try Tensor([scales.count], scales)),
        constant(try Tensor([scales.count], [Int64](repeating: 0, count: scales.count), .int8)),
      ])
    let bias = try graph.addNode(
      name + ".b", DequantizeLinear(),
      [
        constant(try Tensor([scales.count], (0..<scales.count).map { Int64($0 * 300 - 700) }, .int32)),
        constant(try Tensor([scales.count], scales.map { $0 * input })),
      ])
    return [weight, bias]
  }
}

@Suite struct RecogniseQuantisedTests {
  private let input = try! Tensor([1, 4, 9, 7], (0..<252).map { Float(($0 * 29) % 97 - 40) / 31 })

  /// - Returns: the graph behind the pass alone, and behind all.
  private func recognised(_ graph: Graph) throws -> (alone: Graph, all: Graph) {
    let target = try CPUBackend().target(PrepareOptions())
    let alone = try Pipeline([RecogniseQuantised()]).run(on: graph, for: target).graph
    return (alone, try Pipeline(standardPasses).run(on: graph, for: target).graph)
  }

  /// - Parameter plain: whether plain integers are outputs, which ops' own loops make.
  private func check(
    _ graph: Graph, tolerance: Double, kernels wanted: [String], plain: Bool = false
  ) throws -> Graph {
    let (alone, all) = try recognised(graph)
    #expect(alone.outputs.map { alone[$0].type } == graph.outputs.map { graph[$0].type })
    let expected = try graph.evaluate([input])
    for (a, b) in zip(try alone.evaluate([input]), expected) { #expect(a.relativeError(to: b) <= tolerance) }
    let executable = try CPUBackend().prepare(all, PrepareOptions())
    let kernels = executable.placement.map(\.kernel)
    let slow = zip(all.nodes, kernels).filter { node, kernel in
      kernel == "reference" && !(plain && node.op is QuantizeLinear)
    }
    #expect(slow.isEmpty, "\(slow.map(\.0.name))")
    for name in wanted { #expect(kernels.contains { $0.hasPrefix(name) }, "no \(name) in \(kernels)") }
    let session = try executable.makeSession()
    try session.run(with: [input])
    // What kernels compute of integers is that, to the bit.
    for (a, b) in zip(session.outputs, try all.evaluate([input])) {
      #expect(a.actual.relativeError(to: try b.converted(to: a.format)) < 1e-6)
    }
    return alone
  }

  @Test(arguments: [DType.uint8, .int8])
  func `a network of QDQ computes on integers`(_ dtype: DType) throws {
    // The same numbers, whichever integers stand for them.
    func zero(_ point: Int64) -> Int64 { dtype == .int8 ? point - 128 : point }
    var file = FileGraph()
    let x = file.graph.addInput("x", TensorType([1, 4, 9, 7]))
    let a = try file.rounded("x", x, 0.015, zero(90), dtype)
    let conv = try file.graph.addNode(
      "conv", Conv2D(padding: 1), [a] + file.weights("conv", [8, 4, 3, 3], input: 0.015))
    let clamped = try file.graph.addNode("clamp", Activation(.relu6), [conv])
    let b = try file.rounded("clamp", clamped, 0.02, zero(0), dtype)
    let depthwise = try file.graph.addNode(
      "depthwise", Conv2D(padding: 1, groups: 8), [b] + file.weights("depthwise", [8, 1, 3, 3], input: 0.02))
    let c = try file.rounded("depthwise", depthwise, 0.05, zero(128), dtype)
    let sum = try file.graph.addNode("add", Binary(.add), [b, c])
    let d = try file.rounded("add", sum, 0.06, zero(120), dtype)
    let pooled = try file.rounded(
      "pool", try file.graph.addNode("pool", GlobalAveragePool(), [d]), 0.03, zero(100), dtype)
    let flat = try file.rounded(
      "flat", try file.graph.addNode("flat", Reshape.flatten, [pooled]), 0.03, zero(100), dtype)
    let last = try file.graph.addNode("fc", Linear(), [flat] + file.weights("fc", [5, 8], input: 0.03))
    file.graph.setOutputs([try file.rounded("fc", last, 0.02, zero(110), dtype)])
    // A number now and then is the next one.
    let found = try check(
      file.graph, tolerance: 0.05, kernels: ["conv-dots", "depthwise-dots", "pool-bytes", "linear-dots"])
    let names = found.nodes.map(\.name)
    #expect(names == ["x.q.stored", "conv", "depthwise", "add", "pool", "flat", "fc", "fc.dq"], "\(names)")
    #expect(!found.nodes.contains { $0.op is QuantizeLinear || $0.op is DequantizeLinear })
    #expect(found[found.nodes[1].outputs[0]].type.quantization == Quantization(scale: 0.02, zeroPoint: 0))
    #expect((found.nodes[1].op as? Conv2D)?.epilogue == .relu6)
  }

  @Test func `parts of a concatenation are rounded as the file rounds the whole`() throws {
    var file = FileGraph()
    let x = file.graph.addInput("x", TensorType([1, 4, 9, 7]))
    let a = try file.rounded("x", x, 0.015, 90)
    let conv = try file.graph.addNode("conv", Conv2D(), [a] + file.weights("conv", [4, 4, 1, 1], input: 0.015))
    let b = try file.rounded("conv", conv, 0.02, 100)
    let whole = try file.rounded("whole", try file.graph.addNode("whole", Concat(axis: 1), [b, a, b]), 0.02, 100)
    let last = try file.graph.addNode("last", Conv2D(), [whole] + file.weights("last", [5, 12, 1, 1], input: 0.02))
    file.graph.setOutputs([try file.rounded("last", last, 0.02, 110)])
    let found = try check(file.graph, tolerance: 0.05, kernels: ["pointwise-dots", "lookup", "move"])
    let names = found.nodes.map(\.name)
    #expect(names == ["x.q.stored", "conv", "x.dq.whole", "whole", "last", "last.dq"], "\(names)")
  }

  @Test func `a whole that is rounded in two ways, or an output, stays in numbers`() throws {
    for isOutput in [false, true] {
      var file = FileGraph()
      let x = file.graph.addInput("x", TensorType([1, 4, 9, 7]))
      let a = try file.rounded("x", x, 0.015, 90)
      let whole = try file.graph.addNode("whole", Concat(axis: 1), [a, a])
      let one = try file.rounded("one", whole, 0.02, 100)
      let other = isOutput ? whole : try file.rounded("other", whole, 0.03, 100)
      let last = try file.graph.addNode("last", Conv2D(), [one] + file.weights("last", [5, 8, 1, 1], input: 0.02))
      file.graph.setOutputs([last, other])
      let found = try check(file.graph, tolerance: 0.05, kernels: ["pointwise-dots"])
      let types = found.nodes.filter { $0.op is Concat }.map { found[$0.outputs[0]].type.dtype }
      #expect(types == [DType.float32], "\(found)")
    }
  }

  @Test func `QLinearConv and QLinearMatMul give the same integers`() throws {
    var file = FileGraph()
    let x = file.graph.addInput("x", TensorType([1, 4, 9, 7]))
    let q = try file.quantise("x", x, 0.015, 90)
    let scales = (0..<6).map { Float($0 + 1) / 900 }
    let conv = try file.graph.addNode(
      "conv", QLinearConv(WindowND(Window(kernel: 3, stride: 2, padding: 1))),
      [q] + file.grid(0.015, 90, .uint8) + [
        file.constant(try FileGraph.integers([6, 4, 3, 3])), file.constant(try Tensor([6], scales)),
        file.constant(try Tensor([6], [Int64](repeating: 0, count: scales.count), .int8)),
      ] + file.grid(0.04, 131, .uint8) + [
        file.constant(try Tensor([6], [-900, 0, 17, 400, 90_000, -1] as [Int64], .int32))
      ])
    let numbers = try file.dequantise("numbers", conv, 0.04, 131)
    let rows = try file.rounded(
      "rows", try file.graph.addNode("rows", Reshape(to: [1, 120]), [numbers]), 0.04, 131)
    let again = try file.quantise("again", rows, 0.04, 131)
    let product = try file.graph.addNode(
      "matmul", QLinearMatMul(),
      [again] + file.grid(0.04, 131, .uint8) + [file.constant(try FileGraph.integers([120, 5]))]
        + file.grid(0.003, 0, .int8) + file.grid(0.3, 120, .uint8))
    file.graph.setOutputs([try file.dequantise("product", product, 0.3, 120), numbers])
    let found = try check(file.graph, tolerance: 0, kernels: ["conv-dots", "linear-dots"])
    #expect(found.nodes.contains { $0.op is Conv2D } && found.nodes.contains { $0.op is Linear })
    #expect(!found.nodes.contains { $0.op is QLinearConv || $0.op is QLinearMatMul })
  }

  @Test func `what is no such network stays as it is`() throws {
    var file = FileGraph()
    let x = file.graph.addInput("x", TensorType([1, 4, 9, 7]))
    // Two scales that differ, a convolution of numbers with weights of integers, 16 bits, an unknown scale.
    let other = try file.dequantise("other", try file.quantise("q", x, 0.015, 90), 0.02, 90)
    let conv = try file.graph.addNode("conv", Conv2D(), [other] + file.weights("conv", [4, 4, 1, 1], input: 0.02))
    let wide = try file.rounded("wide", conv, 0.001, 30_000, .uint16)
    let scale = try file.graph.addNode("scale", Reduce(.maximum, axes: [0, 1, 2, 3], keepsAxes: false), [wide])
    let learned = try file.graph.addNode("learned", QuantizeLinear(to: .uint8), [wide, scale])
    file.graph.setOutputs([try file.graph.addNode("numbers", DequantizeLinear(), [learned, scale]), conv])
    let (alone, _) = try recognised(file.graph)
    for (a, b) in zip(try alone.evaluate([input]), try file.graph.evaluate([input])) { #expect(a.values == b.values) }
    #expect(alone.nodes.count { $0.op is DequantizeLinear } == file.graph.nodes.count { $0.op is DequantizeLinear })
  }

  @Test func `integers that something else reads are there as numbers`() throws {
    var file = FileGraph()
    let x = file.graph.addInput("x", TensorType([1, 4, 9, 7]))
    let a = try file.rounded("x", x, 0.015, 90)
    let conv = try file.graph.addNode("conv", Conv2D(), [a] + file.weights("conv", [4, 4, 1, 1], input: 0.015))
    let joined = try file.graph.addNode("join", Concat(axis: 1), [a, try file.rounded("conv", conv, 0.02, 100)])
    let soft = try file.graph.addNode("soft", Softmax(axis: 1), [joined])
    let pooled = try file.graph.addNode("pool", MaxPool2D(Window(kernel: 2, stride: 2)), [a])
    file.graph.setOutputs([soft, pooled, try file.graph.addNode("flat", Reshape.flatten, [a])])
    _ = try check(file.graph, tolerance: 0.05, kernels: ["pointwise-dots"])
  }

  @Test func `nothing is computed twice, nor without a kernel`() throws {
    var file = FileGraph()
    let x = file.graph.addInput("x", TensorType([1, 4, 9, 7]))
    let a = try file.rounded("x", x, 0.015, 90)
    // A depthwise convolution of which more than limits is rounded, and one whose integers are an output.
    let depthwise = try file.graph.addNode(
      "swish", Conv2D(padding: 1, groups: 4), [a] + file.weights("swish", [4, 1, 3, 3], input: 0.015))
    let b = try file.rounded("b", try file.graph.addNode("act", Activation(.hardSwish), [depthwise]), 0.03, 30)
    let other = try file.graph.addNode(
      "other", Conv2D(padding: 1, groups: 4), [b] + file.weights("other", [4, 1, 3, 3], input: 0.03))
    let integers = try file.quantise("c", other, 0.03, 100, .uint8)
    let c = try file.dequantise("c.dq", integers, 0.03, 100)
    // Rounded twice to the same, pooled between.
    let conv = try file.graph.addNode("conv", Conv2D(), [c] + file.weights("conv", [4, 4, 1, 1], input: 0.03))
    let d = [try file.rounded("d", conv, 0.05, 128), try file.rounded("e", conv, 0.05, 128)]
    let sum = try file.rounded("sum", try file.graph.addNode("sum", Binary(.add), d), 0.1, 128)
    let pooled = try file.graph.addNode("pool", MaxPool2D(Window(kernel: 2, stride: 2)), [sum])
    // To another scale, without a float in between.
    let rescaled = try file.rounded("again", try file.rounded("pool", pooled, 0.1, 128), 0.2, 120)
    // Plain integers, in another order.
    let flat = try file.graph.addNode("flat", Reshape.flatten, [try file.quantise("last", rescaled, 0.2, 120)])
    let product = try file.graph.addNode(
      "matmul", QLinearMatMul(),
      [flat] + file.grid(0.2, 120, .uint8) + [file.constant(try FileGraph.integers([48, 5]))]
        + file.grid(0.003, 0, .int8) + file.grid(0.9, 120, .int8))
    file.graph.setOutputs([integers, flat, product, try file.dequantise("product", product, 0.9, 120, .int8)])
    let found = try check(
      file.graph, tolerance: 0.05, kernels: ["pointwise-dots", "pool-bytes", "linear-dots"], plain: true)
    #expect(found.nodes.count { $0.op is Conv2D } == 3 && found.nodes.count { $0.op is Linear } == 1)
    #expect(!found.nodes.contains { $0.op is QLinearMatMul })
    #expect(found.outputs.map { found[$0].type.dtype } == [.uint8, .uint8, .int8, .float32])
  }

  @Test func `a bias that integers cannot tell stays a number`() throws {
    var file = FileGraph()
    let x = file.graph.addInput("x", TensorType([1, 4, 9, 7]))
    let a = try file.rounded("x", x, 0.015, 90)
    let weight = try file.graph.addNode(
      "w", DequantizeLinear(axis: 0),
      [
        file.constant(try FileGraph.integers([2, 4, 1, 1])), file.constant(try Tensor([2], [0.01, 1.2e-7] as [Float])),
      ])
    let bias = file.constant(try Tensor([2], [0.5, 6] as [Float]))
    let conv = try file.graph.addNode("conv", Conv2D(), [a, weight, bias])
    file.graph.setOutputs([try file.rounded("y", conv, 0.05, 10)])
    _ = try check(file.graph, tolerance: 0.05, kernels: [])
  }
}
