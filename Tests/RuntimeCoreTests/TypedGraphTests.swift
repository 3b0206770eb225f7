import GraphCore
import Pacer
import RuntimeCore
import TensorCore
import TestSupport
import Testing

/// Cuts its input into two along the first axis.
private struct Halves: Op {
  static let name = "halves"
  var elementTypes: ElementTypes { .any }
  func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    guard inputs.count == 1, inputs[0].shape.rank > 0, inputs[0].shape[0] % 2 == 0 else {
      throw GraphError("no halves")
    }
    var half = inputs[0]
    half.shape.extents[0] /= 2
    return [half, half]
  }
  func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let type = try outputTypes(for: inputs.map(\.type))[0]
    return try (0..<2).map { part in
      let tensor = try Tensor(uninitialized: type)
      tensor.storage.pointer.copyMemory(
        from: inputs[0].storage.pointer + part * type.byteCount, byteCount: type.byteCount)
      return tensor
    }
  }
}

private let hasVulkan = if case .available = VulkanBackend().availability() { true } else { false }

@Suite struct TypedGraphTests {
  @Test func `ops that compute on floats refuse everything else, by name`() throws {
    for dtype in [DType.int8, .float64] {
      let type = TensorType([1, 4, 2, 2], dtype)
      let small = TensorType([4], dtype)
      for (op, inputs) in [
        (Activation(.relu), [type]), (MaxPool2D(Window(kernel: 2)), [type]),
        (GlobalAveragePool(), [type]), (Conv2D(groups: 4), [type, type, small]),
        (Linear(), [TensorType([1, 4], dtype), small]),
        (BatchNorm(), [type, small, small, small, small]),
      ] as [(any Op, [TensorType])] {
        var graph = Graph(name: "typed")
        let ids = inputs.enumerated().map { graph.addInput("x\($0)", $1) }
        #expect("\(op)") { try graph.addNode("node", op, ids) } throws: { error in
          "\(error)".contains("\(op.name) computes on f32")
        }
      }
    }
  }

  @Test func `integers that stand for numbers run wherever nodes are placed, to the same bits`() throws {
    var graph = Graph(name: "quantised")
    let stored = StoredType(.uint8, scale: 0.1, zeroPoint: 100)
    let x = graph.addInput("x", stored.type(of: TensorType([1, 3, 6, 6])))
    func weight(_ name: String, _ shape: Shape) throws -> ValueID {
      graph.addConstant(
        name,
        try Tensor(
          quantized: shape, (0..<shape.count).map { Int64($0 * 37 % 255 - 127) }, StoredType(.int8, scale: 0.01)))
    }
    let first = try graph.addNode("first", Conv2D(padding: 1), [x, weight("w", [4, 3, 3, 3])], stored: stored)
    let norm = try (0..<4).map { try graph.addConstant("n\($0)", Tensor([4], [1, 2, 0.5, 3])) }
    let scaled = try graph.addNode("norm", BatchNorm(), [first] + norm, stored: stored)
    let active = try graph.addNode("active", Activation(.hardSwish), [scaled], stored: stored)
    let sum = try graph.addNode("sum", Binary(.add), [active, first], stored: stored)
    let flat = try graph.addNode(
      "flat", Reshape.flatten, [graph.addNode("pool", GlobalAveragePool(), [sum], stored: stored)])
    graph.setOutputs([try graph.addNode("head", Linear(), [flat, weight("m", [2, 4])]), sum])
    let input = try Tensor(quantized: [1, 3, 6, 6], (0..<108).map { Int64($0 * 53 % 256) }, stored)
    let expected = try graph.evaluate([input])
    var backends: [any Backend] = [CPUBackend(), CPUBackend(kernels: .reference)]
    if hasVulkan { backends.append(VulkanBackend()) }
    for backend in backends {
      for passes in [[], standardPasses] {
        let placer = try Placer(backend, fallback: backend is CPUBackend ? nil : CPUBackend(), PrepareOptions())
        let optimised = try Pipeline(passes).run(on: graph, for: placer).graph
        let session = try placer.prepare(optimised).makeSession()
        session.inputs[0].write(input)
        try session.run()
        #expect(session.failure == nil)
        #expect(try session.outputs[1].actual.allIntegers() == expected[1].allIntegers(), "\(backend.name)")
        for (a, b) in zip(session.outputs[0].values, expected[0].values) { #expect((a - b).magnitude < 1e-4) }
      }
    }
  }

  @Test(arguments: DType.allCases, DType.allCases)
  func `a cast gives on the processor what the oracle gives, and says that it runs on the op's own loops`(
    from: DType, to: DType
  ) throws {
    let values: [Double] = [0, 1, -1, 200, -200.75, 65536, 0.5, 3]
    var graph = Graph(name: "cast")
    let x = graph.addInput("x", TensorType([1, 2, 2, 2], from))
    let nhwc = try graph.addNode("nhwc", ConvertFormat(to: .nhwc), [x])
    let cast = try graph.addNode("cast", Cast(to: to), [nhwc])
    graph.setOutputs([cast, try graph.addNode("back", Cast(to: from), [cast])])
    let input = try Tensor([1, 2, 2, 2], values, from)
    let expected = try graph.evaluate([input])
    #expect(expected.map(\.type) == [TensorType([1, 2, 2, 2], to, .nhwc), TensorType([1, 2, 2, 2], from, .nhwc)])
    for allocator in [AllocatorKind.system, .arena] {
      let executable = try CPUBackend().prepare(graph, PrepareOptions(allocator: allocator))
      #expect(executable.placement.suffix(2).allSatisfy { $0.kernel == "reference" })
      let session = try executable.makeSession()
      for _ in 0..<2 { try session.run(with: [input]) }
      for (output, wanted) in zip(session.outputs, expected) {
        #expect(
          output.type == wanted.type
            && zip(output.doubles, wanted.doubles).allSatisfy { $0 == $1 || $0.isNaN && $1.isNaN })
      }
    }
    if from == to { #expect(zip(expected[0].doubles, input.doubles).allSatisfy { $0 == $1 }) }
  }

  @Test func `integers are cast whole`() throws {
    let large: [UInt64] = [.max, 1 << 63, (1 << 53) + 1, 0]
    let tensor = try Tensor([4], elements: large)
    func cast<Element: TensorElement>(_ type: Element.Type) throws -> [Element] {
      let result = try Cast(to: Element.dtype).evaluate([tensor])[0]
      return withExtendedLifetime(result) { Array(result.elements(as: type)) }
    }
    #expect(try cast(UInt64.self) == large)
    #expect(try cast(Int64.self) == [-1, .min, (1 << 53) + 1, 0])
    #expect(try cast(UInt8.self) == [255, 0, 1, 0])
  }

  @Test func `integers become the nearest float at once`() throws {
    let tensor = try Tensor([1], elements: [(1 << 60) + (1 << 36) + 1] as [Int64])
    #expect(try Cast(to: .float32).evaluate([tensor])[0].doubles == [0x1p60 + 0x1p37])
  }

  @Test(arguments: [AllocatorKind.system, .caching, .arena])
  func `nodes of several outputs run, whoever reads them`(allocator: AllocatorKind) throws {
    var graph = Graph(name: "halves")
    let x = graph.addInput("x", TensorType([4, 3]))
    _ = try graph.addNode("outer", Halves(), [x])
    let outer = graph.nodes[0].outputs
    // The second half is read first, the first is an output too; of the next pair nobody reads the second.
    let relu = try graph.addNode("relu", Activation(.relu), [outer[1]])
    let sum = try graph.addNode("sum", Binary(.add), [relu, outer[0]])
    let inner = try graph.addNode("inner", Halves(), [sum])
    graph.setOutputs([inner, outer[0]])
    try graph.verify()
    let input = try Tensor([4, 3], (0..<12).map { Float($0) - 6 })
    let expected = try graph.evaluate([input])
    #expect(expected[0].values == [-6, -4, -2])
    let stub = StubBackend { node, _ in Binary.computes(.add, node.op) }
    for placer in [
      try Placer(CPUBackend(), PrepareOptions(allocator: allocator)),
      try Placer(stub, fallback: CPUBackend(), PrepareOptions(allocator: allocator)),
    ] {
      let executable = try placer.prepare(graph)
      #expect(executable.placement[0].kernel == "reference")
      let session = try executable.makeSession()
      for _ in 0..<3 {
        try session.run(with: [input])
        for (output, wanted) in zip(session.outputs, expected) { #expect(output.values == wanted.values) }
      }
    }
  }

  @Test func `passes leave what is no float alone`() throws {
    var graph = Graph(name: "mixed")
    let x = graph.addInput("x", TensorType([1, 3, 4, 4], .uint8))
    let floats = try graph.addNode("floats", Cast(to: .float32), [x])
    let weight = graph.addConstant("w", try Tensor([2, 3, 3, 3], (0..<54).map { Float($0 % 7) - 3 }))
    let bias = graph.addConstant("b", try Tensor([2], [1, -1]))
    let conv = try graph.addNode("conv", Conv2D(padding: 1), [floats, weight, bias])
    let relu = try graph.addNode("relu", Activation(.relu6), [conv])
    graph.setOutputs([try graph.addNode("bytes", Cast(to: .int8), [relu])])
    let placer = try Placer(CPUBackend(), PrepareOptions(allocator: .arena))
    let (optimised, reports) = try Pipeline(standardPasses).run(on: graph, for: placer)
    #expect(reports.contains { $0.name == "channels-last" && $0.rewrites > 0 })
    let input = try Tensor([1, 3, 4, 4], (0..<48).map { Double($0 % 5) }, .uint8)
    let session = try placer.prepare(optimised).makeSession()
    try session.run(with: [input])
    #expect(session.outputs[0].type == TensorType([1, 2, 4, 4], .int8))
    #expect(session.outputs[0].doubles == (try graph.evaluate([input])[0].doubles))
  }

  @Test(.enabled(if: hasVulkan, "no Vulkan device here"))
  func `a device that computes on floats leaves the rest to the processor`() throws {
    var graph = Graph(name: "mixed")
    let x = graph.addInput("x", TensorType([1, 8, 4, 4], .int16))
    let floats = try graph.addNode("floats", Cast(to: .float32), [x])
    let relu = try graph.addNode("relu", Activation(.relu6), [floats])
    graph.setOutputs([try graph.addNode("bytes", Cast(to: .int8), [relu])])
    let placer = try Placer(VulkanBackend(), fallback: CPUBackend(), PrepareOptions(allocator: .arena))
    let executable = try placer.prepare(graph)
    #expect(executable.placement.map(\.backend) == ["cpu", "vulkan", "cpu"])
    #expect(
      executable.placement[0].refusals == [
        .init(backend: "vulkan", reason: "Vulkan computes on f32 and f16, not on i16")
      ])
    #expect(executable.plan.borderCopies.count == 2 && executable.plan.borderCopies.byteCount == 2 * 128 * 4)
    let input = try Tensor([1, 8, 4, 4], (0..<128).map { Double($0 % 11) - 3 }, .int16)
    let session = try executable.makeSession()
    for _ in 0..<2 { try session.run(with: [input]) }
    #expect(session.outputs[0].doubles == (try graph.evaluate([input])[0].doubles))
    let statistics = try #require(try session.deviceStatistics)
    #expect(statistics.uploadBytes == 512 && statistics.downloadBytes == 512)
  }

  // MARK: Float16

  /// A convolution, an activation, a skip connection around both, and a pooled head.
  private func skips() throws -> (graph: Graph, input: Tensor) {
    var graph = Graph(name: "skips")
    func constant(_ name: String, _ shape: Shape) throws -> ValueID {
      graph.addConstant(name, try Tensor(shape, (0..<shape.count).map { Float($0 * 37 % 19) / 19 - 0.4 }))
    }
    let x = graph.addInput("x", TensorType([1, 8, 5, 5]))
    let (weight, bias) = (try constant("w", [8, 8, 3, 3]), try constant("b", [8]))
    let first = try graph.addNode("first", Conv2D(padding: 1), [x, weight, bias])
    let relu = try graph.addNode("relu", Activation(.relu6), [first])
    let second = try graph.addNode("second", Conv2D(padding: 1), [relu, weight, bias])
    let sum = try graph.addNode("sum", Binary(.add), [second, first])
    let pool = try graph.addNode("pool", GlobalAveragePool(), [sum])
    let flat = try graph.addNode("flat", Reshape.flatten, [pool])
    graph.setOutputs([try graph.addNode("head", Linear(), [flat, try constant("m", [3, 8])])])
    return (graph, try Tensor([1, 8, 5, 5], (0..<200).map { Float($0 * 29 % 31) / 31 }))
  }

  @Test func `to-float16 writes into the graph what is stored in 16 bits, and keeps what would gather roundings`()
    throws
  {
    let (graph, _) = try skips()
    let passes: [any Pass] = [ToFloat16(), Float16Arithmetic()]
    let result = try Pipeline(passes).run(on: graph, for: PlainTarget())
    #expect(result.reports.map(\.rewrites) == [5, 2])
    #expect(try #require(result.reports[0].error) > 0)
    #expect(result.graph.macs == graph.macs && graph.macs > 0)
    #expect(
      result.graph.description == """
        graph skips
          input %x : f32[1x8x5x5]
          %x.f16 = cast(%x) {to=f16} : f16[1x8x5x5]
          %first = conv2d(%x.f16, #w<f16[8x8x3x3]>, #b<f32[8]>) {padding=1 multiplies=f16} : f32[1x8x5x5]
          %relu = activation(%first) {clamp=relu6} : f16[1x8x5x5]
          %second = conv2d(%relu, #w<f16[8x8x3x3]>, #b<f32[8]>) {padding=1 multiplies=f16} : f32[1x8x5x5]
          %sum = add(%second, %first) : f32[1x8x5x5]
          %pool = global_avg_pool2d(%sum) : f16[1x8x1x1]
          %flat = reshape(%pool) {to=axis0,rest} : f16[1x8]
          %head = linear(%flat, #m<f16[3x8]>) : f32[1x3]
          return %head

        """)
    // Nothing is left for a second time, and a value may not be stored in what its op does not compute.
    #expect(try Pipeline(passes).run(on: result.graph, for: PlainTarget()).reports.map(\.rewrites) == [0, 0])
    var wrong = Graph(name: "wrong")
    let x = wrong.addInput("x", TensorType([4]))
    for dtype in [DType.int8, .float64] {
      let stored = StoredType(dtype: dtype, quantization: nil)
      #expect(throws: GraphError.self) { try wrong.addNode("y", Activation(.relu), [x], stored: stored) }
    }
    #expect(throws: GraphError.self) { try wrong.addNode("y", Cast(to: .int8), [x], stored: .float16) }
  }

  @Test func `a graph in float16 runs wherever its nodes are placed, to the same bits`() throws {
    let (graph, input) = try skips()
    for passes in [[], standardPasses] as [[any Pass]] {
      let stubs = [StubBackend.everySecond(), .convolutionsOnly()]
      for backend in [CPUBackend()] + stubs as [any Backend] {
        for allocator in [AllocatorKind.system, .arena] {
          let placer = try Placer(backend, fallback: CPUBackend(), PrepareOptions(allocator: allocator))
          let half = try Pipeline(passes.adding(portable: [ToFloat16()])).run(on: graph, for: placer).graph
          let expected = try half.evaluate([input])[0]
          let executable = try placer.prepare(half)
          // No kernel of the processor's reads 16 bits: theirs do, behind and before what widens and rounds.
          let own = executable.placement.filter { $0.backend == "cpu" && $0.kernel != "view" }
          #expect(own.contains { $0.kernel.hasSuffix("-widened") })
          #expect(own.allSatisfy { $0.kernel != "reference" || $0.op == "cast" })
          let session = try executable.makeSession()
          for _ in 0..<2 { try session.run(with: [input]) }
          #expect(session.outputs[0].relativeError(to: expected) < 2e-3)
        }
      }
    }
  }

  @Test(.enabled(if: hasVulkan, "no Vulkan device here"))
  func `tensors of 16 bits cross between a device and the processor`() throws {
    let (graph, input) = try skips()
    struct ConvolutionsOnly: Backend {
      let base = VulkanBackend()
      let name = "vulkan"
      func support(for node: Node, in graph: Graph, _ options: PrepareOptions) -> Support {
        node.op is Conv2D ? base.support(for: node, in: graph, options) : .unsupported(reason: "convolutions only")
      }
      func target(_ options: PrepareOptions) throws -> any TargetTraits { try base.target(options) }
      func lower(_ nodes: [Int], of graph: Graph, _ options: PrepareOptions) throws -> any Lowering {
        try base.lower(nodes, of: graph, options)
      }
    }
    for backend in [ConvolutionsOnly(), VulkanBackend()] as [any Backend] {
      let placer = try Placer(backend, fallback: CPUBackend(), PrepareOptions(allocator: .arena))
      let passes = standardPasses.adding(portable: [ToFloat16()])
      let half = try Pipeline(passes).run(on: graph, for: placer).graph
      let executable = try placer.prepare(half)
      #expect(Set(executable.placement.map(\.backend)) == (backend is VulkanBackend ? ["vulkan"] : ["vulkan", "cpu"]))
      let session = try executable.makeSession()
      for _ in 0..<2 { try session.run(with: [input]) }
      #expect(session.outputs[0].relativeError(to: try half.evaluate([input])[0]) < 2e-3)
    }
  }

  /// Inputs of bodies, indices, and what is no float in the middle keep their types; the rest may be stored in 16 bits.
  @Test func `to-float16 leaves alone what is read as something else than numbers of a computation`() throws {
    struct Positions: Op {
      static let name = "positions"
      func outputTypes(for inputs: [TensorType]) throws -> [TensorType] { [TensorType(inputs[0].shape, .int64)] }
      func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
        [try Tensor(inputs[0].shape, inputs[0].values.map { Int64($0) }, .int64)]
      }
    }
    var graph = Graph(name: "indices")
    let x = graph.addInput("x", TensorType([4]))
    let relu = try graph.addNode("relu", Activation(.relu), [x])
    let positions = try graph.addNode("positions", Positions(), [relu])
    let large = try graph.addNode("large", Activation(.relu), [x])
    let index = try graph.addNode("index", Cast(to: .int64), [large])
    let dropped = try graph.addNode("dropped", Dropout(probability: 0.5), [index])
    let floats = try graph.addNode("floats", Cast(to: .float32), [positions])
    graph.setOutputs([dropped, try graph.addNode("end", Activation(.relu), [floats])])
    let half = try Pipeline([ToFloat16()], checksNumbers: false).run(on: graph, for: PlainTarget()).graph
    #expect(half.nodes.filter { $0.stored != nil }.map(\.name) == ["relu"])
    let session = try CPUBackend().prepare(half).makeSession()
    try session.run(with: [Tensor([4], [2050, -1, 3, 0.5])])
    #expect(session.outputs[0].doubles == [2050, 0, 3, 0])
  }

  @Test func `a node that stores its result otherwise is no view, and is not taken out`() throws {
    var graph = Graph(name: "stored")
    let x = graph.addInput("x", TensorType([1, 8, 2, 2]))
    let relu = try graph.addNode("relu", Activation(.relu), [x])
    let dropped = try graph.addNode("dropped", Dropout(probability: 0.5), [relu], stored: .float16)
    let flat = try graph.addNode("flat", Reshape.flatten, [relu], stored: .float16)
    graph.setOutputs([dropped, flat])
    let input = try Tensor([1, 8, 2, 2], (0..<32).map { Float($0) / 7 })
    for backend in [CPUBackend()] + (hasVulkan ? [VulkanBackend()] : []) as [any Backend] {
      let placer = try Placer(backend, fallback: CPUBackend(), PrepareOptions(allocator: .arena))
      let rewritten = try Pipeline(standardPasses).run(on: graph, for: placer).graph
      #expect(rewritten.nodes.contains { $0.name == "dropped" })
      for graph in [graph, rewritten] {
        let session = try placer.prepare(graph).makeSession()
        try session.run(with: [input])
        for (output, expected) in zip(session.outputs, try graph.evaluate([input])) {
          #expect(output.type == expected.type && output.type.dtype == .float16)
          #expect(output.relativeError(to: expected) < 1e-3)
        }
      }
    }
  }

  @Test func `constants in 16 bits are folded, and folded behind what stores them so`() throws {
    var graph = Graph(name: "constants")
    let x = graph.addInput("x", TensorType([1, 4]))
    let a = graph.addConstant("a", try Tensor([1, 4], [1, 2, 3, 4]))
    let m = graph.addConstant("m", try Tensor([4, 4], (0..<16).map(Double.init), .float16))
    let product = try graph.addNode("product", Linear(), [a, m])
    let narrow = try graph.addNode("narrow", Activation(.relu), [product], stored: .float16)
    graph.setOutputs([try graph.addNode("sum", Binary(.add), [x, narrow])])
    let result = try Pipeline(standardPasses).run(on: graph, for: PlainTarget())
    #expect(result.graph.nodes.map(\.name) == ["sum"])
    let input = try Tensor([1, 4], [1, 1, 1, 1])
    #expect(try result.graph.evaluate([input])[0].values == graph.evaluate([input])[0].values)
  }

  @Test func `each pass is held to its own tolerance`() throws {
    struct Off: Pass {
      let name = "off"
      let summary = ""
      let off = ""
      let by: Float
      func run(on graph: inout Graph, in context: PassContext) throws -> Int {
        let bias = graph.values.first { $0.name == "b" }!
        graph[bias.id].source = .constant(try Tensor([8], graph.data(of: bias.id)!.values.map { $0 + by }))
        return 1
      }
    }
    let (graph, _) = try skips()
    _ = try Pipeline([ToFloat16(), Off(by: 1e-6)]).run(on: graph, for: PlainTarget())
    #expect {
      _ = try Pipeline([ToFloat16(), Off(by: 0.01)]).run(on: graph, for: PlainTarget())
    } throws: {
      "\($0)".contains("pass off") && "\($0)".contains("0.0001")
    }
  }

  @Test func `a network in 16 bits has the multiplications it has in 32`() throws {
    let (graph, _) = try seeded(.resNet18, [1, 3, 32, 32])
    let target = try VulkanBackend().target(PrepareOptions())
    for passes in [[ToFloat16()], standardPasses.adding(portable: [ToFloat16()])] as [[any Pass]] {
      let half = try Pipeline(passes, checksNumbers: false).run(on: graph, for: target).graph
      #expect(half.macs == graph.macs)
    }
  }
}
