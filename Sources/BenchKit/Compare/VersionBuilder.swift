import Foundation

/// Builds versions of Pacer and keeps their programs, one folder a version.
///
/// A commit is built from nothing in a folder of its own, which is removed afterwards, or by the next build where this one
/// was killed: what a build leaves behind from another version must not get into a comparison.
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
    note("building \(await repository.subject(commit)) (two to ten minutes, once)")
    let work = try WorkFolder(in: cache, name: String(commit.prefix(12)))
    defer { work.remove() }
    let source = work.url.appendingPathComponent("source")
    try await repository.export(commit, to: source, index: work.url.appendingPathComponent("index"))
    // The same dependencies as the working tree's: they are no part of the difference.
    let resolved = "Package.resolved"
    try? FileManager.default.copyItem(
      at: repository.folder.appendingPathComponent(resolved), to: source.appendingPathComponent(resolved))
    let scratch = work.url.appendingPathComponent("build")
    try await build(source, scratch: scratch, name: String(commit.prefix(12)))
    return try await keep(scratch: scratch, in: folder, work)
  }

  /// The program of the working tree as it is now, built where its own builds are.
  public func workingTree(scratch: URL) async throws -> Program {
    let work = try WorkFolder(in: cache, name: "working-tree")
    defer { work.remove() }
    try await build(repository.folder, scratch: scratch, name: "the working tree")
    // As long as a commit's twelve digits: the length of a program's path moves its stack.
    return try await keep(scratch: scratch, in: cache.appendingPathComponent("working-tree-\(configuration)"), work)
  }

  private func existing(_ program: Program) -> Program {
    var program = program
    if let url = program.reordered, !FileManager.default.isExecutableFile(atPath: url.path) { program.reordered = nil }
    return program
  }

  private func build(_ source: URL, scratch: URL, name: String) async throws {
    let log = cache.appendingPathComponent("build-\(name.filter { $0 != " " }).log")
    let result = try await Supervisor.run(
      "swift",
      [
        "build", "--package-path", source.path, "--scratch-path", scratch.path, "--product", Self.product, "-c",
        configuration,
      ], environment: Git.environment)
    guard case .exited(0) = result.status else {
      let text = result.output + result.errors
      try? writeFile(Data(text.utf8), to: log)
      let errors = text.split(separator: "\n").filter { $0.contains("error:") || $0.contains("not found") }
      throw UserError("\(name) does not build: \(errors.first ?? "see the log"); the whole log is \(log.path)")
    }
  }

  /// Copies the program, and links the same objects in another order beside it.
  private func keep(scratch: URL, in folder: URL, _ work: WorkFolder) async throws -> Program {
    let temporary = work.url.appendingPathComponent("programs")
    try makeFolder(temporary)
    try FileManager.default.copyItem(
      at: scratch.appendingPathComponent("\(configuration)/\(Self.product)"),
      to: temporary.appendingPathComponent(Self.product))
    do {
      let order = try LinkOrder(scratch: scratch, product: Self.product, configuration: configuration)
      try await order.link(to: temporary.appendingPathComponent("reordered"))
    } catch {
      try Task.checkCancellation()
      note("no second link order: \(error)")
    }
    try? FileManager.default.removeItem(at: folder)
    try FileManager.default.moveItem(at: temporary, to: folder)
    return existing(
      Program(url: folder.appendingPathComponent(Self.product), reordered: folder.appendingPathComponent("reordered")))
  }
}
