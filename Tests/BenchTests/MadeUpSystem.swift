import Foundation

@testable import BenchProtocol

/// A system's files, made up, for as long as the tests run: probes keep files of it open and read others later.
struct MadeUpSystem: Sendable {
  private static let place: URL = {
    let place = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-systems-\(getpid())")
    atexit { try? FileManager.default.removeItem(at: MadeUpSystem.place) }
    return place
  }()

  let folder: URL
  var tree: SystemTree { SystemTree(root: folder.path) }

  init(_ files: [String: String] = [:]) throws {
    folder = Self.place.appendingPathComponent("\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    for (path, text) in files { try write(text, to: path) }
  }

  /// In place, as the system changes its own.
  func write(_ text: String, to path: String) throws {
    let url = url(path)
    try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data("\(text)\n".utf8).write(to: url)
  }

  /// What can be opened and not read, whoever tries.
  func makeUnreadable(_ path: String) throws {
    try FileManager.default.createDirectory(at: url(path), withIntermediateDirectories: true)
  }

  func url(_ path: String) -> URL { folder.appendingPathComponent(path) }

  static let rapl = "sys/class/powercap/intel-rapl:0"

  /// A package's counter.
  static func packageFiles(_ microjoules: String, range: String = "1000000") -> [String: String] {
    ["\(rapl)/name": "package-0", "\(rapl)/energy_uj": microjoules, "\(rapl)/max_energy_range_uj": range]
  }
}
