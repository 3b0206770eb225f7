import Foundation

/// How much processor time the control groups of this process allow it, and how often they stopped it. A group's own
/// limit counts, and that of every group above it.
package struct CPUQuota {
  /// In processors; nil where no group sets a limit.
  package var processors: Double?
  /// Times the nearest group with a limit was stopped so far; nil where it does not tell.
  package var throttled: Int?

  /// Nil where the system has no control groups that can be read.
  package static func current(root: String = "") -> CPUQuota? {
    guard let groups = read("\(root)/proc/self/cgroup"), let mounts = read("\(root)/proc/self/mountinfo") else {
      return nil
    }
    var found: CPUQuota?
    for line in groups.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { continue }
      let isUnified = parts[1].isEmpty
      guard isUnified || parts[1].split(separator: ",").contains("cpu") else { continue }
      for mount in mounts.split(separator: "\n") {
        guard let place = Mount(mount), place.isUnified == isUnified, isUnified || place.options.contains("cpu") else {
          continue
        }
        guard let quota = least(place, String(parts[2]), root) else { continue }
        found = found.map { $0.least(with: quota) } ?? quota
      }
    }
    return found
  }

  private func least(with other: CPUQuota) -> CPUQuota {
    guard let mine = processors else { return other }
    guard let theirs = other.processors else { return self }
    return theirs < mine ? other : self
  }

  /// Of a group and all above it, as far as they are seen from here.
  private static func least(_ mount: Mount, _ group: String, _ root: String) -> CPUQuota? {
    // Inside a container the mount may show a part of the hierarchy only.
    var path = group.hasPrefix(mount.root) && mount.root != "/" ? String(group.dropFirst(mount.root.count)) : group
    var result: CPUQuota?
    while true {
      let folder = root + mount.folder + (path == "/" ? "" : path)
      if let quota = quota(folder, isUnified: mount.isUnified) {
        result = result.map { $0.least(with: quota) } ?? quota
      }
      if path.isEmpty || path == "/" { break }
      path = (path as NSString).deletingLastPathComponent
    }
    return result
  }

  private static func quota(_ folder: String, isUnified: Bool) -> CPUQuota? {
    guard FileManager.default.fileExists(atPath: folder) else { return nil }
    let fields: [Double?]
    if isUnified {
      // The root group has no limit and no such file.
      guard let text = read("\(folder)/cpu.max") else { return CPUQuota() }
      fields = text.split(separator: " ").map { Double($0) }
    } else {
      fields = ["cpu.cfs_quota_us", "cpu.cfs_period_us"].map { read("\(folder)/\($0)").flatMap { Double($0) } }
    }
    guard fields.count == 2, let quota = fields[0], let period = fields[1], quota > 0, period > 0 else {
      return CPUQuota()
    }
    let throttled = read("\(folder)/cpu.stat")?.split(separator: "\n").first { $0.hasPrefix("nr_throttled") }
      .flatMap { $0.split(separator: " ").last.flatMap { Int($0) } }
    return CPUQuota(processors: quota / period, throttled: throttled)
  }

  /// A line of `/proc/self/mountinfo` that mounts control groups.
  private struct Mount {
    var root: String
    var folder: String
    var options: [Substring]
    var isUnified: Bool

    init?(_ line: Substring) {
      let halves = line.components(separatedBy: " - ")
      guard halves.count == 2 else { return nil }
      let (left, right) = (halves[0].split(separator: " "), halves[1].split(separator: " "))
      guard left.count >= 5, right.count >= 1, ["cgroup", "cgroup2"].contains(right[0]) else { return nil }
      (root, folder, isUnified) = (String(left[3]), String(left[4]), right[0] == "cgroup2")
      options = right.last?.split(separator: ",") ?? []
    }
  }
}
