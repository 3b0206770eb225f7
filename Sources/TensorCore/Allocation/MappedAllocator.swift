import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Each large block is a mapping of its own, which goes when the block is freed: what the C library does with its
/// threshold pinned (`M_MMAP_THRESHOLD`), and what phones did whose allocators gave pages back at once. Every use of a
/// block then faults its pages in anew.
public final class MappedAllocator: Allocator {
  /// Bytes from which a block is a mapping: the C library's threshold before it adapts.
  public static let threshold = 128 * 1024

  private let counts = Mutex(AllocationStatistics())

  public init() {}

  public var statistics: AllocationStatistics { counts.withLock { $0 } }

  public func allocate(byteCount: Int) throws -> UnsafeMutableRawPointer {
    let pointer: UnsafeMutableRawPointer
    if byteCount < Self.threshold {
      pointer = try alignedBlock(byteCount)
    } else {
      guard let mapping = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
        mapping != MAP_FAILED
      else { throw OutOfMemory(byteCount: byteCount) }
      pointer = mapping
    }
    counts.withLock { $0.recordAllocation(byteCount) }
    return pointer
  }

  public func deallocate(_ pointer: UnsafeMutableRawPointer, byteCount: Int) {
    if byteCount < Self.threshold { free(pointer) } else { munmap(pointer, byteCount) }
    counts.withLock { $0.recordDeallocation(byteCount) }
  }
}
