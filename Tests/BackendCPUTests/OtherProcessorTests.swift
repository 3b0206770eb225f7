import BackendCPU
import CIntrinsics
import GraphCore
import Pacer
import RuntimeCore
import TensorCore
import TestSupport
import Testing

/// Plans for processors that need not be here.
@Suite struct OtherProcessorTests {
  private func planned(_ isa: InstructionSet, _ model: ModelDescription = .mobileNetV2) throws -> PlannedGraph {
    let (graph, _) = try seeded(model, [1, 3, 64, 64])
    let placer = try Placer(CPUBackend(instructionSet: isa), PrepareOptions(allocator: .arena, threads: 2))
    return try placer.plan(Pipeline(standardPasses, checksNumbers: false).run(on: graph, for: placer).graph)
  }

  /// What is written down of a set is what its kernels are compiled with.
  @Test(arguments: InstructionSet.available)
  func `the sizes of a set are those of its kernels`(isa: InstructionSet) throws {
    let (table, described) = (isa.table, isa.described)
    #expect(table.indirectGEMM != nil && described.indirectGEMM == nil)
    #expect(String(cString: table.name) == isa.rawValue && String(cString: described.name) == isa.rawValue)
    for size in [
      \PacerKernelTable.lanes, \.gemmWidth, \.gemmRows, \.streamWidth, \.streamRows, \.filterTiles, \.planePanel,
      \.planeBlock, \.dotRows, \.widensDots, \.addsSmallDots,
    ] { #expect(table[keyPath: size] == described[keyPath: size]) }
  }

  @Test(arguments: InstructionSet.allCases)
  func `a graph is packed, lowered and planned for any instruction set`(isa: InstructionSet) throws {
    for model in [ModelDescription.mobileNetV2, .resNet18] {
      let planned = try planned(isa, model)
      let kernels = planned.placement.map(\.kernel)
      #expect(!kernels.contains("reference") && kernels.contains { $0.hasSuffix("-\(isa.rawValue)") })
      let others = InstructionSet.allCases.filter { $0 != isa }
      #expect(!kernels.contains { kernel in others.contains { kernel.hasSuffix("-\($0.rawValue)") } })
      // Weights lie in panels as wide as its vectors want them.
      let widths = Set(
        planned.plan.graph.values.compactMap { value -> Int? in
          guard case .panels(let layout) = value.type.format, case .constant = value.source, layout.width <= 64 else {
            return nil
          }
          return layout.width
        })
      #expect(widths.contains(isa.described.gemmWidth))
      #expect("\(planned.plan)".contains("-\(isa.rawValue)("))
      #expect(Arena(planned.plan, in: .host).byteCount > 0)
    }
  }

  @Test(arguments: InstructionSet.allCases.filter { !InstructionSet.available.contains($0) })
  func `it does not run where its instructions are missing, and says so`(isa: InstructionSet) throws {
    let planned = try planned(isa)
    #expect {
      try planned.compile()
    } throws: {
      "\($0)".contains("no \(isa.rawValue)")
    }
  }

  /// The same text on every machine: nothing in it comes from the one that plans.
  @Test func `the plan for an Arm processor is the same wherever it is made`() throws {
    var graph = Graph(name: "small")
    let x = graph.addInput("x", TensorType([1, 3, 8, 8]))
    func constant(_ name: String, _ shape: Shape) throws -> ValueID {
      graph.addConstant(name, try Tensor(shape, [Float](repeating: 0.5, count: shape.count)))
    }
    let stem = try graph.addNode(
      "stem", Conv2D(stride: 2, padding: 1), [x, try constant("w0", [12, 3, 3, 3]), try constant("b0", [12])])
    let relu = try graph.addNode("relu", Activation(.hardSwish), [stem])
    graph.setOutputs([
      try graph.addNode("wide", Conv2D(), [relu, try constant("w1", [20, 12, 1, 1]), try constant("b1", [20])])
    ])
    let placer = try Placer(CPUBackend(instructionSet: .neon), PrepareOptions(allocator: .arena))
    let planned = try placer.plan(Pipeline(standardPasses, checksNumbers: false).run(on: graph, for: placer).graph)
    #expect(
      planned.plan.graph.description == """
        graph small
          input %x : f32[1x3x8x8]
          %x.nhwc = convert_format(%x) {to=nhwc} : f32[1x3x8x8] nhwc
          %stem = conv2d(%x.nhwc, #w0<f32[12x3x3x3] panels8/4t>, #b0<f32[12]>) {stride=2 padding=1 activation=hard-swish} : f32[1x12x4x4] nhwc
          %wide = conv2d(%stem, #w1<f32[20x12x1x1] panels8/4t>, #b1<f32[20]>) : f32[1x20x4x4] nhwc
          %wide.nchw = convert_format(%wide) {to=nchw} : f32[1x20x4x4]
          return %wide.nchw

        """)
    #expect(planned.placement.map(\.kernel) == ["to-nhwc", "conv-nhwc-neon", "pointwise-nhwc-neon", "to-nchw"])
  }
}
