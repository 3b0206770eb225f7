import Foundation

/// The text of a system file without the space around it; nil if it cannot be read.
package func read(_ path: String) -> String? { SystemTree(root: "/").text(path) }

/// In bytes: more than any that Pacer reads; what goes on is not read.
private let largestSystemFile = 1 << 24

/// All that a file holds whose size the system does not tell: under /proc and /sys a read gives a part, a page at most,
/// and only one that gives nothing is the end. (Foundation's `String(contentsOfFile:)` and `Data(contentsOf:)` stop
/// after the first.)
/// - Returns: nil where it cannot be read, or has no end.
func bytes(ofDescriptor descriptor: Int32) -> [UInt8]? {
  withUnsafeTemporaryAllocation(byteCount: 16384, alignment: 1) { buffer in
    var bytes: [UInt8] = []
    while bytes.count <= largestSystemFile {
      let count = pread(descriptor, buffer.baseAddress!, buffer.count, off_t(bytes.count))
      guard count >= 0 else { return nil }
      if count == 0 { return bytes }
      bytes += UnsafeRawBufferPointer(rebasing: buffer[..<count])
    }
    return nil
  }
}
