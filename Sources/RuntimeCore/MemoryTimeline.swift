/// Which tensors are alive when in one inference, and where they lie.
public struct MemoryTimeline: Codable, Sendable, Equatable {
  /// A block that keeps its bytes from one step to another.
  public struct Block: Codable, Sendable, Equatable {
    /// The values that are in it, one after the other.
    public var name: String
    /// Steps, both included.
    public var first: Int
    public var last: Int
    public var byteCount: Int
    /// Bytes from the lowest address of any block; where nothing ever lies, addresses are skipped.
    public var offset: Int

    public init(name: String, first: Int, last: Int, byteCount: Int, offset: Int) {
      (self.name, self.first, self.last, self.byteCount, self.offset) = (name, first, last, byteCount, offset)
    }
  }

  public struct Step: Codable, Sendable, Equatable {
    public var node: String
    public var op: String
    /// Most bytes that the allocator holds during it, in use or not.
    public var heldBytes: Int

    public init(node: String, op: String, heldBytes: Int) {
      (self.node, self.op, self.heldBytes) = (node, op, heldBytes)
    }
  }

  public var steps: [Step]
  public var blocks: [Block]
  /// What is there all along: weights, inputs, outputs.
  public var constantBytes: Int

  public init(steps: [Step], blocks: [Block], constantBytes: Int) {
    (self.steps, self.blocks, self.constantBytes) = (steps, blocks, constantBytes)
  }

  public func alive(at step: Int) -> [Block] { blocks.filter { $0.first <= step && step <= $0.last } }
  public func liveBytes(at step: Int) -> Int { alive(at: step).reduce(0) { $0 + $1.byteCount } }
  /// The first step at which most bytes are alive.
  public var peakStep: Int {
    steps.indices.max { (liveBytes(at: $0), -$0) < (liveBytes(at: $1), -$1) } ?? 0
  }
  public var peakBytes: Int { steps.isEmpty ? 0 : liveBytes(at: peakStep) }
  public var peakHeldBytes: Int { steps.map(\.heldBytes).max() ?? 0 }
  /// Bytes from the lowest to the highest address.
  public var extent: Int { blocks.map { $0.offset + $0.byteCount }.max() ?? 0 }

  /// Closes the gaps between addresses where no block ever lies.
  package mutating func squeeze() {
    let order = blocks.indices.sorted { blocks[$0].offset < blocks[$1].offset }
    var (end, next) = (Int.min, 0)
    var shift = 0
    for index in order {
      let start = blocks[index].offset
      if start >= end { shift = next - start }
      blocks[index].offset = start + shift
      end = max(end, start + blocks[index].byteCount)
      next = max(next, end + shift)
    }
  }
}
