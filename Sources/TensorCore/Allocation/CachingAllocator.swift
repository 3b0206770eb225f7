import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Keeps freed blocks, by exact size, for the next request of that size, as PyTorch Mobile's
/// `CPUCachingAllocator` does; here each instance has its own lock and its own books.
public final class CachingAllocator: Allocator {
  private struct State {
    var free: [Int: [UnsafeMutableRawPointer]] = [:]
    var statistics = AllocationStatistics()
    var cachedBytes = 0
  }
  /// `@unchecked`: the free list is touched under the mutex alone.
  private struct Box: @unchecked Sendable { var state = State() }
  private let box = Mutex(Box())

  public init() {}

  deinit { releaseCachedMemory() }

  public var statistics: AllocationStatistics { box.withLock { $0.state.statistics } }
  /// Bytes held back for later requests.
  public var cachedBytes: Int { box.withLock { $0.state.cachedBytes } }

  public func allocate(byteCount: Int) throws -> UnsafeMutableRawPointer {
    let address: UInt? = box.withLock { box in
      guard let block = box.state.free[byteCount]?.popLast() else {
        box.state.statistics.cacheMisses += 1
        return nil
      }
      box.state.cachedBytes -= byteCount
      box.state.statistics.cacheHits += 1
      return UInt(bitPattern: block)
    }
    let pointer: UnsafeMutableRawPointer
    if let address, let block = UnsafeMutableRawPointer(bitPattern: address) {
      pointer = block
    } else if let block = try? alignedBlock(byteCount) {
      pointer = block
    } else {
      releaseCachedMemory()
      pointer = try alignedBlock(byteCount)
    }
    box.withLock { $0.state.statistics.recordAllocation(byteCount) }
    return pointer
  }

  public func deallocate(_ pointer: UnsafeMutableRawPointer, byteCount: Int) {
    let address = UInt(bitPattern: pointer)
    box.withLock { box in
      guard let block = UnsafeMutableRawPointer(bitPattern: address) else { return }
      box.state.free[byteCount, default: []].append(block)
      box.state.cachedBytes += byteCount
      box.state.statistics.recordDeallocation(byteCount)
    }
  }

  /// Gives every block that is not in use back to the system.
  public func releaseCachedMemory() {
    box.withLock { box in
      for blocks in box.state.free.values { for block in blocks { free(block) } }
      box.state.free = [:]
      box.state.cachedBytes = 0
    }
  }
}
