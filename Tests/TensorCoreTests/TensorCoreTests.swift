import Foundation
import TensorCore
import Testing

@Suite struct MemoryFormatTests {
  @Test(arguments: [
    MemoryFormat.nhwc, .panels(PanelLayout(width: 8, depth: .channelsThenTaps)),
    .panels(PanelLayout(width: 16, depth: .tapsThenChannels)),
    .panels(PanelLayout(width: 8, lanes: 2, depth: .tapsThenChannels)),
    .panels(PanelLayout(width: 4, lanes: 2, depth: .channelsThenTaps, groups: 2)),
    .panels(PanelLayout(width: 4, depth: .tapsThenChannels, groups: 2)),
    .panels(PanelLayout(width: 8, depth: .tapsThenChannels, depthMultiple: 4)),
    .panels(PanelLayout(width: 8, depth: .channelsThenTaps, depthMultiple: 4)),
  ])
  func `a weight survives the way into a format and back`(format: MemoryFormat) throws {
    let shape: Shape = [10, 3, 3, 2]
    let tensor = try Tensor(shape, (0..<shape.count).map(Float.init))
    #expect(try tensor.converted(to: format).converted(to: .nchw).values == tensor.values)
  }

  @Test func `panels keep the outputs of one depth step adjacent and pad with zeros`() throws {
    let tensor = try Tensor([3, 2, 1, 1], [1, 2, 3, 4, 5, 6])
    let packed = try tensor.converted(to: .panels(PanelLayout(width: 2, depth: .channelsThenTaps)))
    #expect(withExtendedLifetime(packed) { Array(packed.floats) } == [1, 3, 2, 4, 5, 0, 6, 0])
  }

  @Test func `channels are padded to their multiple with zeros`() throws {
    let tensor = try Tensor([1, 1, 1, 2], [1, 2])
    for (depth, expected) in [
      (PanelLayout.Depth.tapsThenChannels, [1, 0, 2, 0]), (.channelsThenTaps, [1, 2, 0, 0]),
    ] as [(PanelLayout.Depth, [Float])] {
      let packed = try tensor.converted(to: .panels(PanelLayout(width: 1, depth: depth, depthMultiple: 2)))
      #expect(withExtendedLifetime(packed) { Array(packed.floats) } == expected)
    }
  }

  @Test func `nhwc keeps the channels of a pixel adjacent`() throws {
    let tensor = try Tensor([1, 2, 1, 3], [1, 2, 3, 4, 5, 6])
    let converted = try tensor.converted(to: .nhwc)
    #expect(withExtendedLifetime(converted) { Array(converted.floats) } == [1, 4, 2, 5, 3, 6])
  }
}

@Suite struct MemoryPlanTests {
  @Test func `no two live blocks overlap and no plan is below the bound`() {
    var generator = SeededGenerator(state: 5)
    for _ in 0..<300 {
      let intervals = (0..<Int.random(in: 1...12, using: &generator)).map { _ in
        let first = Int.random(in: 0...10, using: &generator)
        return MemoryPlan.Interval(
          first: first, last: first + Int.random(in: 0...4, using: &generator),
          byteCount: Int.random(in: 0...1000, using: &generator))
      }
      let plan = MemoryPlan(intervals)
      #expect(plan.byteCount >= MemoryPlan.lowerBound(intervals))
      for i in intervals.indices {
        #expect(plan.offsets[i] % 64 == 0 && plan.offsets[i] + intervals[i].byteCount <= plan.byteCount)
        for j in intervals.indices where j < i {
          let together = intervals[i].first <= intervals[j].last && intervals[j].first <= intervals[i].last
          let apart =
            plan.offsets[i] + intervals[i].byteCount <= plan.offsets[j]
            || plan.offsets[j] + intervals[j].byteCount <= plan.offsets[i]
          #expect(!together || apart)
        }
      }
    }
  }
}

@Suite struct PlannerAgainstBruteForce {
  /// The least block of any plan: laid out by ascending offset, the best plan puts each tensor where the lowest place is.
  private func optimum(_ intervals: [MemoryPlan.Interval]) -> Int {
    func permutations(_ rest: [Int]) -> [[Int]] {
      rest.isEmpty ? [[]] : rest.flatMap { first in permutations(rest.filter { $0 != first }).map { [first] + $0 } }
    }
    return permutations(Array(intervals.indices)).map { MemoryPlan(intervals, order: $0).byteCount }.min()!
  }

  @Test func `a plan of a few tensors is the best there is, or little above`() {
    var generator = SeededGenerator(state: 7)
    var (exact, worst) = (0, 1.0)
    let count = 150
    for _ in 0..<count {
      let intervals = (0..<6).map { _ in
        let first = Int.random(in: 0...6, using: &generator)
        return MemoryPlan.Interval(
          first: first, last: first + Int.random(in: 0...3, using: &generator),
          byteCount: 64 * Int.random(in: 1...30, using: &generator))
      }
      let (plan, best) = (MemoryPlan(intervals).byteCount, optimum(intervals))
      #expect(plan >= best)
      exact += plan == best ? 1 : 0
      worst = max(worst, Double(plan) / Double(best))
    }
    #expect(exact >= count * 9 / 10, "\(exact) of \(count) are the best")
    #expect(worst < 1.2, "\(worst)")
  }
}

private struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state ^ state >> 29
  }
}

@Suite struct AllocatorTests {
  @Test func `a caching allocator serves the second request of a size from its cache`() throws {
    let allocator = CachingAllocator()
    let first = try allocator.allocate(byteCount: 4096)
    allocator.deallocate(first, byteCount: 4096)
    let second = try allocator.allocate(byteCount: 4096)
    #expect(first == second)
    allocator.deallocate(second, byteCount: 4096)
    #expect(allocator.statistics.cacheHits == 1 && allocator.statistics.cacheMisses == 1)
    #expect(allocator.cachedBytes == 4096 && allocator.statistics.liveBytes == 0)
  }

  @Test func `a size class serves its sizes, wastes an eighth at most, and has a place of its own`() {
    var last = (place: -1, byteCount: 0)
    for byteCount in 1...300_000 where byteCount < 5000 || byteCount % 97 == 0 {
      let found = CachingAllocator.sizeClass(byteCount)
      #expect(found.byteCount >= byteCount && found.byteCount % 64 == 0)
      #expect(byteCount < 1024 || Double(found.byteCount) <= Double(byteCount + 63) * 1.125)
      #expect(found.byteCount == last.byteCount ? found.place == last.place : found.place > last.place)
      last = found
    }
    #expect(CachingAllocator.sizeClass(1 << 40).byteCount == 1 << 40)
  }

  @Test func `a block is freed to where it came from, outside the scope and on another thread`() async throws {
    let cache = CachingAllocator()
    let tensor = try cache.withScope { try Tensor(zeros: TensorType([1000])) }
    #expect(cache.statistics.allocations == 1 && AllocationScope.current === SystemAllocator.shared)
    await Task.detached { [box = Box(tensor)] in box.tensor = nil }.value
    #expect(cache.cachedBytes == 0, "the tensor is still held here")
    _ = consume tensor
    #expect(cache.cachedBytes == 4096 && cache.statistics.liveBytes == 0)

    // The last reference goes on a thread that knows no scope.
    let box = Box(try cache.withScope { try Tensor(zeros: TensorType([1000])) })
    #expect(cache.statistics.cacheHits == 1 && cache.cachedBytes == 0)
    await withCheckedContinuation { done in
      Thread.detachNewThread {
        box.tensor = nil
        done.resume()
      }
    }
    #expect(cache.cachedBytes == 4096)
  }
  private final class Box: @unchecked Sendable {
    var tensor: Tensor?
    init(_ tensor: Tensor) { self.tensor = tensor }
  }

  @Test func `scopes nest, end with their closure, and reach the tasks started inside`() async throws {
    let (outer, inner) = (CachingAllocator(), CachingAllocator())
    try outer.withScope {
      try inner.withScope { _ = try Tensor(zeros: TensorType([16])) }
      #expect(AllocationScope.current === outer)
      #expect(throws: CancellationError.self) { try inner.withScope { throw CancellationError() } }
      #expect(AllocationScope.current === outer)
    }
    #expect(inner.statistics.allocations == 1 && outer.statistics.allocations == 0)
    await outer.withScope {
      await withTaskGroup { group in
        group.addTask { #expect(AllocationScope.current === outer) }
      }
      #expect(AllocationScope.current === outer)
    }
    await Task.detached { #expect(AllocationScope.current === SystemAllocator.shared) }.value
  }

  @Test func `what is freed beyond the limit goes to the system`() throws {
    let cache = CachingAllocator(limit: 10_000)
    let blocks = try (0..<3).map { _ in try cache.allocate(byteCount: 4096) }
    for block in blocks { cache.deallocate(block, byteCount: 4096) }
    #expect(cache.cachedBytes == 8192 && cache.statistics.liveBytes == 0 && cache.statistics.heldBytes == 8192)
    cache.releaseCachedMemory()
    #expect(cache.cachedBytes == 0 && cache.statistics.heldBytes == 0)
  }

  @Test func `eight threads share one cache, and each block is one thread's at a time`() async throws {
    let cache = CachingAllocator()
    try await withThrowingTaskGroup { group in
      for worker in 0..<8 {
        group.addTask {
          for round in 0..<2000 {
            let byteCount = 64 << (round % 6)
            let block = try cache.allocate(byteCount: byteCount)
            let bytes = block.bindMemory(to: UInt8.self, capacity: byteCount)
            bytes.update(repeating: UInt8(worker), count: byteCount)
            #expect((0..<byteCount).allSatisfy { bytes[$0] == UInt8(worker) })
            cache.deallocate(block, byteCount: byteCount)
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(cache.statistics.liveBytes == 0 && cache.statistics.allocations == 16_000)
  }

  @Test func `a large block of the mapped allocator is fresh each time`() throws {
    let allocator = MappedAllocator()
    for byteCount in [100, MappedAllocator.threshold, 1 << 20] {
      let block = try allocator.allocate(byteCount: byteCount)
      let bytes = block.bindMemory(to: UInt8.self, capacity: byteCount)
      if byteCount >= MappedAllocator.threshold { #expect((0..<byteCount).allSatisfy { bytes[$0] == 0 }) }
      bytes.update(repeating: 1, count: byteCount)
      allocator.deallocate(block, byteCount: byteCount)
    }
    #expect(allocator.statistics.liveBytes == 0 && allocator.statistics.allocations == 3)
  }

  @Test func `blocks are aligned to 64 bytes`() throws {
    let pointer = try SystemAllocator().allocate(byteCount: 10)
    defer { SystemAllocator().deallocate(pointer, byteCount: 10) }
    #expect(UInt(bitPattern: pointer) % 64 == 0)
  }
}
