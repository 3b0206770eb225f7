import GraphCore
import Pacer
import RuntimeCore
import TensorCore
import TestSupport
import Testing

@Suite struct PlacementTests {
  static let models: [(ModelDescription, Shape)] = [(.mobileNetV2, [1, 3, 64, 64]), (.resNet18, [1, 3, 32, 32])]

  private func prepared(
    _ model: ModelDescription, _ shape: Shape, _ passes: [any Pass], _ backend: any Backend,
    _ options: PrepareOptions = PrepareOptions(allocator: .arena)
  ) throws -> (executable: Executable, graph: Graph, input: Tensor) {
    let (graph, input) = try seeded(model, shape)
    let placer = try Placer(backend, fallback: CPUBackend(), options)
    let optimised = try Pipeline(passes, checksNumbers: false).run(on: graph, for: placer).graph
    return (try placer.prepare(optimised), optimised, input)
  }

  private func run(_ executable: Executable, _ input: Tensor) throws -> [Float] {
    let session = try executable.makeSession()
    session.inputs[0].write(input.values)
    for _ in 0..<2 { try session.run() }
    #expect(session.failure == nil)
    return session.outputs[0].values
  }

  @Test(arguments: [StubBackend.convolutionsOnly(), .everySecond()], [true, false])
  func `a backend that takes a part gives the same bits as the CPU alone`(_ stub: StubBackend, optimised: Bool) throws {
    for (model, shape) in Self.models {
      for allocator in [AllocatorKind.arena, .system] {
        let options = PrepareOptions(allocator: allocator, threads: 2)
        let (executable, graph, input) = try prepared(model, shape, optimised ? standardPasses : [], stub, options)
        let alone = try CPUBackend().prepare(graph, options)
        #expect(try run(executable, input) == run(alone, input))

        let backends = executable.placement.map(\.backend)
        #expect(Set(backends) == ["stub", "cpu"])
        for place in executable.placement {
          #expect(place.refusals.isEmpty == (place.backend == "stub"))
          if place.backend == "cpu" { #expect(place.refusals.map(\.backend) == ["stub"]) }
        }
        // What the stub reads of others goes there once, and what others read of it comes back once.
        var (up, down) = (Set<ValueID>(), Set<ValueID>())
        let own = Set(zip(graph.nodes, backends).filter { $0.1 == "stub" }.flatMap(\.0.outputs))
        for (node, backend) in zip(graph.nodes, backends) {
          for id in node.inputs {
            if case .constant = graph[id].source { continue }
            if backend == "stub", !own.contains(id) { up.insert(id) }
            if backend == "cpu", own.contains(id) { down.insert(id) }
          }
        }
        down.formUnion(graph.outputs.filter(own.contains))
        let copies = executable.plan.borderCopies
        #expect(copies.count == up.count + down.count)
        #expect(copies.byteCount == (Array(up) + Array(down)).reduce(0) { $0 + graph[$1].type.byteCount })
      }
    }
  }

  @Test func `a failure at any step is made good from the inputs on the CPU, and said`() throws {
    let stub = StubBackend.everySecond()
    let (executable, graph, input) = try prepared(.resNet18, [1, 3, 32, 32], [], stub)
    let expected = try run(CPUBackend().prepare(graph, PrepareOptions(allocator: .arena)), input)
    let plan = executable.plan
    let steps = plan.segments.filter { $0.backend == 0 }.reduce(0) { $0 + $1.steps.count }
    #expect(steps > 20)
    for step in 0..<steps {
      let session = try executable.makeSession()
      session.inputs[0].write(input.values)
      stub.fault.set(after: step)
      try session.run()
      stub.fault.set(after: nil)
      #expect(session.outputs[0].values == expected, "step \(step)")
      #expect(session.failure?.description == "stub failed: the stub was unplugged; cpu computes instead")
      #expect(session.inputs[0].values == input.values)
      // Other inputs later, and inputs of the caller's own.
      let dark = try Tensor(input.shape, input.values.map { $0 / 2 })
      try session.run(with: [dark])
      let whole = try CPUBackend().prepare(graph, PrepareOptions(allocator: .arena)).makeSession()
      try whole.run(with: [dark])
      #expect(session.outputs[0].values == whole.outputs[0].values)
    }
  }

  @Test func `without a fallback a failure is an error, and the next run is as usual`() throws {
    let stub = StubBackend { _, _ in true }
    let (graph, input) = try seeded(.resNet18, [1, 3, 32, 32])
    let session = try stub.prepare(graph, PrepareOptions()).makeSession()
    session.inputs[0].write(input.values)
    stub.fault.set(after: 3)
    #expect(throws: StubBackend.Lost.self) { try session.run() }
    try session.run()
    #expect(session.failure == nil)
    #expect(try session.outputs[0].values == run(CPUBackend().prepare(graph, PrepareOptions()), input))
  }

  @Test func `after a failure nothing is profiled, and where the fallback fails too both reasons are told`() throws {
    let stub = StubBackend.convolutionsOnly()
    var (executable, graph, input) = try prepared(.resNet18, [1, 3, 32, 32], [], stub)
    let session = try executable.makeSession()
    session.inputs[0].write(input.values)
    stub.fault.set(after: 2)
    try session.run()
    var times = [Double](repeating: 0, count: executable.placement.count)
    #expect(throws: Session.Failure.self) { try session.runTimed(into: &times) }
    #expect(throws: Session.Failure.self) { try session.runTraced { _ in } }
    #expect(throws: Session.Failure.self) { try session.run { _ in } }

    // A weight that only the processor's nodes read is missing.
    graph.weights["fc.weight"] = nil
    executable = try Placer(stub, fallback: CPUBackend(), PrepareOptions()).prepare(graph)
    let other = try executable.makeSession()
    stub.fault.set(after: 2)
    do {
      try other.run()
      Issue.record("no error")
    } catch let failure as Session.Failure {
      #expect(failure.description.contains("unplugged") && failure.description.contains("fc.weight is missing"))
    }
    #expect(other.failure == nil)
  }

  @Test func `a wrong graph or wrong options are errors before any backend is asked`() throws {
    var graph = try seeded(.resNet18, [1, 3, 32, 32]).graph
    let convolution = graph.nodes.firstIndex { $0.op is Conv2D }!
    let options = PrepareOptions(threads: 0)
    let optimised = try Pipeline(standardPasses, checksNumbers: false)
      .run(on: graph, for: Placer(CPUBackend(), PrepareOptions())).graph
    #expect(throws: GraphError.self) { try CPUBackend().prepare(optimised, options) }
    graph.setInputs([graph.nodes[convolution].inputs[0]], ofNode: convolution)
    #expect(throws: GraphError.self) { try CPUBackend().prepare(graph, PrepareOptions()) }
  }

  @Test func `a graph that was placed before is placed anew`() throws {
    let (graph, input) = try seeded(.resNet18, [1, 3, 32, 32])
    let mixed = try Placer(StubBackend.convolutionsOnly(), fallback: CPUBackend(), PrepareOptions())
    let placed = try Pipeline(standardPasses, checksNumbers: false).run(on: graph, for: mixed).graph
    #expect(placed.nodes.contains { $0.placed == 1 })
    let alone = try Placer(CPUBackend(), PrepareOptions())
    let again = try Pipeline([PrepackWeights()], checksNumbers: false).run(on: placed, for: alone).graph
    #expect(again.nodes.allSatisfy { $0.placed == nil })
    let values = try run(alone.prepare(again), input)
    #expect(relativeError(values, try graph.evaluate([input])[0].doubles) < 1e-4)
  }

  @Test func `target passes keep to one backend and ask each node's own`() throws {
    // Every convolution but the depthwise ones: no residual block may be fused across the border.
    let stub = StubBackend { node, _ in (node.op as? Conv2D).map { $0.groups == 1 } ?? (Binary.computes(.add, node.op))
    }
    let (executable, graph, _) = try prepared(.mobileNetV2, [1, 3, 224, 224], standardPasses, stub)
    #expect(!graph.nodes.contains { $0.op is DepthwiseBlock })
    #expect(graph.nodes.contains { ($0.op is Conv2D) && $0.inputs.count == 4 && $0.placed == 0 })
    #expect(zip(graph.nodes, executable.placement).allSatisfy { $0.placed != 1 || $1.backend == "cpu" })
    #expect(graph.description.contains(" on 1\n"))
  }

  @Test func `profiles sum over segments`() throws {
    let (executable, _, input) = try prepared(.mobileNetV2, [1, 3, 32, 32], standardPasses, StubBackend.everySecond())
    let session = try executable.makeSession()
    session.inputs[0].write(input.values)
    var times = [Double](repeating: -1, count: executable.placement.count)
    #expect(try session.runTimed(into: &times) == nil)
    for (place, time) in zip(executable.placement, times) {
      #expect((time >= 0) == (place.kernel != "view"), "\(place)")
    }
    var finished: [Int] = []
    let spans = try session.runTraced { finished.append($0) }
    #expect(Set(spans.map(\.node)) == Set(finished) && finished == finished.sorted())
    #expect(zip(spans, spans.dropFirst()).allSatisfy { $0.start <= $1.start })
  }
}
