#if os(Linux)
  import Glibc
#endif

/// Weights and planned memory are gone through from one end to the other in each inference. On pages of 4 KiB the processor
/// looks addresses up thousands of times for that; on pages of 2 MiB it seldom has to.
package enum HugePages {
  private static let size = 2 << 20

  /// Asks the system to back these blocks with huge pages now. Where it cannot, nothing changes.
  ///
  /// Blocks lie beside each other in the heap: each page of which they are at least half is asked for, whatever else is
  /// on it. That is `MADV_COLLAPSE`, of Linux 6.1.
  ///
  /// Files are left where they are: who wants their weights on huge pages copies them out of the mapping first.
  package static func back(_ blocks: [Storage]) {
    #if os(Linux)
      var occupied: [UInt: Int] = [:]
      for block in blocks where !block.isMapped {
        let begin = UInt(bitPattern: block.pointer)
        let end = begin + UInt(block.byteCount)
        for page in begin / UInt(size)...max(begin, end - 1) / UInt(size) {
          let (first, last) = (max(begin, page * UInt(size)), min(end, (page + 1) * UInt(size)))
          occupied[page, default: 0] += Int(last - first)
        }
      }
      let collapse: Int32 = 25
      for (page, byteCount) in occupied where byteCount >= size / 2 {
        _ = madvise(UnsafeMutableRawPointer(bitPattern: page * UInt(size)), size, collapse)
      }
    #endif
  }
}
