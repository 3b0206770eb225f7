import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer

/// Something that can be compared: what was measured before, or a program to measure now.
enum VersionSource {
  case stored(Record)
  case program(SideBySide.Side)

  /// A result file, a version under `Results/`, or a git revision, tried in this order.
  static func find(_ name: String, suite: String, host: String?, builder: VersionBuilder) async throws -> VersionSource
  {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: name, isDirectory: &isFolder), !isFolder.boolValue {
      return .stored(try Record.read(URL(fileURLWithPath: name), catalog))
    }
    if let url = try recorded(name, suite: suite, host: host) { return .stored(try Record.read(url, catalog)) }
    return .program(try await revision(name, builder))
  }

  static func revision(_ name: String, _ builder: VersionBuilder) async throws -> SideBySide.Side {
    let commit = try await repository.commit(name)
    return await side(try await builder.worker(commit: commit), suffix: "-g\(commit.prefix(12))")
  }

  static func workingTree(_ builder: VersionBuilder) async throws -> SideBySide.Side {
    let version = await currentVersion()
    let worker = try await builder.workingTree(scratch: scratchFolder)
    return await side(worker, suffix: version.description.dropFirst(version.release.count))
  }

  /// The side of a worker; its release is what the worker itself says.
  private static func side(_ worker: WorkerCommand, suffix: some StringProtocol) async -> SideBySide.Side {
    var workers = Workers.standard
    workers.own = worker
    let release = await workers.release(of: worker) ?? "unknown"
    return SideBySide.Side(version: release + suffix, workers: workers)
  }

  /// A recorded run of the version, of the only host there is or the one named.
  private static func recorded(_ version: String, suite: String, host: String?) throws -> URL? {
    let results = projectFolder.appendingPathComponent("Results")
    guard !version.isEmpty, !version.contains("/"), !["local", "compare", ".", ".."].contains(version) else {
      return nil
    }
    let manager = FileManager.default
    let local = results.appendingPathComponent("local/\(version)/\(suite).\(Record.fileExtension)")
    let folder = results.appendingPathComponent(version)
    guard let hosts = try? manager.contentsOfDirectory(atPath: folder.path).sorted() else {
      return manager.fileExists(atPath: local.path) ? local : nil
    }
    let fitting = hosts.filter { host == nil || $0 == host }.compactMap { host in
      [Record.fileExtension, "json"].map { folder.appendingPathComponent("\(host)/\(suite).\($0)") }
        .first { manager.fileExists(atPath: $0.path) }.map { (host: host, url: $0) }
    }
    guard fitting.count == 1 else {
      throw UserError(
        fitting.isEmpty
          ? "version \(version) has no recorded run of the suite \(suite)\(host.map { " on \($0)" } ?? "")"
          : "version \(version) was recorded on \(fitting.map(\.host).joined(separator: ", ")): choose one with --host")
    }
    return fitting[0].url
  }

  static var repository: Repository { Repository(projectFolder) }

  /// `debug` or `release`: what this program was built for, so that all versions are built alike.
  static let configuration =
    URL(fileURLWithPath: WorkerProgram.ownPath).deletingLastPathComponent().lastPathComponent == "release"
    ? "release" : "debug"

  /// Where this program's own build lies, if it is one of this checkout's; otherwise where a build would put it.
  static var scratchFolder: URL {
    let own = URL(fileURLWithPath: WorkerProgram.ownPath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return own.path.hasPrefix(projectFolder.path + "/.build") ? own : projectFolder.appendingPathComponent(".build")
  }

  static func builder(_ terminal: Terminal) -> VersionBuilder {
    VersionBuilder(
      repository, cache: projectFolder.appendingPathComponent("Results/local/versions"), configuration: configuration
    ) { terminal.announce($0) }
  }
}
