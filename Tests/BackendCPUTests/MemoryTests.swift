import BackendCPU
import GraphCore
import GraphPasses
import ModelZoo
import Pacer
import RuntimeCore
import TensorCore
import TestSupport
import Testing

@Suite struct MemoryTests {
  private func session(
    _ model: ModelDescription, _ passes: [any Pass], _ options: PrepareOptions, _ shape: Shape = [1, 3, 64, 64]
  ) throws -> Session {
    let (graph, input) = try seeded(model, shape)
    let backend = CPUBackend()
    let optimised = try Pipeline(passes, checksNumbers: false).run(on: graph, for: backend.target(options)).graph
    let session = try backend.prepare(optimised, options).makeSession()
    session.inputs[0].write(input.values)
    return session
  }

  @Test(arguments: [ModelDescription.mobileNetV2, .resNet18], [true, false])
  func `the arena is at most a twentieth above the least there can be`(model: ModelDescription, optimised: Bool) throws
  {
    let arena = try #require(
      session(model, optimised ? standardPasses : [], PrepareOptions(allocator: .arena), [1, 3, 224, 224]).arena)
    #expect(arena.byteCount >= arena.lowerBound)
    #expect(Double(arena.byteCount) <= 1.05 * Double(arena.lowerBound), "\(arena)")
  }

  @Test(arguments: [ModelDescription.mobileNetV2, .resNet18])
  func `outputs in the place of inputs lower the arena and its bound, and change no bit`(
    model: ModelDescription
  ) throws {
    // Without fusion, where activations and additions are ops of their own; packed, so that tensors are what counts.
    let passes = [FoldBatchNorm(), Freeze(), RemoveDropout(), ChannelsLast(), PrepackWeights()] as [any Pass]
    let sessions = try [true, false].map {
      try session(model, passes, PrepareOptions(allocator: .arena, inPlace: $0), [1, 3, 224, 224])
    }
    let (inPlace, apart) = (try #require(sessions[0].arena), try #require(sessions[1].arena))
    #expect(inPlace.byteCount < apart.byteCount && inPlace.lowerBound < apart.lowerBound)
    for session in sessions { for _ in 0..<2 { try session.run() } }
    #expect(sessions[0].outputs[0].values == sessions[1].outputs[0].values)
  }

  /// In memory the channels of one image follow each other in NCHW: joining and cutting them is a matter of where they lie.
  @Test(arguments: [AllocatorKind.system, .caching, .mapped, .arena])
  func `tensors are joined and cut without a copy where the plan allows it, and with one elsewhere`(
    allocator: AllocatorKind
  ) throws {
    for (batch, channels, isFree) in [(1, 4, true), (2, 4, false), (1, 1, false)] {
      var graph = Graph(name: "joined")
      // 36 elements of a channel: only those of four begin where kernels want them to.
      let x = graph.addInput("x", TensorType([batch, 2 * channels, 6, 6]))
      let halves = try (0..<2).map { half in
        let cut = Slice([.init(axis: 1, start: half * channels, end: (half + 1) * channels)])
        return try graph.addNode(
          "half\(half)", Reshape(to: [batch, channels, 6, 6]), [graph.addNode("cut\(half)", cut, [x])])
      }
      let parts = try halves.enumerated().map { index, half in
        try graph.addNode("part\(index)", Activation(index == 0 ? .relu : .hardSwish), [half])
      }
      let all = try graph.addNode("all", Concat(axis: 1), parts)
      let twice = try graph.addNode("twice", Concat(axis: 1), [all, graph.addNode("more", Activation(.relu6), [all])])
      graph.setOutputs([twice, try graph.addNode("end", Activation(.sigmoid), [twice])])
      let input = try Tensor(
        graph[x].type.shape, (0..<graph[x].type.shape.count).map { Float($0 % 17) / 2 - 4 })

      let fast = try CPUBackend().prepare(graph, PrepareOptions(allocator: allocator))
      let names = ["cut0", "cut1", "all", "twice"]
      let kernels = names.map { name in fast.placement.first { $0.node == name }?.kernel }
      // What begins at the beginning is a part wherever the rest lies.
      if isFree { #expect(kernels == ["view", "view", "view", "view"]) }
      if batch > 1 { #expect(kernels == ["move", "move", "move", "move"]) }
      if channels == 1 { #expect(kernels == ["view", "move", "move", "move"]) }
      let sessions = try [fast, CPUBackend(kernels: .reference).prepare(graph)].map { try $0.makeSession() }
      for session in sessions {
        session.inputs[0].write(input)
        for _ in 0..<2 { try session.run() }
      }
      #expect(sessions[0].inputs[0].values == input.values)
      for (own, expected) in zip(sessions[0].outputs, sessions[1].outputs) {
        let difference = zip(own.values, expected.values).map { ($0 - $1).magnitude }.max()!
        #expect(difference < 1e-6)
      }
    }
  }

  @Test(arguments: [ModelDescription.mobileNetV2, .resNet18], [AllocatorKind.system, .caching, .mapped, .arena])
  func `every allocator gives the same bits, in place and not, fused and not`(
    model: ModelDescription, allocator: AllocatorKind
  ) throws {
    for passes in [standardPasses, []] {
      var outputs: [[Float]] = []
      for (kind, inPlace) in [(AllocatorKind.system, false), (allocator, false), (allocator, true)] {
        let session = try session(model, passes, PrepareOptions(allocator: kind, threads: 2, inPlace: inPlace))
        for _ in 0..<3 { try session.run() }
        outputs.append(session.outputs[0].values)
        if kind != .arena { #expect(session.allocationStatistics?.liveBytes == 0) }
      }
      #expect(outputs[0] == outputs[1] && outputs[0] == outputs[2])
    }
  }

  @Test func `a cache whose scope a session runs in serves it from the second run on, whatever its threads`() throws {
    let cache = CachingAllocator()
    let session = try session(.mobileNetV2, [], PrepareOptions(threads: 2))
    try cache.withScope { try session.run() }
    let first = cache.statistics
    #expect(first.allocations > 100 && first.cacheMisses < first.allocations)
    for _ in 0..<3 { try cache.withScope { try session.run() } }
    #expect(cache.statistics.cacheMisses == first.cacheMisses)
    #expect(cache.statistics.cacheHits == first.cacheHits + 3 * first.allocations)
    #expect(cache.statistics.liveBytes == 0)
    // Outside, the session is as it was.
    try session.run()
    #expect(cache.statistics.allocations == 4 * first.allocations)
  }

  @Test func `a caller's tensor is read where it lies, and an output of the session is refused`() throws {
    let session = try session(.mobileNetV2, standardPasses, PrepareOptions())
    try session.run()
    let expected = session.outputs[0].values
    let (image, dark) = try (Tensor(zeros: session.inputs[0].type), session.inputs[0].values)
    image.write(session.inputs[0])
    session.inputs[0].write([Float](repeating: 0, count: dark.count))
    try session.run(with: [image])
    #expect(session.outputs[0].values == expected)
    // The session's own input is as it was.
    try session.run()
    #expect(session.outputs[0].values != expected)
    #expect(throws: GraphError.self) { try session.run(with: []) }

    var graph = Graph(name: "same type")
    let x = graph.addInput("x", TensorType([1, 4]))
    graph.setOutputs([try graph.addNode("relu", Activation(.relu), [x])])
    for backend in [CPUBackend(), VulkanBackend()] as [any Backend] {
      guard case .available = backend.availability() else { continue }
      let small = try backend.prepare(graph, PrepareOptions()).makeSession()
      #expect(throws: GraphError.self) { try small.run(with: [small.outputs[0]]) }
      try small.run(with: [Tensor([1, 4], [-1, 2, -3, 4])])
      #expect(small.outputs[0].values == [0, 2, 0, 4] && small.inputs[0].values == [0, 0, 0, 0])
    }
  }

  @Test func `memory that runs out in the middle is an error, and nothing is lost`() throws {
    let limited = LimitedAllocator(40)
    let session = try session(.resNet18, [], PrepareOptions())
    #expect(throws: OutOfMemory.self) { try limited.withScope { try session.run() } }
    #expect(limited.statistics.liveBytes == 0)
    try session.run()
    let values = session.outputs[0].values
    #expect(!values.isEmpty && values.allSatisfy { $0.isFinite })
  }
}

/// Refuses after so many blocks.
private final class LimitedAllocator: Allocator {
  private let system = SystemAllocator()
  private let limit: Int
  init(_ limit: Int) { self.limit = limit }
  var statistics: AllocationStatistics { system.statistics }
  func allocate(byteCount: Int) throws -> UnsafeMutableRawPointer {
    guard statistics.allocations < limit else { throw OutOfMemory(byteCount: byteCount) }
    return try system.allocate(byteCount: byteCount)
  }
  func deallocate(_ pointer: UnsafeMutableRawPointer, byteCount: Int) {
    system.deallocate(pointer, byteCount: byteCount)
  }
}

@Suite struct MemoryTimelineTests {
  private func timeline(_ allocator: AllocatorKind, passes: [any Pass], inPlace: Bool = true) throws -> MemoryTimeline {
    let (graph, input) = try seeded(.resNet18, [1, 3, 64, 64])
    let options = PrepareOptions(allocator: allocator, inPlace: inPlace)
    let backend = CPUBackend()
    let optimised = try Pipeline(passes, checksNumbers: false).run(on: graph, for: backend.target(options)).graph
    let session = try backend.prepare(optimised, options).makeSession()
    session.inputs[0].write(input.values)
    return try #require(try session.memoryTimeline())
  }

  @Test(arguments: [AllocatorKind.system, .caching, .mapped, .arena], [true, false])
  func `no two blocks that are alive together lie over each other, and every allocator has the same ones`(
    allocator: AllocatorKind, inPlace: Bool
  ) throws {
    for passes in [standardPasses, []] {
      let (timeline, planned) = try (
        timeline(allocator, passes: passes, inPlace: inPlace), timeline(.arena, passes: passes, inPlace: inPlace)
      )
      for (index, block) in timeline.blocks.enumerated() {
        #expect(block.offset >= 0 && !block.name.isEmpty)
        for other in timeline.blocks[..<index] where other.first <= block.last && block.first <= other.last {
          #expect(
            other.offset + other.byteCount <= block.offset || block.offset + block.byteCount <= other.offset,
            "\(block) \(other)")
        }
      }
      func kinds(_ timeline: MemoryTimeline) -> [String] {
        timeline.blocks.map { "\($0.name) \($0.first)–\($0.last) \($0.byteCount)" }.sorted()
      }
      #expect(kinds(timeline) == kinds(planned))
      #expect(timeline.peakBytes == planned.peakBytes)
      for step in timeline.steps.indices { #expect(timeline.steps[step].heldBytes >= timeline.liveBytes(at: step)) }
    }
  }

  @Test func `gaps between addresses are closed, and blocks keep their order`() {
    var timeline = MemoryTimeline(
      steps: [],
      blocks: [(1000, 10), (5000, 64), (1004, 6), (5064, 1)].map {
        MemoryTimeline.Block(name: "", first: 0, last: 0, byteCount: $0.1, offset: $0.0)
      }, constantBytes: 0)
    timeline.squeeze()
    #expect(timeline.blocks.map(\.offset) == [0, 10, 4, 74])
  }
}
