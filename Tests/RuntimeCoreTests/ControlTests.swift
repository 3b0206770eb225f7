import BackendCPU
import BackendVulkan
import GraphCore
import GraphPasses
import RuntimeCore
@testable import TensorCore
import TestSupport
import Testing

/// Runs a graph on its own outputs for as long as another says so of them.
private struct While: ControlOp {
  static let name = "while"
  var condition: GraphBody
  var body: GraphBody
  var bodies: [GraphBody] { [condition, body] }
  var attributes: [(String, String)] { [("condition", "\(condition)"), ("body", "\(body)")] }

  func outputTypes(for inputs: [TensorType]) throws -> [TensorType] { inputs }

  func evaluate(_ inputs: [Tensor], run: (Int, [Tensor]) throws -> [Tensor]) throws -> [Tensor] {
    var state = inputs
    while try run(0, state)[0].doubles[0] != 0 { state = try run(1, state) }
    return state
  }
}

/// Whether the first element is below a limit.
private struct IsBelow: Op {
  static let name = "is_below"
  var limit: Float
  var attributes: [(String, String)] { [("limit", "\(limit)")] }
  func outputTypes(for inputs: [TensorType]) throws -> [TensorType] { [TensorType([], .bool)] }
  func evaluate(_ inputs: [Tensor]) throws -> [Tensor] { [try Tensor([], elements: [inputs[0].values[0] < limit])] }
}

@Suite struct ControlTests {
  private static func body(_ name: String, _ type: TensorType, _ build: (inout Graph, ValueID) throws -> ValueID) throws
    -> GraphBody
  {
    var graph = Graph(name: name)
    let x = graph.addInput("x", type)
    graph.setOutputs([try build(&graph, x)])
    return GraphBody(graph)
  }

  /// A branch between a convolution and a pool that is repeated, and a loop that adds until the first element is large enough.
  private func branches() throws -> Graph {
    let image = TensorType([1, 4, 6, 6])
    let convolution = try Self.body("convolution", image) { graph, x in
      let weight = graph.addConstant("w", try Tensor([4, 4, 3, 3], (0..<144).map { Float($0 % 11) / 11 - 0.4 }))
      return try graph.addNode("conv", Conv2D(padding: 1, epilogue: .relu), [x, weight])
    }
    let mean = try Self.body("mean", image) { graph, x in
      let mean = try graph.addNode("mean", GlobalAveragePool(), [x])
      return try graph.addNode("spread", Binary(.add), [x, mean])
    }
    let below = try Self.body("below", image) { graph, x in try graph.addNode("below", IsBelow(limit: 9), [x]) }
    let step = try Self.body("step", image) { graph, x in
      let one = graph.addConstant("one", try Tensor([1, 1, 1, 1], [1]))
      let more = try graph.addNode("more", Binary(.add), [x, one])
      return try graph.addNode("doubled", Binary(.add), [more, more])
    }
    var graph = Graph(name: "branches")
    let flag = graph.addInput("flag", TensorType([], .bool))
    let x = graph.addInput("x", image)
    let start = try graph.addNode("start", Activation(.relu), [x])
    let chosen = try graph.addNode("choice", If(then: convolution, otherwise: mean), [flag, start])
    let looped = try graph.addNode("loop", While(condition: below, body: step), [chosen])
    graph.setOutputs([try graph.addNode("end", Activation(.hardSwish), [looped])])
    return graph
  }

  @Test(arguments: [AllocatorKind.system, .arena], [KernelFamily.fast, .reference])
  func `branches and loops run graphs of their own, as the data says`(allocator: AllocatorKind, kernels: KernelFamily)
    throws
  {
    let graph = try branches()
    if kernels == .reference, allocator != .system { return }
    let stub = StubBackend { node, _ in node.op is Activation }
    for placer in [
      try Placer(CPUBackend(kernels: kernels), PrepareOptions(allocator: allocator, threads: 2)),
      try Placer(stub, fallback: CPUBackend(), PrepareOptions(allocator: allocator)),
    ] {
      let executable = try placer.prepare(graph)
      #expect(executable.placement[1...2].allSatisfy { $0.backend == "cpu" && $0.kernel == "control" })
      let session = try executable.makeSession()
      for flag in [true, false, true, true, false] {
        let arguments = [
          try Tensor([], elements: [flag]), try Tensor([1, 4, 6, 6], (0..<144).map { Float($0 * 31 % 17) / 17 - 0.3 }),
        ]
        try session.run(with: arguments)
        let expected = try graph.evaluate(arguments)[0]
        #expect(expected.values[0] >= 9)
        #expect(session.outputs[0].relativeError(to: expected) < 1e-6)
      }
    }
  }

  @Test func `bodies have plans of their own, which the plan shows`() throws {
    let plan = try CPUBackend().prepare(branches(), PrepareOptions(allocator: .arena)).plan
    let text = "\(plan)"
    #expect(plan.steps.map(\.bodies.count) == [0, 2, 2, 0])
    #expect(text.contains("control(&"), "\(text)")
    for line in ["| plan convolution", "| plan mean", "| plan below", "| plan step"] { #expect(text.contains(line)) }
  }

  @Test func `the passes go around nodes with bodies`() throws {
    let graph = try branches()
    let placer = try Placer(CPUBackend(), PrepareOptions(allocator: .arena))
    let optimised = try Pipeline(standardPasses, checksNumbers: false).run(on: graph, for: placer).graph
    let session = try placer.prepare(optimised).makeSession()
    let arguments = [try Tensor([], elements: [true]), try Tensor([1, 4, 6, 6], (0..<144).map { Float($0) / 144 })]
    try session.run(with: arguments)
    #expect(session.outputs[0].relativeError(to: try graph.evaluate(arguments)[0]) < 1e-6)
  }

  @Test func `a wrong body is a wrong graph, and bodies that compute the same are equal`() throws {
    let type = TensorType([4])
    let good = try Self.body("good", type) { graph, x in try graph.addNode("y", Activation(.relu), [x]) }
    let same = try Self.body("good", type) { graph, x in try graph.addNode("y", Activation(.relu), [x]) }
    let other = try Self.body("good", type) { graph, x in try graph.addNode("y", Activation(.relu6), [x]) }
    #expect(good == same && good != other && Set([good, same, other]).count == 2)
    var broken = good.graph
    broken.setInputs([], ofNode: 0)
    var graph = Graph(name: "outer")
    let flag = graph.addInput("flag", TensorType([], .bool))
    let x = graph.addInput("x", type)
    graph.setOutputs([try graph.addNode("choice", If(then: good, otherwise: GraphBody(broken)), [flag, x])])
    #expect { try graph.verify() } throws: { "\($0)".contains("choice") }
  }

  // MARK: Extents known only at run time

  private func positions() throws -> Graph {
    var graph = Graph(name: "positions")
    let x = graph.addInput("x", TensorType([1, 2, 3, 4]))
    let relu = try graph.addNode("relu", Activation(.relu), [x])
    let found = try graph.addNode("found", NonZero(), [relu])
    let floats = try graph.addNode("floats", Cast(to: .float32), [found])
    let doubled = try graph.addNode("doubled", Binary(.add), [floats, floats])
    graph.setOutputs([found, try graph.addNode("kept", Dropout(probability: 0.5), [doubled])])
    return graph
  }

  @Test(arguments: [AllocatorKind.system, .caching, .arena])
  func `what has as many elements as the data says runs on the ops' own loops`(allocator: AllocatorKind) throws {
    let graph = try positions()
    #expect(graph.description.contains("%found = non_zero(%relu) : i64[≤4x24]"))
    #expect(graph.description.contains("%kept = dropout(%doubled) {p=0.5} : f32[≤4x24]"))
    let stub = StubBackend { node, _ in node.op is Activation }
    for backend in [CPUBackend(), stub] as [any Backend] {
      let placer = try Placer(backend, fallback: CPUBackend(), PrepareOptions(allocator: allocator))
      let optimised = try Pipeline([FuseActivation(), ChannelsLast(), ToFloat16()], checksNumbers: false)
        .run(on: graph, for: placer).graph
      for graph in [graph, optimised] {
        let executable = try placer.prepare(graph)
        let after = zip(graph.nodes, executable.placement).drop { !($0.0.op is NonZero) }
        #expect(after.allSatisfy { $0.1.kernel == "reference" })
        let session = try executable.makeSession()
        for count in [0, 5, 24, 1] {
          let input = try Tensor([1, 2, 3, 4], (0..<24).map { ($0 * 7 + 3) % 24 < count ? 1.5 : -1 })
          try session.run(with: [input])
          let expected = try graph.evaluate([input])
          #expect(expected[0].shape == [4, count])
          for (output, wanted) in zip(session.outputs, expected) {
            #expect(output.type.isUpperBound && output.shape == [4, 24])
            #expect(output.actual.type == wanted.type && output.actual.doubles == wanted.doubles)
          }
        }
      }
    }
  }

  @Test func `more than the bound is an error, and inputs have extents that are known`() throws {
    struct Liar: Op {
      static let name = "liar"
      func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
        var type = TensorType([2])
        type.isUpperBound = true
        return [type]
      }
      func evaluate(_ inputs: [Tensor]) throws -> [Tensor] { [try Tensor([3], [1, 2, 3])] }
    }
    var graph = Graph(name: "liar")
    let x = graph.addInput("x", TensorType([4]))
    graph.setOutputs([try graph.addNode("y", Liar(), [x])])
    let session = try CPUBackend().prepare(graph, PrepareOptions()).makeSession()
    #expect { try session.run() } throws: { "\($0)".contains("does not fit f32[≤2]") }
    var type = TensorType([4])
    type.isUpperBound = true
    var other = Graph(name: "input")
    other.setOutputs([other.addInput("x", type)])
    #expect { try other.verify() } throws: { "\($0)".contains("extents that are known") }
  }
}
