import BackendCPU
import Foundation
import GraphCore
import GraphPasses
import ModelZoo
import RuntimeCore
import TensorCore
import TestSupport
import Testing

struct Variant: Sendable, CustomStringConvertible {
  var isa: InstructionSet
  var kernels = KernelFamily.fast
  var passes: [any Pass]
  var allocator = AllocatorKind.system
  var threads = 1

  var description: String {
    "\(isa) \(kernels) \(passes.map(\.name).joined(separator: "+")) \(allocator) \(threads)t"
  }
  var options: PrepareOptions { PrepareOptions(allocator: allocator, threads: threads) }
  var backend: CPUBackend { CPUBackend(kernels: kernels, instructionSet: isa) }

  /// Every instruction set this machine has, both formats, weights packed ahead and at each call, each allocator.
  static let all: [Variant] = InstructionSet.available.flatMap { isa in
    [
      Variant(isa: isa, passes: []),
      Variant(isa: isa, passes: [PrepackWeights()], allocator: .arena, threads: 2),
      Variant(isa: isa, passes: [ChannelsLast()], allocator: .caching),
      Variant(
        isa: isa, passes: [ChannelsLast(), FuseResidual(), FuseDepthwise(), PrepackWeights()], allocator: .arena),
      Variant(isa: isa, passes: [ChannelsLast(), FuseResidual(), FuseDepthwise(), PrepackWeights()], threads: 3),
      Variant(
        isa: isa, passes: [ChannelsLast(), FuseResidual(), WinogradEverywhere()], allocator: .arena, threads: 2),
      Variant(isa: isa, passes: [ChannelsLast(), FuseResidual(), WinogradEverywhere(), PrepackWeights()], threads: 3),
      Variant(isa: isa, kernels: .im2col, passes: []),
    ]
  }
}

/// Winograd's algorithm where it does not pay too: every size has to be right.
private struct WinogradEverywhere: Pass {
  private struct Target: TargetTraits {
    let base: any TargetTraits
    func weightFormats(for node: Node, in graph: Graph) -> [Int: MemoryFormat] {
      base.weightFormats(for: node, in: graph)
    }
    func prefersWinograd(for node: Node, in graph: Graph) -> Bool { true }
  }
  let name = "winograd-everywhere"
  let summary = ""
  let off = ""
  let pytorchName: String? = nil
  func run(on graph: inout Graph, in context: PassContext) throws -> Int {
    try Winograd().run(on: &graph, in: PassContext(target: Target(base: context.target)))
  }
}

@Suite struct KernelTests {
  @Test(arguments: [DType.float32, .float16]) func `tensors without elements run, on the ops' own loops`(
    _ dtype: DType
  ) throws {
    var graph = Graph(name: "empty")
    let x = graph.addInput("x", TensorType([0, 3, 4, 4], dtype))
    let weight = graph.addConstant("w", try Tensor(zeros: TensorType([2, 3, 1, 1], dtype)))
    let sums = try graph.addNode("sum", Binary(.add), [x, x])
    let active = try graph.addNode("active", Activation(.hardSwish), [sums])
    graph.setOutputs([try graph.addNode("conv", Conv2D(), [active, weight]), active])
    let executable = try CPUBackend().prepare(graph)
    #expect(executable.placement.allSatisfy { $0.kernel == Support.reference })
    let session = try executable.makeSession()
    try session.run()
    #expect(session.outputs.map(\.shape) == [[0, 2, 4, 4], [0, 3, 4, 4]])
  }

  @Test func `an input without elements moves none of another's place`() throws {
    var graph = Graph(name: "concat")
    let inputs = [[2, 0, 3], [2, 4, 3], [2, 0, 3], [2, 1, 3]].enumerated().map { index, shape in
      graph.addInput("x\(index)", TensorType(Shape(shape)))
    }
    graph.setOutputs([try graph.addNode("all", Concat(axis: 1), inputs)])
    let executable = try CPUBackend().prepare(graph, PrepareOptions())
    #expect(executable.placement.map(\.kernel) == ["move"])
    let session = try executable.makeSession()
    let arguments = try session.inputs.enumerated().map { index, input in
      try Tensor(input.shape, (0..<input.shape.count).map { Float(100 * index + $0) })
    }
    for (input, argument) in zip(session.inputs, arguments) { input.write(argument) }
    try session.run()
    #expect(try session.outputs[0].values == graph.evaluate(arguments)[0].values)
  }

  @Test(arguments: opCases, Variant.all)
  func `a kernel computes what the op's own evaluate does`(opCase: OpCase, variant: Variant) throws {
    let outcome = try Conformance.run(opCase, on: variant.backend, passes: variant.passes, variant.options)
    guard case .correct(let kernels) = outcome else {
      Issue.record("\(outcome)")
      return
    }
    // The pass that makes blocks leaves NCHW alone: there they run on the op's own loops. Nothing else does.
    let isLeft = opCase.op is DepthwiseBlock && !variant.passes.contains { $0 is ChannelsLast }
    #expect(kernels.contains("reference") == (isLeft || variant.kernels == .reference))
  }

  /// What a driver packed for itself is computed by others where it fails, and a file by another machine.
  @Test(arguments: opCases, Variant.all.filter { $0.passes.contains { $0 is PrepackWeights } })
  func `weights packed for one family of kernels are read by every other`(opCase: OpCase, variant: Variant) throws {
    let (graph, _) = try opCase.graph()
    let arguments = try opCase.arguments()
    let expected = try graph.evaluate(arguments)[0]
    let packed = try Pipeline(variant.passes, checksNumbers: false)
      .run(on: graph, for: variant.backend.target(variant.options)).graph
    for kernels in KernelFamily.allCases {
      for isa in InstructionSet.available where kernels != .reference || isa == variant.isa {
        let session = try CPUBackend(kernels: kernels, instructionSet: isa).prepare(packed).makeSession()
        for (input, argument) in zip(session.inputs, arguments) { input.write(argument.values) }
        try session.run()
        let output = session.outputs[0]
        let error = output.relativeError(to: try expected.converted(to: output.format))
        #expect(error < Conformance.tolerance(of: packed), "\(kernels) \(isa)")
      }
    }
  }

  @Test(arguments: Variant.all)
  func `squeeze-and-excitation and hard-swish run on kernels, fused and alone`(variant: Variant) throws {
    let (graph, input) = try seeded(.mobileNetV3Small, [2, 3, 64, 64])
    let portable = variant.kernels == .fast ? standardPasses.filter { !$0.isForTarget } : []
    let optimised = try Pipeline(portable + variant.passes, checksNumbers: false)
      .run(on: graph, for: variant.backend.target(variant.options)).graph
    let executable = try variant.backend.prepare(optimised, variant.options)
    #expect(!executable.placement.map(\.kernel).contains("reference"))
    let session = try executable.makeSession()
    for _ in 0..<2 { try session.run(with: [input]) }
    #expect(session.outputs[0].relativeError(to: try graph.evaluate([input])[0]) < 1e-4)
  }

  @Test(arguments: InstructionSet.available)
  func `activations of any number, the largest and those that are none too`(isa: InstructionSet) throws {
    var numbers = stride(from: Float(-100), through: 100, by: 0.37).map { $0 }
    numbers += [-.infinity, .infinity, .nan, 0, -0.0, .leastNonzeroMagnitude, .greatestFiniteMagnitude, -3, 3, 88, -88]
    for function in [.sigmoid, .hardSigmoid, .hardSwish] as [Epilogue] {
      var graph = Graph(name: "activation")
      let x = graph.addInput("x", TensorType([1, numbers.count]))
      graph.setOutputs([try graph.addNode("y", Activation(function), [x])])
      let session = try CPUBackend(instructionSet: isa).prepare(graph).makeSession()
      try session.run(with: [Tensor([1, numbers.count], numbers)])
      let result = session.outputs[0].values
      let expected = numbers.map { x -> Double in
        switch function {
        case .sigmoid: 1 / (1 + exp(-Double(x)))
        case .hardSigmoid: x.isNaN ? .nan : max(0, min(Double(x) + 3, 6)) / 6
        default: x.isNaN ? .nan : Double(x) * max(0, min(Double(x) + 3, 6)) / 6
        }
      }
      for (index, number) in numbers.enumerated() {
        let got = Double(result[index])
        let wanted: Double = expected[index]
        let tolerance: Double = 3e-7 * max(abs(wanted), 0.1)
        let isRight = wanted.isFinite ? abs(got - wanted) <= tolerance : got.isNaN == wanted.isNaN
        #expect(isRight, "\(function) of \(number): \(got), not \(wanted)")
      }
    }
  }

  @Test(arguments: InstructionSet.available, [[ChannelsLast()], [ChannelsLast(), PrepackWeights()]] as [[any Pass]])
  func `a graph may ask for Winograd's algorithm with weights as they are`(isa: InstructionSet, passes: [any Pass])
    throws
  {
    var op = Conv2D(padding: 1)
    op.algorithm = .winograd
    let opCase = OpCase(name: "winograd", op: op, inputs: [[2, 5, 9, 7], [37, 5, 3, 3], [37]])
    let backend = CPUBackend(instructionSet: isa)
    let outcome = try Conformance.run(opCase, on: backend, passes: passes, PrepareOptions(threads: 2))
    guard case .correct = outcome else {
      Issue.record("\(outcome)")
      return
    }
  }

  @Test func `a block of convolutions that no kernel runs together runs on the op's own loops`() throws {
    let depthwise = Conv2D(padding: 1, groups: 8)
    let x = TensorType([1, 4, 9, 9], .float32, .nhwc)
    func support(_ expand: Conv2D, _ weight: Shape, project: Conv2D = Conv2D(), _ last: Shape = [4, 8, 1, 1]) throws
      -> Support
    {
      var graph = Graph(name: "block")
      let parameters = [weight, [8], [8, 1, 3, 3], [8], last, [last[0]]].enumerated().map {
        graph.addParameter("p\($0.offset)", TensorType($0.element))!
      }
      let op = DepthwiseBlock(expand: expand, depthwise: depthwise, project: project)
      let input = graph.addInput("x", x)
      graph.setOutputs([try graph.addNode("block", op, [input] + parameters)])
      return CPUBackend().support(for: graph.nodes[0], in: graph, PrepareOptions())
    }
    func isKernel(_ support: Support) -> Bool { support != .kernel("reference") }
    #expect(try isKernel(support(Conv2D(), [8, 4, 1, 1])))
    #expect(try isKernel(support(Conv2D(padding: 1), [8, 4, 3, 3])))
    #expect(try !isKernel(support(Conv2D(padding: Padding(2, 1), dilation: Pair(2, 1)), [8, 4, 3, 3])))
    #expect(try !isKernel(support(Conv2D(groups: 2), [8, 2, 1, 1])))
    #expect(try !isKernel(support(Conv2D(), [8, 4, 1, 1], project: Conv2D(groups: 2), [4, 4, 1, 1])))
    #expect(try !isKernel(support(Conv2D(), [8, 4, 1, 1], project: Conv2D(padding: 1), [4, 8, 3, 3])))
  }

  @Test(arguments: ["mobilenet_v2", "resnet18"], Variant.all)
  func `golden logits on every instruction set and format`(key: String, variant: Variant) throws {
    let (graph, input) = try seeded(key == "resnet18" ? .resNet18 : .mobileNetV2)
    let backend = variant.backend
    let passes =
      [FoldBatchNorm(), Freeze(), RemoveDropout(), FuseActivation(), FuseAddReLU()] as [any Pass]
    let optimised = try Pipeline(passes + variant.passes, checksNumbers: false)
      .run(on: graph, for: backend.target(variant.options)).graph
    let session = try backend.prepare(optimised, variant.options).makeSession()
    session.inputs[0].write(input.values)
    try session.run()
    #expect(relativeError(session.outputs[0].values, try goldenLogits(key)) < 1e-4)
  }

  @Test(arguments: [ModelDescription.mobileNetV2, .resNet18])
  func `results are equal to the bit from run to run, whatever the schedule`(model: ModelDescription) throws {
    let (graph, input) = try seeded(model, [1, 3, 96, 96])
    let options = PrepareOptions(threads: 3)
    let optimised = try Pipeline(standardPasses, checksNumbers: false).run(on: graph, for: CPUBackend().target(options))
      .graph
    let session = try CPUBackend().prepare(optimised, options).makeSession()
    session.inputs[0].write(input.values)
    try session.run()
    let first = session.outputs[0].values
    for _ in 0..<20 {
      try session.run()
      #expect(session.outputs[0].values == first)
    }
  }

  @Test func `a session follows its input from run to run`() throws {
    let (graph, input) = try seeded(.resNet18, [1, 3, 32, 32])
    let session = try CPUBackend().prepare(graph, PrepareOptions()).makeSession()
    for factor: Float in [1, -0.5, 0] {
      let values = input.values.map { $0 * factor }
      session.inputs[0].write(values)
      try session.run()
      let expected = try graph.evaluate([Tensor(input.shape, values)])[0]
      #expect(session.outputs[0].relativeError(to: expected) < 1e-4)
    }
  }

  @Test func `what cannot be prepared is an error that says why`() throws {
    let (graph, _) = try seeded(.resNet18, [1, 3, 32, 32])
    #expect(throws: Unsupported.self) { try CPUBackend().choosing("isa", "sse9") }
    #expect(throws: GraphError.self) { try CPUBackend().prepare(graph, PrepareOptions(threads: 0)) }
  }
}

@Suite struct TrainedModelTests {
  private struct Expectation: Decodable {
    struct Entry: Decodable {
      var index: Int
      var label: String
      var probability: Double
    }
    var top5: [String: [Entry]]
  }

  @Test(.enabled(if: Shared.isPresent, Shared.isMissing)) func `photographs are what torchvision says they are`() throws
  {
    let expected = try JSONDecoder().decode(
      Expectation.self, from: Data(contentsOf: URL(fileURLWithPath: Shared.path("golden/trained_top5.json"))))
    var graph = try ModelDescription.mobileNetV2.build([1, 3, 224, 224])
    graph.weights = try WeightFile.read(Shared.path("models/mobilenet_v2.safetensors"))
    try graph.verifyWeights()
    let backend = CPUBackend()
    let optimised = try Pipeline(standardPasses, checksNumbers: false).run(
      on: graph, for: backend.target(PrepareOptions())
    ).graph
    let session = try backend.prepare(optimised, PrepareOptions()).makeSession()
    #expect(expected.top5.count == 3)
    for (photo, entries) in expected.top5 {
      session.inputs[0].write(try ImageInput.load(Shared.path("images/\(photo)"), side: 224).values)
      try session.run()
      let top = Classification.top(5, of: session.outputs[0].values)
      #expect(top.map(\.label) == entries.map(\.label), "\(photo)")
      for (ours, theirs) in zip(top, entries) { #expect(abs(ours.probability - theirs.probability) < 0.01) }
    }
  }
}
