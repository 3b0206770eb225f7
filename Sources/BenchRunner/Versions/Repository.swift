import BenchModel
import BenchProtocol
import Foundation

/// There is a base, and it is what is to be compared with it.
public struct NothingToCompare: Error, CustomStringConvertible {
  public let description: String
}

/// The git checkout whose versions are compared.
public struct Repository: Sendable {
  public let folder: URL

  public init(_ folder: URL) { self.folder = folder }

  /// What a git command prints, without the white space around it.
  /// - Throws: ``UserError`` with git's own words.
  package func git(_ arguments: String...) async throws -> String {
    try await Git.run(arguments, in: folder).trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// The folder of the work tree that all paths of a patch are from.
  /// - Throws: ``UserError`` with git's own words where there is no repository, or git refuses to look at it.
  public func top() async throws -> URL { URL(fileURLWithPath: try await git("rev-parse", "--show-toplevel")) }

  /// Whether git knows a revision.
  private func knows(_ revision: String) async throws -> Bool {
    try await !Git.run(
      ["rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}"], in: folder, statuses: [0, 1]
    ).isEmpty
  }

  /// The full hash of a revision.
  /// - Throws: ``UserError`` that says how to get at the history where the clone is shallow.
  public func commit(_ revision: String) async throws -> String {
    guard try await knows(revision) else {
      throw UserError(
        "\"\(revision)\" is no result file, no recorded version and no git revision" + (await shallowHint()))
    }
    return try await git("rev-parse", "--verify", "--end-of-options", revision + "^{commit}")
  }

  private func shallowHint() async -> String {
    guard (try? await git("rev-parse", "--is-shallow-repository")) == "true" else { return "" }
    return "; this clone is shallow: `git fetch --unshallow`, or `fetch-depth: 0` for actions/checkout, brings the rest"
  }

  /// Where the working tree left the trunk: the merge base of HEAD and the branch that pull requests go to.
  /// - Throws: ``UserError`` where there is no trunk, ``NothingToCompare`` where the working tree is its merge base and
  ///   nothing is changed.
  public func mergeBase() async throws -> String {
    let head = try await commit("HEAD")
    let target = ProcessInfo.processInfo.environment["GITHUB_BASE_REF"].flatMap { $0.isEmpty ? nil : "origin/" + $0 }
    for trunk in [target, "origin/HEAD", "origin/main", "origin/master", "main", "master"].compactMap({ $0 }) {
      guard try await knows(trunk) else { continue }
      let base = try await Git.run(["merge-base", "HEAD", trunk], in: folder, statuses: [0, 1])
        .trimmingCharacters(in: .whitespacesAndNewlines)
      guard !base.isEmpty else {
        throw UserError("HEAD and \(trunk) have no common ancestor here" + (await shallowHint()))
      }
      let isClean = try await isClean()
      if base == head && isClean {
        throw NothingToCompare(
          description: "the working tree is \(base.prefix(12)), which \(trunk) has too, and nothing is changed: "
            + "name a base such as HEAD~1")
      }
      return base
    }
    throw UserError("there is no branch main or master to find a merge base with: name a base" + (await shallowHint()))
  }

  func isClean() async throws -> Bool {
    try await git("status", "--porcelain", "--untracked-files=all", "--", ".", ":(exclude)Results").isEmpty
  }

  /// Commits after `good` up to `bad`, oldest first, along first parents.
  public func commits(from good: String, to bad: String) async throws -> [String] {
    guard (try? await git("merge-base", "--is-ancestor", good, bad)) != nil else {
      throw UserError("\(good.prefix(12)) is no ancestor of \(bad.prefix(12))" + (await shallowHint()))
    }
    let list = try await git("rev-list", "--first-parent", "--reverse", "\(good)..\(bad)")
    return list.split(separator: "\n").map(String.init)
  }

  public func subject(_ commit: String) async -> String {
    (try? await git("log", "-1", "--format=%h %s", commit)) ?? commit
  }

  /// Writes the files of a commit into a folder. No worktree is registered and the repository's index stays as it is.
  func export(_ commit: String, to target: URL, index: URL) async throws {
    try makeFolder(target)
    let (top, own) = (try await top(), ["GIT_INDEX_FILE": index.path])
    _ = try await Git.run(["-c", "core.sparseCheckout=false", "read-tree", commit], in: top, environment: own)
    _ = try await Git.run(
      ["checkout-index", "--all", "--force", "--prefix=\(target.path)/"], in: top, environment: own)
  }
}
