import Foundation
import Pacer

/// Something that can be compared: what was measured before, or a program to measure now.
enum VersionSource {
  case stored(ResultFile)
  case program(VersionSession.Arm)

  /// A result file, a version under `Results/`, or a git revision, tried in this order.
  static func find(_ name: String, suite: String, host: String?, builder: VersionBuilder) async throws -> VersionSource
  {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: name, isDirectory: &isFolder), !isFolder.boolValue {
      return .stored(try ResultFile.read(URL(fileURLWithPath: name)))
    }
    if let url = try recorded(name, suite: suite, host: host) { return .stored(try ResultFile.read(url)) }
    return .program(try await revision(name, builder))
  }

  static func revision(_ name: String, _ builder: VersionBuilder) async throws -> VersionSession.Arm {
    let commit = try await repository.commit(name)
    return await arm(try await builder.program(commit: commit), suffix: "-g\(commit.prefix(12))")
  }

  static func workingTree(_ builder: VersionBuilder) async throws -> VersionSession.Arm {
    let version = await currentVersion()
    let program = try await builder.workingTree(scratch: scratchFolder)
    return await arm(program, suffix: version.description.dropFirst(version.release.count))
  }

  /// The arm of a program; its release is what the program itself says.
  private static func arm(_ program: VersionBuilder.Program, suffix: some StringProtocol) async -> VersionSession.Arm {
    var workers = Workers.standard
    workers.own = WorkerCommand(program.url.path, ["worker"])
    let release = await workers.own.release() ?? "unknown"
    return VersionSession.Arm(
      version: release + suffix, workers: workers,
      reordered: program.reordered.map { WorkerCommand($0.path, ["worker"]) })
  }

  /// A recorded run of the version, of the only host there is or the one named.
  private static func recorded(_ version: String, suite: String, host: String?) throws -> URL? {
    let results = projectFolder.appendingPathComponent("Results")
    guard !version.isEmpty, !version.contains("/"), !["local", "compare", ".", ".."].contains(version) else {
      return nil
    }
    let manager = FileManager.default
    let local = results.appendingPathComponent("local/\(version)/\(suite).json")
    let folder = results.appendingPathComponent(version)
    guard let hosts = try? manager.contentsOfDirectory(atPath: folder.path).sorted() else {
      return manager.fileExists(atPath: local.path) ? local : nil
    }
    let fitting = hosts.filter {
      (host == nil || $0 == host)
        && manager.fileExists(atPath: folder.appendingPathComponent("\($0)/\(suite).json").path)
    }
    guard fitting.count == 1 else {
      throw UserError(
        fitting.isEmpty
          ? "version \(version) has no recorded run of the suite \(suite)\(host.map { " on \($0)" } ?? "")"
          : "version \(version) was recorded on \(fitting.joined(separator: ", ")): choose one with --host")
    }
    return folder.appendingPathComponent("\(fitting[0])/\(suite).json")
  }

  static var repository: Repository { Repository(projectFolder) }

  /// `debug` or `release`: what this program was built for, so that all versions are built alike.
  static let configuration =
    URL(fileURLWithPath: ownPath).deletingLastPathComponent().lastPathComponent == "release"
    ? "release" : "debug"

  /// Where this program's own build lies, if it is one of this checkout's; otherwise where a build would put it.
  private static var scratchFolder: URL {
    let own = URL(fileURLWithPath: ownPath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return own.path.hasPrefix(projectFolder.path + "/.build") ? own : projectFolder.appendingPathComponent(".build")
  }

  static func builder(_ terminal: Terminal) -> VersionBuilder {
    VersionBuilder(
      repository, cache: projectFolder.appendingPathComponent("Results/local/versions"), configuration: configuration
    ) { terminal.announce($0) }
  }
}
