/// Where tensors get their memory from. Blocks are aligned to 64 bytes.
public protocol Allocator: AnyObject, Sendable {
  /// - Throws: ``OutOfMemory``.
  func allocate(byteCount: Int) throws -> UnsafeMutableRawPointer
  func deallocate(_ pointer: UnsafeMutableRawPointer, byteCount: Int)
  var statistics: AllocationStatistics { get }
}

/// Counts since the allocator was made.
public struct AllocationStatistics: Sendable, Equatable {
  /// Calls of `allocate`.
  public var allocations = 0
  /// Bytes asked for, summed over all calls.
  public var bytes = 0
  /// Bytes in use now, and at their highest.
  public var liveBytes = 0
  public var peakLiveBytes = 0
  /// Requests served from memory kept back, and those that went to the system. Both 0 without a cache.
  public var cacheHits = 0
  public var cacheMisses = 0
  /// Bytes kept back for later requests now.
  public var cachedBytes = 0
  /// Bytes taken from the system and not yet given back, in use or not.
  public var heldBytes = 0

  public init() {}

  /// - Parameter taken: bytes that come from the system; nil for as many as were asked for.
  package mutating func recordAllocation(_ byteCount: Int, taken: Int? = nil) {
    allocations += 1
    heldBytes += taken ?? byteCount
    bytes += byteCount
    liveBytes += byteCount
    peakLiveBytes = max(peakLiveBytes, liveBytes)
  }
  /// - Parameter given: bytes that go back to the system; nil for as many as were asked for.
  package mutating func recordDeallocation(_ byteCount: Int, given: Int? = nil) {
    liveBytes -= byteCount
    heldBytes -= given ?? byteCount
  }
}

public struct OutOfMemory: Error, CustomStringConvertible {
  public let byteCount: Int
  public init(byteCount: Int) { self.byteCount = byteCount }
  public var description: String { "out of memory: \(byteCount) bytes could not be allocated" }
}
