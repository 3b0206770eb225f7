import Foundation

/// How much memory this process may have: the machine's, or less where a control group allows less.
package enum MachineMemory {
  /// In bytes.
  package static var byteCount: Int {
    let all = Int(clamping: ProcessInfo.processInfo.physicalMemory)
    return min(all, limit(root: "") ?? all)
  }

  /// Of the unified hierarchy, the least of the process's own group and all above it; nil where none sets one.
  static func limit(root: String) -> Int? {
    guard let groups = read("\(root)/proc/self/cgroup"),
      let line = groups.split(separator: "\n").first(where: { $0.hasPrefix("0::") })
    else { return nil }
    var path = String(line.dropFirst(3))
    var least: Int?
    while true {
      let file = "\(root)/sys/fs/cgroup\(path == "/" ? "" : path)/memory.max"
      if let bytes = read(file).flatMap({ Int($0) }) { least = min(least ?? bytes, bytes) }
      if path.isEmpty || path == "/" { return least }
      path = (path as NSString).deletingLastPathComponent
    }
  }
}
