import RuntimeCore
import TensorCore

/// Notes which blocks another allocator hands out at which step. For one thread.
///
/// `@unchecked Sendable`: made, used and read by the one thread that runs a session.
final class RecordingAllocator: Allocator, @unchecked Sendable {
  private let inner: any Allocator
  private(set) var blocks: [MemoryTimeline.Block] = []
  /// The most that was held during each step, in use or not.
  private(set) var heldBytes: [Int] = []
  private var mostHeld = 0
  private var live: [UnsafeMutableRawPointer: Int] = [:]

  init(_ inner: any Allocator) { self.inner = inner }

  var statistics: AllocationStatistics { inner.statistics }
  /// Steps that are over.
  private var step: Int { heldBytes.count }

  func allocate(byteCount: Int) throws -> UnsafeMutableRawPointer {
    let block = try inner.allocate(byteCount: byteCount)
    mostHeld = max(mostHeld, statistics.heldBytes)
    live[block] = blocks.count
    blocks.append(
      MemoryTimeline.Block(
        name: "", first: step, last: step, byteCount: byteCount, offset: Int(bitPattern: block)))
    return block
  }

  func deallocate(_ pointer: UnsafeMutableRawPointer, byteCount: Int) {
    if let index = live.removeValue(forKey: pointer) { blocks[index].last = step }
    inner.deallocate(pointer, byteCount: byteCount)
  }

  func finishStep() {
    heldBytes.append(max(mostHeld, statistics.heldBytes))
    mostHeld = statistics.heldBytes
  }
}
