import Foundation
import Synchronization
import TensorCore

/// What files hold, as a digest: two files of the same one are the same to whatever is kept of them.
package enum FileDigest {
  /// A file as it was when it was read: whatever is written to it changes one of these.
  private struct Identity: Hashable {
    var numbers: [Int]

    init?(_ path: String) {
      var status = stat()
      guard stat(path, &status) == 0 else { return nil }
      #if canImport(Glibc)
        let (changed, modified) = (status.st_ctim, status.st_mtim)
      #else
        let (changed, modified) = (status.st_ctimespec, status.st_mtimespec)
      #endif
      numbers = [
        Int(status.st_dev), Int(status.st_ino), Int(status.st_size), Int(changed.tv_sec), Int(changed.tv_nsec),
        Int(modified.tv_sec), Int(modified.tv_nsec),
      ]
    }
  }
  private static let known = Mutex<[Identity: String]>([:])

  /// Of a folder it is that of the files in it. Of a file that cannot be read it is a word that says so.
  package static func of(_ path: String) -> String {
    guard let identity = Identity(path) else { return "missing" }
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
      let names = ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
      return names.reduce(into: Digest()) { digest, name in
        // Regular files alone: what lies deeper is none of it, and a pipe would never end.
        var status = stat()
        let inner = "\(path)/\(name)"
        if stat(inner, &status) == 0, status.st_mode & S_IFMT == S_IFREG { digest.combine("\(name) \(of(inner))\n") }
      }.hex
    }
    if let digest = known.withLock({ $0[identity] }) { return digest }
    // A pipe or a device might never end.
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG, let file = FileHandle(forReadingAtPath: path)
    else { return "unreadable" }
    defer { try? file.close() }
    var digest = Digest()
    while let data = try? file.read(upToCount: 1 << 22), !data.isEmpty { data.withUnsafeBytes { digest.combine($0) } }
    known.withLock { $0[identity] = digest.hex }
    return digest.hex
  }

  /// Of a program, which is not read: where it lies and when it was last written.
  package static func ofProgram(_ path: String) -> String { Identity(path).map { "\($0.numbers)" } ?? path }
}
