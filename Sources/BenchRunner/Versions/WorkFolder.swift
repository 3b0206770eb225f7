import BenchModel
import BenchProtocol
import Foundation

/// A folder that is there as long as somebody works in it. Whoever holds it holds a lock on it, which the system drops
/// however the holder ends: what nobody holds any more is removed by the next one.
final class WorkFolder: Sendable {
  static let prefix = "work-"
  let url: URL
  private let descriptor: Int32

  /// - Throws: ``UserError`` where it cannot be made.
  init(in parent: URL, name: String) throws {
    try makeFolder(parent)
    Self.removeStale(in: parent)
    url = parent.appendingPathComponent("\(Self.prefix)\(name)-\(getpid())-\(UInt16.random(in: 0 ... .max))")
    try makeFolder(url)
    descriptor = open(url.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    _ = flock(descriptor, LOCK_EX | LOCK_NB)
  }

  func remove() {
    try? FileManager.default.removeItem(at: url)
    close(descriptor)
  }

  /// Those of programs that ended before they could remove them.
  static func removeStale(in parent: URL) {
    let manager = FileManager.default
    for name in (try? manager.contentsOfDirectory(atPath: parent.path)) ?? [] where name.hasPrefix(prefix) {
      let url = parent.appendingPathComponent(name)
      let descriptor = open(url.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      guard descriptor >= 0 else { continue }
      if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { try? manager.removeItem(at: url) }
      close(descriptor)
    }
  }
}
