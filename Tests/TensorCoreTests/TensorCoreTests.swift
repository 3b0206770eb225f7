import TensorCore
import Testing

@Suite struct MemoryFormatTests {
  @Test(arguments: [
    MemoryFormat.nhwc, .panels(PanelLayout(width: 8, depth: .channelsThenTaps)),
    .panels(PanelLayout(width: 16, depth: .tapsThenChannels)),
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
    var generator = SystemRandomNumberGenerator()
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

  @Test func `blocks are aligned to 64 bytes`() throws {
    let pointer = try SystemAllocator().allocate(byteCount: 10)
    defer { SystemAllocator().deallocate(pointer, byteCount: 10) }
    #expect(UInt(bitPattern: pointer) % 64 == 0)
  }
}
