import BenchModel
import BenchProtocol
import Foundation

/// Keeps two runs from writing one record: the second would keep the first's half as a former one, and lose its own.
package struct RecordLock {
  private let path: String
  private let descriptor: Int32

  /// - Throws: ``UserError`` where another run holds it.
  package init(_ url: URL) throws {
    path = url.deletingLastPathComponent().appendingPathComponent(".\(url.lastPathComponent).lock").path
    guard !OutputFile(url.path).isStream else {
      descriptor = -1
      return
    }
    try makeFolder(url.deletingLastPathComponent())
    // Without a lock a place that cannot be written is found out soon enough.
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    if descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      close(descriptor)
      throw UserError("another run is writing \(url.path): wait for it, or choose another --output")
    }
  }

  package func release() {
    guard descriptor >= 0 else { return }
    unlink(path)
    close(descriptor)
  }
}
