import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Each block comes from the C library and goes straight back to it.
public final class SystemAllocator: Allocator {
  public static let shared = SystemAllocator()

  private let counts = Mutex(AllocationStatistics())

  public init() {}

  public var statistics: AllocationStatistics { counts.withLock { $0 } }

  public func allocate(byteCount: Int) throws -> UnsafeMutableRawPointer {
    let pointer = try alignedBlock(byteCount)
    counts.withLock { $0.recordAllocation(byteCount) }
    return pointer
  }

  public func deallocate(_ pointer: UnsafeMutableRawPointer, byteCount: Int) {
    free(pointer)
    counts.withLock { $0.recordDeallocation(byteCount) }
  }
}

func alignedBlock(_ byteCount: Int) throws -> UnsafeMutableRawPointer {
  var pointer: UnsafeMutableRawPointer?
  guard posix_memalign(&pointer, 64, max(byteCount, 1)) == 0, let pointer else {
    throw OutOfMemory(byteCount: byteCount)
  }
  return pointer
}
