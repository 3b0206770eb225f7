import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Keeps freed blocks for the next request of their size class, as PyTorch Mobile's `CPUCachingAllocator` keeps them by
/// exact size.
///
/// Each instance has its own lock and its own books. A block goes back to the instance it came from, whichever thread
/// frees it and whether or not a scope is open then; the instance lives until its last block is back.
public final class CachingAllocator: Allocator {
  private struct State {
    /// By size class.
    var free: [[UnsafeMutableRawPointer]] = []
    var statistics = AllocationStatistics()
  }
  /// `@unchecked`: the free lists are touched under the mutex alone.
  private struct Box: @unchecked Sendable { var state = State() }
  private let box = Mutex(Box())

  /// Most bytes held back; what is freed beyond goes to the system.
  public let limit: Int

  public init(limit: Int = .max) { self.limit = limit }

  deinit { releaseCachedMemory() }

  public var statistics: AllocationStatistics { box.withLock { $0.state.statistics } }
  /// Bytes held back for later requests, in whole size classes.
  public var cachedBytes: Int { statistics.cachedBytes }

  public func allocate(byteCount: Int) throws -> UnsafeMutableRawPointer {
    let (place, size) = Self.sizeClass(byteCount)
    let cached: UInt? = box.withLock { box in
      guard place < box.state.free.count, let block = box.state.free[place].popLast() else { return nil }
      box.state.statistics.recordAllocation(byteCount, taken: 0)
      box.state.statistics.cacheHits += 1
      box.state.statistics.cachedBytes -= size
      return UInt(bitPattern: block)
    }
    if let cached, let block = UnsafeMutableRawPointer(bitPattern: cached) { return block }
    let block: UnsafeMutableRawPointer
    do { block = try alignedBlock(size) } catch {
      // What is held back may be what is lacking.
      releaseCachedMemory()
      block = try alignedBlock(size)
    }
    box.withLock { box in
      box.state.statistics.recordAllocation(byteCount, taken: size)
      box.state.statistics.cacheMisses += 1
    }
    return block
  }

  public func deallocate(_ pointer: UnsafeMutableRawPointer, byteCount: Int) {
    let (place, size) = Self.sizeClass(byteCount)
    let address = UInt(bitPattern: pointer)
    let isKept = box.withLock { box in
      guard size <= limit - box.state.statistics.cachedBytes, let block = UnsafeMutableRawPointer(bitPattern: address)
      else {
        box.state.statistics.recordDeallocation(byteCount, given: size)
        return false
      }
      box.state.statistics.recordDeallocation(byteCount, given: 0)
      while box.state.free.count <= place { box.state.free.append([]) }
      box.state.free[place].append(block)
      box.state.statistics.cachedBytes += size
      return true
    }
    if !isKept { free(pointer) }
  }

  /// Gives every block that is not in use back to the system.
  public func releaseCachedMemory() {
    box.withLock { box in
      for blocks in box.state.free { for block in blocks { free(block) } }
      box.state.free = []
      box.state.statistics.heldBytes -= box.state.statistics.cachedBytes
      box.state.statistics.cachedBytes = 0
    }
  }

  /// Blocks of one class serve each other's requests: multiples of 64 bytes up to 1 KiB, then eight to each power of two,
  /// so that above 1 KiB a ninth of a block at most is not asked for.
  package static func sizeClass(_ byteCount: Int) -> (place: Int, byteCount: Int) {
    let units = (max(byteCount, 1) + 63) / 64
    if units <= 16 { return (units - 1, units * 64) }
    let shift = Int.bitWidth - (units - 1).leadingZeroBitCount - 4
    let eighths = (units - 1) >> shift + 1
    return (16 + (shift - 1) * 8 + eighths - 9, eighths << shift * 64)
  }
}
