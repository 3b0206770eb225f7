/// Offsets into one block for tensors whose lifetimes are known ahead. A pure function of the intervals.
public struct MemoryPlan: Sendable, Equatable {
  /// A tensor that must keep its bytes from step `first` to step `last`, both included.
  public struct Interval: Sendable, Equatable {
    public var first: Int
    public var last: Int
    public var byteCount: Int

    public init(first: Int, last: Int, byteCount: Int) {
      self.first = first
      self.last = last
      self.byteCount = byteCount
    }
  }

  /// Byte offset of each interval, in the order given; multiples of the alignment.
  public let offsets: [Int]
  public let byteCount: Int

  /// The smallest of a few plans, each of which takes the tensors in another order: by size, by size × lifetime, by
  /// lifetime, and as they come.
  public init(_ intervals: [Interval], alignment: Int = 64) {
    let bound = Self.lowerBound(intervals, alignment: alignment)
    let keys: [(Interval) -> (Int, Int)] = [
      { (-$0.byteCount, $0.first) }, { (-$0.byteCount * ($0.last - $0.first + 1), $0.first) },
      { ($0.first - $0.last, -$0.byteCount) }, { ($0.first, -$0.byteCount) },
    ]
    var best: MemoryPlan?
    for key in keys {
      let keys = intervals.map(key)
      let order = intervals.indices.sorted { (keys[$0].0, keys[$0].1, $0) < (keys[$1].0, keys[$1].1, $1) }
      let plan = MemoryPlan(intervals, order: order, alignment: alignment)
      if plan.byteCount < best?.byteCount ?? .max { best = plan }
      if plan.byteCount == bound { break }
    }
    self = best!
  }

  /// One tensor after the other, each at the lowest offset at which it meets no other tensor of its lifetime.
  package init(_ intervals: [Interval], order: [Int], alignment: Int = 64) {
    func aligned(_ byteCount: Int) -> Int { Self.aligned(byteCount, alignment) }
    var offsets = [Int](repeating: 0, count: intervals.count)
    var total = 0
    var placed: [Int] = []
    for index in order {
      let interval = intervals[index]
      let size = aligned(interval.byteCount)
      let neighbours =
        placed
        .filter { intervals[$0].first <= interval.last && interval.first <= intervals[$0].last }
        .sorted { offsets[$0] < offsets[$1] }
      var offset = 0
      for other in neighbours {
        if offset + size <= offsets[other] { break }
        offset = max(offset, offsets[other] + aligned(intervals[other].byteCount))
      }
      offsets[index] = offset
      total = max(total, offset + size)
      placed.append(index)
    }
    self.offsets = offsets
    self.byteCount = total
  }

  /// The largest sum of bytes alive at one step: no plan can be smaller.
  public static func lowerBound(_ intervals: [Interval], alignment: Int = 64) -> Int {
    (intervals.map(\.last).max().map { Array(0...$0) } ?? []).map { step in
      intervals.filter { $0.first <= step && step <= $0.last }.reduce(0) { $0 + aligned($1.byteCount, alignment) }
    }.max() ?? 0
  }

  private static func aligned(_ byteCount: Int, _ alignment: Int) -> Int {
    (byteCount + alignment - 1) / alignment * alignment
  }
}
