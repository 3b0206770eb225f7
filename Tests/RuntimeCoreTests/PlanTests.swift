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

/// A backend made of chance: views, what joins, working memory and overwritable inputs are drawn once.
struct DrawnLowering: Lowering {
  let graph: Graph
  let space: MemorySpace
  /// Offsets by node.
  let views: [Int: Int]
  let joining: Set<Int>
  var kernels: [PlannedKernel]

  init(_ graph: Graph, _ space: MemorySpace, _ generator: inout SeededGenerator) {
    (self.graph, self.space) = (graph, space)
    func bytes(_ value: ValueID) -> Int { graph[value].type.byteCount * (space == .host ? 1 : 2) }
    var (views, joining) = ([Int: Int](), Set<Int>())
    for (index, node) in graph.nodes.enumerated() where node.outputs.count == 1 && Bool.random(using: &generator) {
      let (input, output) = (bytes(node.inputs[0]), bytes(node.outputs[0]))
      if node.inputs.count == 1, output <= input {
        views[index] = Int.random(in: 0...(input - output) / 64, using: &generator) * 64
      } else if node.inputs.map(bytes).reduce(0, +) == output {
        joining.insert(index)
      }
    }
    (self.views, self.joining) = (views, joining)
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
  func viewOffset(_ node: Int) -> Int? { views[node] }
  func joins(_ node: Int) -> Bool { joining.contains(node) }
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
      let sizes = inputs.map { graph[$0].type.shape[1] }
      let op = AnyOp(
        outputs: Int.random(in: 0..<3, using: &generator) == 0
          ? [sizes.reduce(0, +)]
          : (0..<Int.random(in: 1...2, using: &generator)).map { _ in
            Bool.random(using: &generator) ? sizes[0] : extent(&generator)
          })
      _ = try graph.addNode("n\(index)", op, inputs)
      values += graph.nodes.last!.outputs
    }
    graph.setOutputs(
      (0..<Int.random(in: 1...3, using: &generator)).map { _ in values.randomElement(using: &generator)! })
    return graph
  }

  /// A byte of a value as the node, input or constant has it that it came from.
  private struct Byte: Hashable {
    var value: ValueID
    var place: Int
  }

  /// Runs a plan with names in the place of bytes, each space one row of them as its arena lays it out, and sees that every step finds
  /// what its node reads and that each output ends up where the caller looks.
  private func check(_ plan: Plan, _ lowerings: [DrawnLowering], _ placed: [Int]) throws {
    let graph = plan.graph
    /// What a slot holds that is not in an arena.
    var held: [Int: [Byte?]] = [:]
    var bytes: [MemorySpace: [Byte?]] = [:]
    var arenas: [MemorySpace: Arena] = [:]
    for space in Set(plan.slots.map(\.space)) {
      let arena = Arena(plan, in: space)
      #expect(arena.byteCount >= arena.lowerBound)
      arenas[space] = arena
      bytes[space] = [Byte?](repeating: nil, count: arena.byteCount)
    }
    /// Where a slot's bytes are: its own, or those of the one that it is a part of.
    func place(_ slot: Int) -> (whole: Int, offset: Int) {
      if case .part(let whole, let offset) = plan.slots[slot].source { (whole, offset) } else { (slot, 0) }
    }
    func write(_ slot: Int, _ content: [Byte?]) {
      let (whole, offset) = place(slot)
      let kind = plan.slots[whole]
      #expect(content.count == plan.slots[slot].byteCount && offset + content.count <= kind.byteCount)
      if kind.source == .computed {
        guard let start = arenas[kind.space]!.offsets[.slot(whole)] else { return }
        bytes[kind.space]!.replaceSubrange((start + offset)..<(start + offset + content.count), with: content)
      } else {
        held[whole, default: [Byte?](repeating: nil, count: kind.byteCount)]
          .replaceSubrange(offset..<(offset + content.count), with: content)
      }
    }
    func read(_ slot: Int) -> [Byte?]? {
      let ((whole, offset), count) = (place(slot), plan.slots[slot].byteCount)
      let kind = plan.slots[whole]
      guard kind.source == .computed else { return held[whole].map { Array($0[offset..<(offset + count)]) } }
      guard let start = arenas[kind.space]!.offsets[.slot(whole)] else { return nil }
      return Array(bytes[kind.space]![(start + offset)..<(start + offset + count)])
    }
    /// What a value is in a space: a view a part of its input, what joins its inputs, anything else itself.
    func content(_ value: ValueID, in space: MemorySpace) -> [Byte?] {
      let count = graph[value].type.byteCount * (space == .host ? 1 : 2)
      if let node = graph.producer(of: value), lowerings[placed[node]].space == space {
        let (lowering, inputs) = (lowerings[placed[node]], graph.nodes[node].inputs)
        if let offset = lowering.viewOffset(node) {
          return Array(content(inputs[0], in: space)[offset..<(offset + count)])
        }
        if lowering.joins(node) { return inputs.flatMap { content($0, in: space) } }
      }
      return (0..<count).map { Byte(value: value, place: $0) }
    }
    for (index, slot) in plan.slots.enumerated() {
      switch slot.source {
      case .input(let input): held[index] = content(graph.inputs[input], in: slot.space)
      case .constant, .parameter: held[index] = content(slot.values[0], in: slot.space)
      case .output, .computed, .part: break
      }
    }
    for (index, step) in plan.steps.enumerated() {
      guard let node = step.node else {
        for copy in step.copies {
          let (source, target) = (plan.slots[copy.source], plan.slots[copy.target])
          #expect(content(target.values[0], in: source.space) == read(copy.source))
          write(copy.target, content(target.values[0], in: target.space))
        }
        continue
      }
      do {
        let lowering = lowerings[placed[node]]
        if step.isInPlace {
          // Not even a part of what is overwritten is read besides.
          #expect(step.inputs.count { plan.root(of: $0) == step.outputs[0] } == 1)
        }
        for (id, slot) in zip(graph.nodes[node].inputs, step.inputs) {
          #expect(plan.slots[slot].space == lowering.space)
          #expect(content(id, in: lowering.space) == read(slot), "\(graph.nodes[node].name)")
        }
        // Working memory and outputs are written while inputs are still read, unless one takes the other's place.
        for piece in step.scratch.indices {
          guard let offset = arenas[lowering.space]!.offsets[.scratch(step: index, piece: piece)] else { continue }
          for byte in offset..<(offset + step.scratch[piece]) { bytes[lowering.space]![byte] = nil }
        }
        for (slot, id) in zip(step.outputs, graph.nodes[node].outputs) where !step.inputs.contains(slot) {
          write(slot, content(id, in: lowering.space))
        }
        for (id, slot) in zip(graph.nodes[node].inputs, step.inputs) where !step.outputs.contains(slot) {
          #expect(content(id, in: lowering.space) == read(slot), "\(graph.nodes[node].name) lost an input")
        }
        for (slot, id) in zip(step.outputs, graph.nodes[node].outputs) { write(slot, content(id, in: lowering.space)) }
      }
    }
    for (id, slot) in zip(graph.outputs, plan.outputs) {
      #expect(plan.slots[slot].space == .host)
      #expect(content(id, in: .host) == read(slot))
    }
    // No input of the caller is written.
    for slot in plan.steps.flatMap(\.outputs) {
      if case .input = plan.slots[place(slot).whole].source { Issue.record("an input is written") }
    }
  }

  @Test(arguments: [true, false])
  func `each step finds its inputs, in any mixture of spaces, views and kernels that overwrite`(inPlace: Bool) throws {
    var generator = SeededGenerator(seed: 20)
    var parts = 0
    for round in 0..<400 {
      let graph = try drawnGraph(&generator)
      let spaces: [MemorySpace] = [.host, .device("a"), .device("b"), .host]
      let lowerings = spaces.map { DrawnLowering(graph, $0, &generator) }
      // Every other one on one backend, where more can be joined.
      let placed = graph.nodes.map { _ in
        Int.random(in: 0..<(round % 2 == 0 ? 1 : lowerings.count), using: &generator)
      }
      let plan = Plan(graph, on: lowerings, placed: placed, inPlace: inPlace)
      try check(plan, lowerings, placed)
      #expect(inPlace || !plan.steps.contains { $0.isInPlace })
      #expect(plan.segments.flatMap(\.steps) == Array(plan.steps.indices))
      parts += plan.steps.flatMap(\.outputs).count { plan.root(of: $0) != $0 }
    }
    #expect(parts > 50)
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
      func viewOffset(_ node: Int) -> Int? { nil }
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

  @Test func `what joins tensors has nothing to do where they are written behind each other, and a cut is a part`()
    throws
  {
    struct Joining: Lowering {
      let graph: Graph
      let space = MemorySpace.host
      let device = "fixed"
      func compile(_ segments: [Plan.Segment], of plan: Plan) throws -> any CompiledSegments {
        throw GraphError("fixed")
      }
      func viewOffset(_ node: Int) -> Int? { (graph.nodes[node].op as? Slice).map { $0.cuts[0].start * 64 } }
      func joins(_ node: Int) -> Bool { graph.nodes[node].op is Concat }
      func kernel(for node: Int) -> PlannedKernel {
        PlannedKernel(name: graph.nodes[node].op.name, overwritableInputs: [0])
      }
      func byteCount(of value: ValueID) -> Int { 0 }
    }
    var graph = Graph(name: "joined")
    let x = graph.addInput("x", TensorType([2, 16]))
    let lower = try graph.addNode("lower", Slice([.init(axis: 0, start: 1, end: 2)]), [x])
    let first = try graph.addNode("first", Activation(.relu), [lower])
    let second = try graph.addNode("second", Activation(.relu), [first])
    let both = try graph.addNode("both", Concat(axis: 0), [first, second])
    // An input is the caller's memory and cannot lie elsewhere.
    let all = try graph.addNode("all", Concat(axis: 0), [both, x])
    let last = try graph.addNode("last", Activation(.relu), [all])
    graph.setOutputs([last])
    #expect(
      Plan(graph, on: [Joining(graph: graph)]).description == """
        plan joined
          &0 input 0 x : f32[2x16], 128 bytes
          &1 part of &0 at 64 lower : f32[1x16], 64 bytes
          &2 computed both : f32[2x16], 128 bytes
          &3 part of &2 at 0 first : f32[1x16], 64 bytes
          &4 part of &2 at 64 second : f32[1x16], 64 bytes
          &5 computed all : f32[4x16], 256 bytes
          &6 output 0 last : f32[4x16], 256 bytes
          segment on 0
            0: &3 = activation(&1) for first
            1: &4 = activation(&3) for second
            2: &5 = concat(&2, &0) for all, releases &2
            3: &6 = activation(&5) for last, releases &5
          return &6

        """)

    // Around large tensors the whole would be there for longer than a copy of its small part takes.
    var round = Graph(name: "round")
    let small = try round.addNode("small", AnyOp(outputs: [16]), [round.addInput("x", TensorType([1, 16]))])
    var large = small
    for (index, extent) in [160, 320, 160].enumerated() {
      large = try round.addNode("wide\(index)", AnyOp(outputs: [extent]), [large])
    }
    let ends = try round.addNode("ends", Concat(axis: 1), [small, large])
    round.setOutputs([try round.addNode("last", AnyOp(outputs: [16]), [ends])])
    let apart = Plan(round, on: [Joining(graph: round)])
    #expect(
      apart.steps.count { $0.kernel == "concat" } == 1 && apart.leastBytes == 64 + 640 + 1280 + 64 + 64, "\(apart)")

    // What is overwritten while a part of it is read would not be what it was.
    var read = Graph(name: "read")
    let whole = try read.addNode("whole", Activation(.relu), [read.addInput("x", TensorType([2, 16]))])
    let half = try read.addNode("half", Slice([.init(axis: 0, start: 1, end: 2)]), [whole])
    let sum = try read.addNode("sum", Binary(.add), [whole, half])
    read.setOutputs([try read.addNode("end", Activation(.relu), [sum])])
    let steps = Plan(read, on: [Joining(graph: read)]).steps
    #expect(steps.map(\.isInPlace) == [false, false, false] && steps[1].inputs.count == 2)
  }
}
