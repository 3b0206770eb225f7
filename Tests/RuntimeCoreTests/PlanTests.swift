import BenchStatistics
import GraphCore
import RuntimeCore
import TensorCore
import Testing

/// Any number of inputs and outputs; the outputs' extents are its attribute.
struct AnyOp: Op {
  static let name = "any"
  var outputs: [Int]
  func outputTypes(for inputs: [TensorType]) -> [TensorType] { outputs.map { TensorType([1, $0]) } }
  func evaluate(_ inputs: [Tensor]) throws -> [Tensor] { throw GraphError("any computes nothing") }
}

/// A backend made of chance: views, working memory and overwritable inputs are drawn once.
struct DrawnLowering: Lowering {
  let graph: Graph
  let space: MemorySpace
  let views: Set<Int>
  var kernels: [PlannedKernel]

  init(_ graph: Graph, _ space: MemorySpace, _ generator: inout SeededGenerator) {
    (self.graph, self.space) = (graph, space)
    views = Set(
      graph.nodes.indices.filter {
        graph.nodes[$0].inputs.count == 1 && graph.nodes[$0].outputs.count == 1
          && graph[graph.nodes[$0].inputs[0]].type == graph[graph.nodes[$0].outputs[0]].type
          && Bool.random(using: &generator)
      })
    kernels = graph.nodes.map { node in
      PlannedKernel(
        name: "drawn",
        scratch: (0..<Int.random(in: 0...2, using: &generator)).map { _ in
          64 * Int.random(in: 0...3, using: &generator)
        }, overwritableInputs: node.inputs.indices.filter { _ in Bool.random(using: &generator) })
    }
  }

  var device: String { "\(space)" }
  func compile(_ segments: [Plan.Segment], of plan: Plan) throws -> any CompiledSegments { throw GraphError("drawn") }
  func isView(_ node: Int) -> Bool { views.contains(node) }
  func kernel(for node: Int) -> PlannedKernel { kernels[node] }
  /// Devices take twice the bytes: nothing may take a size from the wrong space.
  func byteCount(of value: ValueID) -> Int { graph[value].type.byteCount * (space == .host ? 1 : 2) }
}

@Suite struct PlanTests {
  private func drawnGraph(_ generator: inout SeededGenerator) throws -> Graph {
    var graph = Graph(name: "drawn")
    func extent(_ generator: inout SeededGenerator) -> Int { [16, 16, 32, 48].randomElement(using: &generator)! }
    var values = (0..<Int.random(in: 1...3, using: &generator)).map {
      graph.addInput("x\($0)", TensorType([1, extent(&generator)]))
    }
    values.append(graph.addConstant("c", try Tensor([1, 16], [Float](repeating: 0, count: 16))))
    values.append(graph.addParameter("p", TensorType([1, 16]))!)
    for index in 0..<Int.random(in: 0...14, using: &generator) {
      let inputs = (0..<Int.random(in: 1...3, using: &generator)).map { _ in
        // Late values are read more often, as in a network.
        values[
          max(Int.random(in: 0..<values.count, using: &generator), Int.random(in: 0..<values.count, using: &generator))]
      }
      let sameSize = graph[inputs[0]].type.shape[1]
      let op = AnyOp(
        outputs: (0..<Int.random(in: 1...2, using: &generator)).map { _ in
          Bool.random(using: &generator) ? sameSize : extent(&generator)
        })
      _ = try graph.addNode("n\(index)", op, inputs)
      values += graph.nodes.last!.outputs
    }
    graph.setOutputs(
      (0..<Int.random(in: 1...3, using: &generator)).map { _ in values.randomElement(using: &generator)! })
    return graph
  }

  /// Runs a plan with the names of values in the place of their bytes, each space one row of bytes as its arena lays it out,
  /// and sees that every step finds what its node reads and that each output ends up where the caller looks.
  private func check(_ plan: Plan, _ lowerings: [DrawnLowering], _ placed: [Int]) throws {
    let graph = plan.graph
    /// What a slot holds that is not in an arena.
    var held: [Int: ValueID] = [:]
    var bytes: [MemorySpace: [ValueID?]] = [:]
    var arenas: [MemorySpace: Arena] = [:]
    for space in Set(plan.slots.map(\.space)) {
      let arena = Arena(plan, in: space)
      #expect(arena.byteCount >= arena.lowerBound)
      arenas[space] = arena
      bytes[space] = [ValueID?](repeating: nil, count: arena.byteCount)
    }
    func write(_ slot: Int, _ value: ValueID?) {
      let kind = plan.slots[slot]
      guard kind.source == .computed else { return held[slot] = value }
      guard let offset = arenas[kind.space]!.offsets[.slot(slot)] else { return }
      for byte in offset..<(offset + kind.byteCount) { bytes[kind.space]![byte] = value }
    }
    func read(_ slot: Int) -> ValueID? {
      let kind = plan.slots[slot]
      guard kind.source == .computed else { return held[slot] }
      guard let offset = arenas[kind.space]!.offsets[.slot(slot)] else { return nil }
      let found = Set(bytes[kind.space]![offset..<(offset + kind.byteCount)])
      return found.count == 1 ? found.first! : nil
    }
    for (index, slot) in plan.slots.enumerated() {
      switch slot.source {
      case .input(let input): held[index] = graph.inputs[input]
      case .constant, .parameter: held[index] = slot.values[0]
      case .output, .computed: break
      }
    }
    /// Whether `value` is `found`, or a view of it in that space.
    func isOrViews(_ value: ValueID, _ found: ValueID?, in space: MemorySpace) -> Bool {
      if value == found { return true }
      guard let node = graph.producer(of: value), lowerings[placed[node]].space == space,
        lowerings[placed[node]].isView(node)
      else { return false }
      return isOrViews(graph.nodes[node].inputs[0], found, in: space)
    }
    for (index, step) in plan.steps.enumerated() {
      guard let node = step.node else {
        for copy in step.copies {
          // A view is copied under its own name.
          let target = plan.slots[copy.target]
          #expect(isOrViews(target.values[0], read(copy.source), in: plan.slots[copy.source].space))
          write(copy.target, target.values[0])
        }
        continue
      }
      do {
        let lowering = lowerings[placed[node]]
        for (id, slot) in zip(graph.nodes[node].inputs, step.inputs) {
          #expect(plan.slots[slot].space == lowering.space)
          #expect(isOrViews(id, read(slot), in: lowering.space), "\(graph.nodes[node].name)")
        }
        // Working memory and outputs are written while inputs are still read, unless one takes the other's place.
        for piece in step.scratch.indices {
          guard let offset = arenas[lowering.space]!.offsets[.scratch(step: index, piece: piece)] else { continue }
          for byte in offset..<(offset + step.scratch[piece]) { bytes[lowering.space]![byte] = nil }
        }
        for (slot, id) in zip(step.outputs, graph.nodes[node].outputs) where !step.inputs.contains(slot) {
          write(slot, id)
        }
        for (id, slot) in zip(graph.nodes[node].inputs, step.inputs) where !step.outputs.contains(slot) {
          #expect(isOrViews(id, read(slot), in: lowering.space), "\(graph.nodes[node].name) lost an input")
        }
        for (slot, id) in zip(step.outputs, graph.nodes[node].outputs) { write(slot, id) }
      }
    }
    for (id, slot) in zip(graph.outputs, plan.outputs) {
      #expect(plan.slots[slot].space == .host)
      #expect(isOrViews(id, read(slot), in: .host))
    }
    // No input of the caller is written.
    for slot in plan.steps.flatMap(\.outputs) {
      if case .input = plan.slots[slot].source { Issue.record("an input is written") }
    }
  }

  @Test(arguments: [true, false])
  func `each step finds its inputs, in any mixture of spaces, views and kernels that overwrite`(inPlace: Bool) throws {
    var generator = SeededGenerator(seed: 20)
    for _ in 0..<400 {
      let graph = try drawnGraph(&generator)
      let spaces: [MemorySpace] = [.host, .device("a"), .device("b"), .host]
      let lowerings = spaces.map { DrawnLowering(graph, $0, &generator) }
      let placed = graph.nodes.map { _ in Int.random(in: 0..<lowerings.count, using: &generator) }
      let plan = Plan(graph, on: lowerings, placed: placed, inPlace: inPlace)
      try check(plan, lowerings, placed)
      #expect(inPlace || !plan.steps.contains { $0.isInPlace })
      #expect(plan.segments.flatMap(\.steps) == Array(plan.steps.indices))
    }
  }

  @Test func `the host's memory serves kernels that overwrite one input and write another output besides`() throws {
    var generator = SeededGenerator(seed: 21)
    for kind in [AllocatorKind.system, .caching, .mapped, .arena] {
      for _ in 0..<100 {
        let graph = try drawnGraph(&generator)
        var lowerings = [DrawnLowering(graph, .host, &generator), DrawnLowering(graph, .device("a"), &generator)]
        lowerings[0].kernels = lowerings[0].kernels.map { kernel in
          PlannedKernel(
            name: "", scratch: Array(kernel.scratch.prefix(1)), overwritableInputs: kernel.overwritableInputs)
        }
        let placed = graph.nodes.map { _ in Int.random(in: 0...1, using: &generator) }
        let plan = Plan(graph, on: lowerings, placed: placed)
        let inputs = try graph.inputs.map { try Tensor(zeros: graph[$0].type) }
        let outputs = try graph.outputs.map { try Tensor(zeros: graph[$0].type) }
        var weighted = plan.graph
        weighted.weights["p"] = try Tensor([1, 16], [Float](repeating: 0, count: 16))
        let whole = Plan(weighted, on: lowerings, placed: placed)
        let memory = try HostMemory(whole, kind, hugePages: false, inputs: inputs, outputs: outputs)
        let before = memory.statistics.liveBytes
        for _ in 0..<2 {
          try memory.whileRunning {
            for (index, step) in whole.steps.enumerated() {
              let scratch = try memory.begin(index)
              for slot in step.inputs + step.outputs where whole.slots[slot].space == .host {
                memory[slot].assumingMemoryBound(to: UInt8.self)[whole.slots[slot].byteCount - 1] = 1
              }
              let isHere = step.node.map { placed[$0] == 0 } ?? false
              #expect(isHere ? scratch != nil || step.scratch.first ?? 0 == 0 : scratch == nil)
              memory.end(index)
            }
          }
          #expect(memory.statistics.liveBytes == before)
        }
        // The device's working memory is none of the host's.
        let timeline = try memory.timeline(constantBytes: 0)
        let own = whole.lifetimes(in: .host).filter { $0.interval.byteCount > 0 }
        #expect(timeline.blocks.map(\.byteCount).sorted() == own.map(\.interval.byteCount).sorted())
        #expect(memory.statistics.liveBytes == before)
      }
    }
  }

  @Test func `a plan prints what runs when and where each value lies`() throws {
    var graph = Graph(name: "small")
    let x = graph.addInput("x", TensorType([1, 4]))
    let first = try graph.addNode("first", Activation(.relu), [x])
    let second = try graph.addNode("second", Activation(.relu6), [first])
    let third = try graph.addNode("third", Binary(.add), [second, first])
    graph.setOutputs([third, x])
    struct Fixed: Lowering {
      var space: MemorySpace
      let device = "fixed"
      func compile(_ segments: [Plan.Segment], of plan: Plan) throws -> any CompiledSegments {
        throw GraphError("fixed")
      }
      func isView(_ node: Int) -> Bool { false }
      func kernel(for node: Int) -> PlannedKernel {
        PlannedKernel(name: "kernel\(node)", scratch: node == 1 ? [64] : [], overwritableInputs: [0])
      }
      func byteCount(of value: ValueID) -> Int { 32 }
    }
    let host = Fixed(space: .host)
    #expect(
      Plan(graph, on: [host, Fixed(space: .device("gpu"))], placed: [0, 1, 0]).description == """
        plan small
          &0 input 0 x : f32[1x4], 16 bytes
          &1 computed first : f32[1x4], 16 bytes
          &2@gpu computed first, second : f32[1x4], 32 bytes
          &3 computed second : f32[1x4], 16 bytes
          &4 output 0 third : f32[1x4], 16 bytes
          &5 output 1 x : f32[1x4], 16 bytes
          segment on 0
            0: &1 = kernel0(&0) for first
          segment on 1
            1: copy &1 → &2@gpu
            2: &2@gpu = kernel1(&2@gpu) for second, in place, working memory 64
            3: copy &2@gpu → &3, releases &2@gpu
          segment on 0
            4: &4 = kernel2(&3, &1) for third, releases &1, &3
          segment on the caller's tensors
            5: copy &0 → &5
          return &4, &5

        """)
    let alone = Plan(graph, on: [host]).segments
    #expect(alone.map(\.backend) == [0, nil] && alone.map(\.steps) == [0..<3, 3..<4])
  }
}
