import Foundation
import Subprocess

/// Builds versions of Pacer and keeps their programs, one folder a version.
///
/// A commit is built from nothing in a worktree of its own, which is removed afterwards: what a build leaves behind from
/// another version must not get into a comparison.
public struct VersionBuilder: Sendable {
  public struct Program: Sendable {
    public var url: URL
    /// The same code in another order; nil where it could not be linked.
    public var reordered: URL?
  }

  private static let product = "bench-suite"
  private let repository: Repository
  private let cache: URL
  private let configuration: String
  private let note: @Sendable (String) -> Void

  /// - Parameters:
  ///   - cache: programs lie in `<cache>/<first twelve digits>/`.
  ///   - configuration: `debug` or `release`, for all versions alike.
  public init(
    _ repository: Repository, cache: URL, configuration: String, note: @escaping @Sendable (String) -> Void
  ) {
    (self.repository, self.cache, self.configuration, self.note) = (repository, cache, configuration, note)
  }

  /// The program of a commit, from the cache or built now.
  public func program(commit: String) async throws -> Program {
    let folder = cache.appendingPathComponent("\(commit.prefix(12))-\(configuration)")
    let kept = Program(
      url: folder.appendingPathComponent(Self.product), reordered: folder.appendingPathComponent("reordered"))
    if FileManager.default.isExecutableFile(atPath: kept.url.path) { return existing(kept) }
    note("building \(await repository.subject(commit)) (about two minutes, once)")
    let work = cache.appendingPathComponent("work-\(commit.prefix(12))-\(getpid())")
    let source = work.appendingPathComponent("source")
    try makeFolder(work)
    _ = try await repository.git("worktree", "add", "--detach", "--force", source.path, commit)
    let result: Result<Program, any Error>
    do {
      // The same dependencies as the working tree's: they are no part of the difference.
      let resolved = "Package.resolved"
      try? FileManager.default.copyItem(
        at: repository.folder.appendingPathComponent(resolved), to: source.appendingPathComponent(resolved))
      try await build(source, scratch: work.appendingPathComponent("build"), name: String(commit.prefix(12)))
      result = .success(try await keep(scratch: work.appendingPathComponent("build"), in: folder))
    } catch { result = .failure(error) }
    _ = try? await repository.git("worktree", "remove", "--force", source.path)
    try? FileManager.default.removeItem(at: work)
    return try result.get()
  }

  /// The program of the working tree as it is now, built where its own builds are.
  public func workingTree(scratch: URL) async throws -> Program {
    try await build(repository.folder, scratch: scratch, name: "the working tree")
    // As long as a commit's twelve digits: the length of a program's path moves its stack.
    let folder = cache.appendingPathComponent("working-tree-\(configuration)")
    try? FileManager.default.removeItem(at: folder)
    return try await keep(scratch: scratch, in: folder)
  }

  private func existing(_ program: Program) -> Program {
    var program = program
    if let url = program.reordered, !FileManager.default.isExecutableFile(atPath: url.path) { program.reordered = nil }
    return program
  }

  private func build(_ source: URL, scratch: URL, name: String) async throws {
    let log = cache.appendingPathComponent("build-\(name.filter { $0 != " " }).log")
    let result = try await run(
      .name("swift"),
      arguments: [
        "build", "--package-path", source.path, "--scratch-path", scratch.path, "--product", Self.product, "-c",
        configuration,
      ], output: .string(limit: 64 << 20), error: .string(limit: 64 << 20))
    guard case .exited(0) = result.terminationStatus else {
      let text = result.standardOutput + result.standardError
      try? writeAtomically(Data(text.utf8), to: log)
      let errors = text.split(separator: "\n").filter { $0.contains("error:") }
      throw UserError("\(name) does not build: \(errors.first ?? "see the log"); the whole log is \(log.path)")
    }
  }

  /// Copies the program, and links the same objects in another order beside it.
  private func keep(scratch: URL, in folder: URL) async throws -> Program {
    let temporary = folder.deletingLastPathComponent().appendingPathComponent(
      "new-\(folder.lastPathComponent)-\(getpid())")
    try? FileManager.default.removeItem(at: temporary)
    try makeFolder(temporary)
    try FileManager.default.copyItem(
      at: scratch.appendingPathComponent("\(configuration)/\(Self.product)"),
      to: temporary.appendingPathComponent(Self.product))
    do {
      let order = try LinkOrder(scratch: scratch, product: Self.product, configuration: configuration)
      try await order.link(to: temporary.appendingPathComponent("reordered"))
    } catch { note("no second link order: \(error)") }
    try FileManager.default.moveItem(at: temporary, to: folder)
    return existing(
      Program(url: folder.appendingPathComponent(Self.product), reordered: folder.appendingPathComponent("reordered")))
  }
}
