import Foundation
import TensorCore

/// Compiled pipelines of one device and driver on disk, so that the next process need not compile them again.
struct PipelineCacheFile {
  let url: URL

  /// Under `$XDG_CACHE_HOME` or `~/.cache`; nil where neither is known.
  static var userFolder: URL? {
    let environment = ProcessInfo.processInfo.environment
    return environment["XDG_CACHE_HOME"].flatMap { $0.isEmpty ? nil : URL(fileURLWithPath: $0) }
      ?? environment["HOME"].map { URL(fileURLWithPath: $0).appendingPathComponent(".cache") }
  }

  /// - Parameter folder: where caches are kept; nil for nowhere.
  init?(identity: String, in folder: URL? = userFolder) {
    guard let folder else { return nil }
    url = folder.appendingPathComponent("pacer/vulkan-\(identity).bin")
  }

  /// What was written, or nothing where there is no file or not all of it is there: drivers are not to be trusted with
  /// half a cache.
  func read() -> Data {
    guard let file = try? Data(contentsOf: url), file.count > 8 else { return Data() }
    let data = file.dropFirst(8)
    return Data(file.prefix(8)) == Self.digest(of: Data(data)) ? Data(data) : Data()
  }

  /// Replaces the file whole. A cache that cannot be written is none: nothing else depends on it.
  func write(_ data: Data) {
    try? FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try? (Self.digest(of: data) + data).write(to: url, options: .atomic)
  }

  private static func digest(of data: Data) -> Data {
    var digest = Digest()
    data.withUnsafeBytes { digest.combine($0) }
    return withUnsafeBytes(of: digest.value.littleEndian) { Data($0) }
  }
}
