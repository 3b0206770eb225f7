import BenchModel
import BenchProtocol
import Foundation

/// Builds the workers of versions of Pacer and keeps them, one folder a version.
///
/// A commit is built from nothing in a folder of its own, which is removed afterwards, or by the next build where this one
/// was killed: what a build leaves behind from another version must not get into a comparison.
public struct VersionBuilder: Sendable {
  /// A worker that commits have, and what of its arguments makes it one.
  private struct Product {
    var name: String
    var arguments: [String]
    var protocolVersion: Int

    /// Where Pacer's worker is a program of its own, and where it was a part of the harness, up to version 0.8.
    static let own = Product(name: "pacer-worker", arguments: [], protocolVersion: BenchProtocol.protocolVersion)
    static let former = Product(name: "bench-suite", arguments: ["worker"], protocolVersion: 1)

    static func of(_ source: URL) -> Product {
      let folder = source.appendingPathComponent("Sources/\(own.name)").path
      return FileManager.default.fileExists(atPath: folder) ? own : former
    }

    func command(in folder: URL) -> WorkerCommand {
      WorkerCommand(folder.appendingPathComponent(name).path, arguments, version: protocolVersion)
    }
  }

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

  /// The worker of a commit, from the cache or built now.
  public func worker(commit: String) async throws -> WorkerCommand {
    let folder = cache.appendingPathComponent("\(commit.prefix(12))-\(configuration)")
    for product in [Product.own, .former] {
      let command = product.command(in: folder)
      if FileManager.default.isExecutableFile(atPath: command.executable) { return command }
    }
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
    let product = Product.of(source)
    try await build(product, source, scratch: scratch, name: String(commit.prefix(12)))
    return try keep(product, scratch: scratch, in: folder, work)
  }

  /// The worker of the working tree as it is now, built where its own builds are.
  public func workingTree(scratch: URL) async throws -> WorkerCommand {
    let work = try WorkFolder(in: cache, name: "working-tree")
    defer { work.remove() }
    let product = Product.of(repository.folder)
    try await build(product, repository.folder, scratch: scratch, name: "the working tree")
    // As long as a commit's twelve digits: the length of a program's path moves its stack.
    return try keep(product, scratch: scratch, in: cache.appendingPathComponent("working-tree-\(configuration)"), work)
  }

  /// The working tree's worker, built before, with its objects linked in another order: to try what that alone does.
  public func reordered(scratch: URL, _ chance: Chance) async throws -> WorkerCommand {
    let product = Product.of(repository.folder)
    let order = try LinkOrder(scratch: scratch, product: product.name, configuration: configuration)
    // The length of a program's path moves its stack.
    let folder = cache.appendingPathComponent("re-ordered-1-\(configuration)")
    try makeFolder(folder)
    let command = product.command(in: folder)
    try await order.link(to: URL(fileURLWithPath: command.executable), chance)
    return command
  }

  private func build(_ product: Product, _ source: URL, scratch: URL, name: String) async throws {
    let log = cache.appendingPathComponent("build-\(name.filter { $0 != " " }).log")
    let result = try await Supervisor.run(
      "swift",
      [
        "build", "--package-path", source.path, "--scratch-path", scratch.path, "--product", product.name, "-c",
        configuration,
      ], environment: Git.environment)
    guard case .exited(0) = result.status else {
      let text = result.output + result.errors
      try? writeFile(Data(text.utf8), to: log)
      let errors = text.split(separator: "\n").filter { $0.contains("error:") || $0.contains("not found") }
      throw UserError("\(name) does not build: \(errors.first ?? "see the log"); the whole log is \(log.path)")
    }
  }

  /// Copies the program, and the one that its drivers run in where it has such.
  private func keep(_ product: Product, scratch: URL, in folder: URL, _ work: WorkFolder) throws -> WorkerCommand {
    let temporary = work.url.appendingPathComponent("programs")
    try makeFolder(temporary)
    try FileManager.default.copyItem(
      at: scratch.appendingPathComponent("\(configuration)/\(product.name)"),
      to: temporary.appendingPathComponent(product.name))
    let driver = scratch.appendingPathComponent("\(configuration)/pacer-driver")
    if FileManager.default.fileExists(atPath: driver.path) {
      try FileManager.default.copyItem(at: driver, to: temporary.appendingPathComponent("pacer-driver"))
    }
    try? FileManager.default.removeItem(at: folder)
    try FileManager.default.moveItem(at: temporary, to: folder)
    return product.command(in: folder)
  }
}
