import Foundation

/// The text of a system file without the space around it; nil if it cannot be read.
package func read(_ path: String) -> String? { SystemTree(root: "/").text(path) }

/// In bytes: more than any that Pacer reads, and an end to one without end.
private let largestSystemFile = 1 << 24

/// All that a file holds whose size the system does not tell: under /proc and /sys a read gives a part, a page at most,
/// and only one that gives nothing is the end. (Foundation's `String(contentsOfFile:)` and `Data(contentsOf:)` stop
/// after the first.)
func bytes(ofDescriptor descriptor: Int32) -> [UInt8]? {
  var bytes: [UInt8] = []
  while true {
    let step = 16384
    let start = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: step))
    let count = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress! + start, step, off_t(start)) }
    guard count >= 0 else { return nil }
    bytes.removeLast(step - count)
    if count == 0 || bytes.count > largestSystemFile { return bytes }
  }
}
