import Delegation
import GraphCore
import Pacer
import RuntimeCore
import TensorCore
import TestSupport
import Testing

/// IF and WHILE: taken whole by a driver that can, else interpreted, so that what they run is a driver's all the same.
@Suite struct ControlFlowTests {
  private static let image = TensorType([1, 4, 6, 6])

  private static func driver(_ name: String, without: Set<OperationCode> = [], control: PerformanceInfo? = nil)
    -> DriverProfile
  {
    DriverProfile(
      name, capabilities: Capabilities(others: PerformanceInfo(time: 0.2, power: 1), if: control, while: control),
      limits: DriverProfile.Limits(withoutOperations: without))
  }

  private static func body(_ name: String, _ build: (inout Graph, ValueID) throws -> ValueID) throws -> GraphBody {
    var graph = Graph(name: name)
    let x = graph.addInput("x", image)
    graph.setOutputs([try build(&graph, x)])
    return GraphBody(graph)
  }

  /// A convolution where the largest element is above 1, else a pool and a function that NNAPI lacks.
  private func branches() throws -> Graph {
    let convolution = try Self.body("convolution") { graph, x in
      let weight = graph.addConstant("w", try Tensor([4, 4, 3, 3], (0..<144).map { Float($0 % 11) / 11 - 0.4 }))
      let sum = try graph.addNode("conv", Conv2D(padding: 1), [x, weight])
      return try graph.addNode("swish", Activation(.hardSwish), [sum])
    }
    let pool = try Self.body("pool") { graph, x in
      let window = Window(kernel: 3, stride: 1, padding: 1, dilation: 1)
      return try graph.addNode("erf", Unary(.erf), [try graph.addNode("pool", MaxPool2D(window), [x])])
    }
    var graph = Graph(name: "branches")
    let x = graph.addInput("x", Self.image)
    let largest = try graph.addNode("largest", Reduce(.maximum, axes: [0, 1, 2, 3], keepsAxes: false), [x])
    let one = graph.addConstant("one", try Tensor([], [1]))
    let isLarge = try graph.addNode("large", Binary(.greater), [largest, one])
    let chosen = try graph.addNode("if", If(then: convolution, otherwise: pool), [isLarge, x])
    graph.setOutputs([try graph.addNode("relu", Activation(.relu), [chosen])])
    return graph
  }

  /// Adds a half until the largest element is not below a limit.
  private func loop(until limit: Float) throws -> Graph {
    var body = Graph(name: "step")
    _ = body.addInput("number", TensorType([], .int64))
    _ = body.addInput("condition", TensorType([], .bool))
    let x = body.addInput("x", Self.image)
    let half = body.addConstant("half", try Tensor([1, 1, 1, 1], [0.5]))
    let more = try body.addNode("more", Binary(.add), [x, half])
    let largest = try body.addNode("largest", Reduce(.maximum, axes: [0, 1, 2, 3], keepsAxes: false), [more])
    let bound = body.addConstant("limit", try Tensor([], [limit]))
    body.setOutputs([try body.addNode("below", Binary(.less), [largest, bound]), more])
    var graph = Graph(name: "loop")
    let input = graph.addInput("x", Self.image)
    let start = graph.addConstant("start", try Tensor([], elements: [true]))
    let loop = Loop(GraphBody(body), hasTripCount: false, hasCondition: true, carried: 1)
    let result = try graph.addNode("while", loop, [start, input])
    graph.setOutputs([try graph.addNode("relu", Activation(.relu), [result])])
    return graph
  }

  private func input(_ scale: Float) throws -> Tensor {
    try Tensor(Self.image.shape, (0..<144).map { scale * Float($0 % 13 - 6) / 6 })
  }

  private func check(_ graph: Graph, _ backend: NNAPIBackend, _ places: [String]) throws -> [Session] {
    let executable = try Placer(backend, fallback: CPUBackend(), PrepareOptions()).prepare(graph)
    #expect(executable.placement.map { "\($0.node): \($0.backend)" } == places)
    return try ([0.5, 3] as [Float]).map { scale -> Session in
      let session = try executable.makeSession()
      let input = try input(scale)
      for _ in 0..<2 { try session.run(with: [input]) }
      #expect(try session.outputs[0].actual.relativeError(to: graph.evaluate([input])[0]) < 1e-5)
      #expect(session.failure == nil)
      return session
    }
  }

  @Test func `a branch is interpreted, and what it runs is partitioned`() throws {
    let sessions = try check(
      branches(), NNAPIBackend(drivers: [Self.driver("npu")]),
      ["largest: npu", "large: npu", "if: nnapi-interpreter", "relu: npu"])
    // The convolution's branch is the driver's whole; of the other one the pool, and the error function the processor's.
    #expect(sessions.map { $0.delegation?.executions } == [2 * 3, 2 * 3])
  }

  @Test func `a driver with control flow takes all of a branch that NNAPI has`() throws {
    var graph = try branches()
    let op = try #require(graph.nodes[2].op as? If)
    graph.setOp(If(then: op.then, otherwise: op.then), ofNode: 2)
    let cheap = PerformanceInfo(time: 0.1, power: 1)
    let sessions = try check(
      graph, NNAPIBackend(drivers: [Self.driver("npu", control: cheap)]),
      ["largest: npu", "large: npu", "if: npu", "relu: npu"])
    #expect(sessions.map { $0.delegation?.executions } == [2, 2])
    // One that lacks an operation of a branch does not, and says which.
    let planned = try Placer(
      NNAPIBackend(drivers: [Self.driver("npu", without: [.hardSwish], control: cheap)]), PrepareOptions()
    ).plan(graph)
    let place = planned.placement.first { $0.node == "if" }
    #expect(place?.backend == "nnapi-interpreter")
    #expect(place?.refusals == [.init(backend: "npu", reason: "in swish: npu has no HARD_SWISH")])
  }

  @Test func `a loop goes on for as long as its data say`() throws {
    let sessions = try check(
      loop(until: 9), NNAPIBackend(drivers: [Self.driver("npu")]), ["while: nnapi-interpreter", "relu: npu"])
    // From 0.5 and from 3 to 9 in halves, each a model of the driver's, and what follows.
    #expect(sessions.map { $0.delegation?.executions } == [2 * (17 + 1), 2 * (12 + 1)])
  }

  @Test func `where sizes are known only when it ran, the processor alone makes something of a branch`() throws {
    let whole = try Self.body("whole") { graph, x in try graph.addNode("same", Activation(.relu), [x]) }
    let half = try Self.body("half") { graph, x in
      try graph.addNode("cut", Slice([Slice.Cut(axis: 2, start: 0, end: 3)]), [x])
    }
    var graph = try branches()
    graph.setOp(If(then: whole, otherwise: half), ofNode: 2)
    try graph.inferTypes()
    let sessions = try check(
      graph, NNAPIBackend(drivers: [Self.driver("npu", control: PerformanceInfo(time: 0.1, power: 1))]),
      ["largest: npu", "large: npu", "if: nnapi-reference", "relu: cpu"])
    #expect(sessions.map { $0.outputs[0].actual.shape[2] } == [3, 6])
  }

  @Test func `two loops that differ in a body's constant are two models of a driver's`() throws {
    let cheap = PerformanceInfo(time: 0.1, power: 1)
    for limit in [9, 3] as [Float] {
      _ = try check(
        loop(until: limit), NNAPIBackend(drivers: [Self.driver("loops", control: cheap)]),
        ["while: loops", "relu: loops"])
    }
  }

  @Test func `a loop without an end is ended, and is not begun again elsewhere`() throws {
    var backend = NNAPIBackend(drivers: [Self.driver("npu")])
    #expect(backend.loopTimeoutNs == 2_000_000_000)
    backend.loopTimeoutNs = 60_000_000_000
    #expect(backend.loopTimeoutNs == 15_000_000_000)
    backend.loopTimeoutNs = 50_000_000
    let session = try Placer(backend, fallback: CPUBackend(), PrepareOptions()).prepare(loop(until: .infinity))
      .makeSession()
    let input = try input(1)
    let error = #expect(throws: (any Error).self) { try session.run(with: [input]) }
    #expect(error.map { "\($0)" } == "MISSED_DEADLINE_TRANSIENT: a loop did not end within 50 ms")
    #expect(session.failure == nil)
  }
}
