import BenchModel
import BenchProtocol
import BenchWorker
import Foundation
import Pacer

/// The drivers that experiments may name besides those in the program: a file for each under `Suites/drivers`.
enum Drivers {
  /// By name, one's own first.
  static var files: [String: String] {
    var found: [String: String] = [:]
    for folder in suitesFolders.map({ $0.appendingPathComponent("drivers") }) {
      let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
      for name in names where name.hasSuffix(".yaml") {
        let key = String(name.dropLast(".yaml".count))
        if found[key] == nil { found[key] = folder.appendingPathComponent(name).path }
      }
    }
    return found
  }

  /// Those that a configuration names and the program does not have, by what they are named.
  /// - Throws: ``UserError`` that names file and line.
  static func profiles(of configuration: Configuration) throws -> [String: DriverProfile] {
    guard configuration[Axes.backend] == "nnapi" else { return [:] }
    let files = files
    var profiles: [String: DriverProfile] = [:]
    for name in configuration[Axes.driver].split(separator: "+").map(String.init) {
      guard let path = name.contains("/") ? name : files[name] else { continue }
      profiles[name] = try DriverFile.read(path)
    }
    return profiles
  }

  /// A file of them for a worker, which reads JSON; nil where there are none.
  static func write(_ configuration: Configuration, to folder: URL) throws -> String? {
    let profiles = try profiles(of: configuration)
    guard !profiles.isEmpty else { return nil }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let data = try encoder.encode(profiles)
    var digest = Digest()
    data.withUnsafeBytes { digest.combine($0) }
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let file = folder.appendingPathComponent("drivers-\(digest.hex).json")
    try data.write(to: file, options: .atomic)
    return file.path
  }
}

extension Settings {
  /// What a worker would read of a configuration, with the drivers that it names.
  init(_ configuration: Configuration, in runtime: Runtime) throws {
    try self.init(
      configuration, WorkerCatalog(runtime: runtime.knowing(Drivers.profiles(of: configuration))))
  }
}
