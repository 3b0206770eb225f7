import GraphCore
import GraphPasses
import ModelZoo
@testable import ModelFiles
import Pacer
import TensorCore
import TestSupport
import Testing

/// conv → batch norm → relu → dropout → add with the input of the block.
private func smallGraph() throws -> Graph {
  var graph = Graph(name: "small")
  let x = graph.addInput("x", TensorType([1, 4, 6, 6]))
  let weight = graph.addParameter("conv.weight", TensorType([4, 4, 3, 3]))!
  let sum = try graph.addNode("conv", Conv2D(padding: 1), [x, weight])
  let norm = ["weight", "bias", "running_mean", "running_var"].map {
    graph.addParameter("bn.\($0)", TensorType([4]))!
  }
  let normed = try graph.addNode("bn", BatchNorm(), [sum] + norm)
  let active = try graph.addNode("relu", Activation(.relu), [normed])
  let dropped = try graph.addNode("drop", Dropout(probability: 0.5), [active])
  let added = try graph.addNode("add", Binary(.add), [dropped, x])
  graph.setOutputs([try graph.addNode("relu2", Activation(.relu), [added])])
  try SeededWeights.fill(&graph)
  return graph
}

@Suite struct PassTextTests {
  private func text(_ passes: [any Pass]) throws -> String {
    try Pipeline(passes).run(on: smallGraph(), for: CPUBackend(instructionSet: .sse2).target(PrepareOptions()))
      .graph
      .description
  }

  @Test func `the unoptimised graph`() throws {
    #expect(
      try text([]) == """
        graph small
          input %x : f32[1x4x6x6]
          %conv = conv2d(%x, @conv.weight) {padding=1} : f32[1x4x6x6]
          %bn = batch_norm(%conv, @bn.weight, @bn.bias, @bn.running_mean, @bn.running_var) : f32[1x4x6x6]
          %relu = activation(%bn) {clamp=relu} : f32[1x4x6x6]
          %drop = dropout(%relu) {p=0.5} : f32[1x4x6x6]
          %add = add(%drop, %x) : f32[1x4x6x6]
          %relu2 = activation(%add) {clamp=relu} : f32[1x4x6x6]
          return %relu2

        """)
  }

  @Test func `fold-batch-norm leaves a convolution with bias`() throws {
    #expect(try text([FoldBatchNorm()]).contains("%conv = conv2d(%x, @conv.weight, @conv.bias) {padding=1}"))
    #expect(try !text([FoldBatchNorm()]).contains("batch_norm"))
  }

  @Test func `all passes together`() throws {
    #expect(
      try text(standardPasses) == """
        graph small
          input %x : f32[1x4x6x6]
          %x.nhwc = convert_format(%x) {to=nhwc} : f32[1x4x6x6] nhwc
          %conv = conv2d(%x.nhwc, #conv.weight<f32[4x4x3x3] panels8/4t>, #conv.bias<f32[4]>) {padding=1 activation=relu} : f32[1x4x6x6] nhwc
          %add = add(%conv, %x.nhwc) {activation=relu} : f32[1x4x6x6] nhwc
          %add.nchw = convert_format(%add) {to=nchw} : f32[1x4x6x6]
          return %add.nchw

        """)
  }

  @Test func `a convolution that two nodes read is not folded`() throws {
    var graph = try smallGraph()
    graph.setOutputs(graph.outputs + [graph.nodes[0].outputs[0]])
    #expect(try Pipeline([FoldBatchNorm()]).run(on: graph, for: PlainTarget()).reports[0].rewrites == 0)
  }

  @Test func `a second clamp on one convolution is not fused`() throws {
    var graph = try smallGraph()
    graph.setOp(Activation(.relu6), ofNode: 3)
    let result = try Pipeline([FoldBatchNorm(), FuseActivation()]).run(on: graph, for: PlainTarget())
    #expect(result.reports[1].rewrites == 1)
    #expect(result.graph.description.contains("activation(%conv) {clamp=relu6}"))
  }

  /// Two convolutions whose sum goes through relu, as at the end of a block that changes shape; and again with the input
  /// of the block in the place of one.
  private func skips(_ change: (inout Graph, _ sides: [ValueID]) throws -> Void = { _, _ in }) throws -> Graph {
    var graph = Graph(name: "skips")
    let x = graph.addInput("x", TensorType([1, 4, 6, 6]))
    func conv(_ name: String, _ input: ValueID, groups: Int = 1) throws -> ValueID {
      let weight = graph.addParameter("\(name).weight", TensorType([4, 4 / groups, 3, 3]))!
      let bias = graph.addParameter("\(name).bias", TensorType([4]))!
      return try graph.addNode(name, Conv2D(padding: 1, groups: groups), [input, weight, bias])
    }
    let (left, right) = (try conv("left", x), try conv("right", x))
    let sum = try graph.addNode("sum", Binary(.add, epilogue: .relu), [left, right])
    let next = try conv("next", sum)
    graph.setOutputs([try graph.addNode("sum2", Binary(.add), [sum, next])])
    try SeededWeights.fill(&graph)
    try change(&graph, [left, right, next])
    return graph
  }

  private func fused(_ graph: Graph, _ target: any TargetTraits = PlainTarget()) throws -> PassResult {
    let result = try Pipeline([FuseResidual()]).run(on: graph, for: target)
    return PassResult(rewrites: result.reports[0].rewrites, text: result.graph.description)
  }
  private struct PassResult { let rewrites: Int, text: String }

  @Test func `fuse-residual lets the later convolution add what came before, and clamp the sum`() throws {
    let result = try fused(skips())
    #expect(result.rewrites == 2)
    #expect(
      result.text == """
        graph skips
          input %x : f32[1x4x6x6]
          %left = conv2d(%x, @left.weight, @left.bias) {padding=1} : f32[1x4x6x6]
          %right = conv2d(%x, @right.weight, @right.bias, %left) {padding=1 activation=relu} : f32[1x4x6x6]
          %next = conv2d(%right, @next.weight, @next.bias, %right) {padding=1} : f32[1x4x6x6]
          return %next

        """)
  }

  @Test func `a fused residual is exported as an addition behind the convolution, which ONNX has`() throws {
    let fused = try Pipeline([FuseResidual()]).run(on: skips(), for: PlainTarget()).graph
    let nodes = try Pacer_Onnx_Model(serializedBytes: ONNXWriter.write(fused)).graph.node
    #expect(nodes.map(\.opType) == ["Conv", "Conv", "Add", "Relu", "Conv", "Add"])
    #expect(nodes.allSatisfy { $0.input.count == ($0.opType == "Conv" ? 3 : $0.opType == "Add" ? 2 : 1) })
    #expect(nodes[2].input == ["right.conv", "left"] && nodes[3].output[0] == nodes[4].input[0])
  }

  @Test func `an activation of any kind is fused into convolutions and linear layers, and exported as what ONNX has`()
    throws
  {
    let limits = Epilogue.clampChannels([Clamp(min: 0, max: 1), Clamp(min: -1, max: 2)])
    for (function, words, exported) in [
      (.relu, "relu", ["Relu"]), (.relu6, "relu6", ["Clip"]), (.hardSwish, "hard-swish", ["HardSigmoid", "Mul"]),
      (.hardSigmoid, "hard-sigmoid", ["HardSigmoid"]), (.sigmoid, "sigmoid", ["Sigmoid"]),
      (limits, "clamp-channels(0.0…1.0,-1.0…2.0)", ["Max", "Min"]),
    ] as [(Epilogue, String, [String])] {
      var graph = Graph(name: "activations")
      let x = graph.addInput("x", TensorType([1, 3, 2, 2]))
      let weight = graph.addParameter("conv.weight", TensorType([2, 3, 1, 1]))!
      let conv = try graph.addNode("conv", Conv2D(), [x, weight])
      let flat = try graph.addNode("flat", Reshape.flatten, [try graph.addNode("first", Activation(function), [conv])])
      let matrix = graph.addParameter("linear.weight", TensorType([2, 8]))!
      let linear = try graph.addNode("linear", Linear(), [flat, matrix])
      graph.setOutputs([try graph.addNode("second", Activation(function), [linear])])
      for name in ["conv.weight", "linear.weight"] {
        let type = graph.parameters.first { $0.name == name }!.type
        graph.weights[name] = try Tensor(type.shape, (0..<type.shape.count).map { Float($0 % 5) - 2 })
      }
      let result = try Pipeline([FuseActivation()]).run(on: graph, for: PlainTarget())
      #expect(result.reports[0].rewrites == 2)
      #expect(
        result.graph.description == """
          graph activations
            input %x : f32[1x3x2x2]
            %conv = conv2d(%x, @conv.weight) {activation=\(words)} : f32[1x2x2x2]
            %flat = reshape(%conv) {to=axis0,rest} : f32[1x8]
            %linear = linear(%flat, @linear.weight) {activation=\(words)} : f32[1x2]
            return %linear

          """)
      let nodes = try Pacer_Onnx_Model(serializedBytes: ONNXWriter.write(result.graph)).graph.node
      #expect(nodes.map(\.opType) == ["Conv"] + exported + ["Flatten", "Gemm"] + exported)
      // Each node's inputs are there before it.
      var known = Set(["x", "conv.weight", "linear.weight"])
      for node in nodes {
        #expect(node.input.allSatisfy { known.contains($0) || $0.hasSuffix(".min") || $0.hasSuffix(".max") })
        known.formUnion(node.output)
      }
    }
  }

  @Test func `limits for another number of channels are refused`() throws {
    var graph = Graph(name: "limits")
    let x = graph.addInput("x", TensorType([1, 3, 2, 2]))
    let limits = Epilogue.clampChannels([.relu, .relu6])
    #expect(throws: GraphError.self) { try graph.addNode("y", Activation(limits), [x]) }
    #expect(throws: GraphError.self) { try graph.addNode("y", Binary(.add, epilogue: limits), [x, x]) }
    let weight = graph.addParameter("w", TensorType([4, 3, 1, 1]))!
    #expect(throws: GraphError.self) { try graph.addNode("y", Conv2D(epilogue: limits), [x, weight]) }
  }

  @Test func `fuse-residual keeps a sum that others read, that is clamped already, or that no kernel adds`() throws {
    #expect(try fused(skips { graph, sides in graph.setOutputs(graph.outputs + sides.suffix(1)) }).rewrites == 1)
    let clamped = try skips { graph, sides in
      graph.setOp(Conv2D(padding: 1, epilogue: .relu), ofNode: graph.producer(of: sides[2])!)
    }
    #expect(try fused(clamped).rewrites == 1)
    struct Without: TargetTraits {
      func weightFormats(for node: Node, in graph: Graph) -> [Int: MemoryFormat] { [:] }
    }
    #expect(try fused(skips(), Without()).rewrites == 0)
  }

  @Test func `winograd takes 3x3 convolutions of stride 1, where the target expects it to pay`() throws {
    var graph = Graph(name: "convolutions")
    let x = graph.addInput("x", TensorType([1, 32, 16, 16], .float32, .nhwc))
    func conv(_ name: String, _ op: Conv2D, kernel: Int = 3) throws -> ValueID {
      let weight = graph.addParameter("\(name).weight", TensorType([32, 32 / op.groups, kernel, kernel]))!
      return try graph.addNode(name, op, [x, weight])
    }
    graph.setOutputs([
      try conv("plain", Conv2D(padding: 1)), try conv("strided", Conv2D(stride: 2, padding: 1)),
      try conv("dilated", Conv2D(dilation: 2)), try conv("grouped", Conv2D(padding: 1, groups: 4)),
      try conv("pointwise", Conv2D(), kernel: 1),
    ])
    let result = try Pipeline([Winograd()], checksNumbers: false)
      .run(on: graph, for: CPUBackend().target(PrepareOptions()))
    #expect(result.reports[0].rewrites == 0)
    try SeededWeights.fill(&graph)
    let frozen = try Pipeline([Freeze(), Winograd()], checksNumbers: false)
      .run(on: graph, for: CPUBackend(instructionSet: .sse2).target(PrepareOptions()))
    #expect(frozen.reports[1].rewrites == 1)
    let weight = "#plain.weight<f32[32x32x3x3] winograd4x8>"
    #expect(frozen.graph.description.contains("%plain = conv2d(%x, \(weight)) {padding=1 algorithm=winograd}"))
    let plain = try Pipeline([Freeze(), Winograd()], checksNumbers: false).run(on: graph, for: PlainTarget())
    #expect(plain.reports[1].rewrites == 0)
  }

  @Test func `fuse-depthwise joins a block where the target wants it, its residual too`() throws {
    func block(_ change: (inout Graph, [ValueID]) throws -> Void = { _, _ in }) throws -> Graph {
      var graph = Graph(name: "block")
      let x = graph.addInput("x", TensorType([1, 4, 6, 6]))
      func conv(_ name: String, _ op: Conv2D, _ inputs: [ValueID], _ weight: Shape) throws -> ValueID {
        let parameters = [
          graph.addParameter("\(name).weight", TensorType(weight))!,
          graph.addParameter("\(name).bias", TensorType([weight[0]]))!,
        ]
        return try graph.addNode(name, op, [inputs[0]] + parameters + inputs.dropFirst())
      }
      let wide = try conv("expand", Conv2D(epilogue: .relu6), [x], [8, 4, 1, 1])
      let filtered = try conv("filter", Conv2D(padding: 1, groups: 8, epilogue: .relu6), [wide], [8, 1, 3, 3])
      graph.setOutputs([try conv("project", Conv2D(), [filtered, x], [4, 8, 1, 1])])
      try SeededWeights.fill(&graph)
      try change(&graph, [wide, filtered])
      return graph
    }
    struct Wants: TargetTraits {
      var accepts: @Sendable (DepthwiseBlock) -> Bool = { _ in true }
      func weightFormats(for node: Node, in graph: Graph) -> [Int: MemoryFormat] { [:] }
      func fusesDepthwise(_ block: DepthwiseBlock, of types: [TensorType]) -> Bool { accepts(block) }
    }
    let fused = { (graph: Graph, target: any TargetTraits) in
      try Pipeline([FuseDepthwise()]).run(on: graph, for: target).graph.description
    }
    #expect(
      try fused(block(), Wants()) == """
        graph block
          input %x : f32[1x4x6x6]
          %project = depthwise_block(%x, @expand.weight, @expand.bias, @filter.weight, @filter.bias, @project.weight, @project.bias, %x) {expand=(activation=relu6) depthwise=(padding=1 groups=8 activation=relu6) project=()} : f32[1x4x6x6]
          return %project

        """)
    // What others read stays a tensor.
    let open = try fused(block { graph, values in graph.setOutputs(graph.outputs + values.suffix(1)) }, Wants())
    #expect(open.contains("%filter = depthwise_block(%x, @expand.weight") && open.contains("%project = conv2d(%filter"))
    let later = try fused(block(), Wants { $0.expand == nil })
    #expect(
      later.contains("%expand = conv2d(%x") && later.contains("%project = depthwise_block(%expand, @filter.weight"))
    #expect(try !fused(block(), PlainTarget()).contains("depthwise_block"))
    // The projection adds what it reads: its input stays too.
    let own = try fused(
      block { graph, values in
        let project = graph.nodes.count - 1
        let inputs = graph.nodes[project].inputs
        let weight = graph.addParameter("own.weight", TensorType([8, 8, 1, 1]))!
        let bias = graph.addParameter("own.bias", TensorType([8]))!
        graph.weights["own.weight"] = try Tensor(zeros: TensorType([8, 8, 1, 1]))
        graph.weights["own.bias"] = try Tensor(zeros: TensorType([8]))
        let sum = try graph.addNode("own", Conv2D(), [values[1], weight, bias, values[1]])
        graph.setInputs([sum] + inputs.dropFirst(), ofNode: project)
        let node = graph.nodes.removeLast()
        graph.nodes.insert(node, at: project)
      }, Wants())
    #expect(own.contains("%own = conv2d(%filter, @own.weight, @own.bias, %filter)"), "\(own)")
  }

  @Test func `a weight transformed for winograd comes back but for rounding`() throws {
    let shape: Shape = [5, 3, 3, 3]
    let weight = try Tensor(shape, (0..<shape.count).map { Float(($0 * 37) % 101) / 50 - 1 })
    let back = try weight.converted(to: .winograd(WinogradLayout(width: 8))).converted(to: .nchw)
    #expect(back.relativeError(to: weight) < 1e-6)
  }

  @Test func `without freeze nothing is prepacked, and the report says so`() throws {
    let passes = standardPasses.filter { $0.name != "freeze" }
    let reports = try Pipeline(passes).run(on: smallGraph(), for: CPUBackend().target(PrepareOptions())).reports
    #expect(reports.last?.rewrites == 0)
  }
}

/// A pass that spoils the weights, to see that somebody notices.
private struct Vandal: Pass {
  let name = "vandal"
  let summary = ""
  let off = ""
  let pytorchName: String? = nil
  func run(on graph: inout Graph, in context: PassContext) throws -> Int {
    let tensor = graph.weights["conv.weight"]!
    graph.weights["conv.weight"] = try Tensor(tensor.shape, tensor.values.map { $0 * 1.001 })
    return 1
  }
}

@Suite struct PipelineTests {
  @Test func `a pass that changes the function is found out`() throws {
    #expect(throws: GraphError.self) { try Pipeline([Vandal()]).run(on: smallGraph(), for: PlainTarget()) }
  }

  @Test func `optimizeForMobile leaves its argument as it was`() throws {
    let graph = try smallGraph()
    let (text, weights) = (graph.description, graph.weightDigest)
    let optimised = try optimizeForMobile(graph)
    #expect(optimised.nodes.count < graph.nodes.count)
    #expect(graph.description == text && graph.weightDigest == weights)
  }

  @Test func `optimizeForMobile leaves out what it is told to`() throws {
    let graph = try optimizeForMobile(smallGraph(), disabling: ["fold-batch-norm"])
    #expect(graph.nodes.contains { $0.op is BatchNorm })
    #expect(throws: UnknownName.self) { try optimizeForMobile(smallGraph(), disabling: ["fold-batchnorm"]) }
  }

  @Test(arguments: [
    (
      "mobilenet-v2",
      [
        "fold-batch-norm": 52, "fuse-activation": 35, "fuse-add-relu": 0, "fuse-residual": 10, "remove-dropout": 1,
        "winograd": 0, "fuse-depthwise": 14, "prepack-weights": 53,
      ]
    ),
    (
      "resnet-18",
      [
        "fold-batch-norm": 20, "fuse-activation": 9, "fuse-add-relu": 8, "fuse-residual": 8, "remove-dropout": 0,
        "winograd": 13, "fuse-depthwise": 0, "prepack-weights": 8,
      ]
    ),
  ])
  func `each pass makes the rewrites that the layer tables predict`(name: String, expected: [String: Int]) throws {
    let model = try Runtime.standard.model(name)
    let reports = try Pipeline(standardPasses).run(
      on: seeded(model).graph, for: CPUBackend().target(PrepareOptions())
    ).reports
    for (pass, rewrites) in expected { #expect(reports.first { $0.name == pass }?.rewrites == rewrites, "\(pass)") }
  }

  @Test(arguments: [ModelDescription.mobileNetV2.name, ModelDescription.resNet18.name], standardPasses.indices)
  func `a model computes the same with any one pass left out`(name: String, left: Int) throws {
    let model = try Runtime.standard.model(name)
    let (graph, input) = try seeded(model, [1, 3, 64, 64])
    let expected = try graph.evaluate([input])[0]
    var passes = standardPasses
    passes.remove(at: left)
    let backend = CPUBackend()
    let optimised = try Pipeline(passes, checksNumbers: false).run(on: graph, for: backend.target(PrepareOptions()))
      .graph
    let session = try backend.prepare(optimised, PrepareOptions()).makeSession()
    session.inputs[0].write(input.values)
    for _ in 0..<3 { try session.run() }
    #expect(session.outputs[0].relativeError(to: expected) < 1e-4)
  }
}
