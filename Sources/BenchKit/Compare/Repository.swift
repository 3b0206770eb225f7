import Foundation
import Subprocess

/// There is a base, and it is what is to be compared with it.
public struct NothingToCompare: Error, CustomStringConvertible {
  public let description: String
}

/// The git checkout whose versions are compared.
public struct Repository: Sendable {
  public let folder: URL

  public init(_ folder: URL) { self.folder = folder }

  /// What a git command prints.
  /// - Throws: ``UserError`` with git's own last words.
  func git(_ arguments: String...) async throws -> String {
    let result = try await run(
      .name("git"), arguments: Arguments(["-C", folder.path] + arguments), output: .string(limit: 64 << 20),
      error: .string(limit: 1 << 20))
    guard case .exited(0) = result.terminationStatus else {
      let words = result.standardError.split(separator: "\n").last.map(String.init) ?? "no reason given"
      throw UserError("git \(arguments[0]): \(words)")
    }
    return result.standardOutput.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// The full hash of a revision.
  /// - Throws: ``UserError`` that says how to get at the history where the clone is shallow.
  public func commit(_ revision: String) async throws -> String {
    if let hash = try? await git("rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}") {
      return hash
    }
    throw UserError(
      "\"\(revision)\" is no result file, no recorded version and no git revision" + (await shallowHint()))
  }

  private func shallowHint() async -> String {
    guard (try? await git("rev-parse", "--is-shallow-repository")) == "true" else { return "" }
    return "; this clone is shallow: `git fetch --unshallow`, or `fetch-depth: 0` for actions/checkout, brings the rest"
  }

  /// Where the working tree left the trunk: the merge base of HEAD and the branch that pull requests go to.
  /// - Throws: ``UserError`` where there is no trunk, ``NothingToCompare`` where the working tree is its merge base and
  ///   nothing is changed.
  public func mergeBase() async throws -> String {
    let target = ProcessInfo.processInfo.environment["GITHUB_BASE_REF"].flatMap { $0.isEmpty ? nil : "origin/" + $0 }
    for trunk in [target, "origin/HEAD", "origin/main", "origin/master", "main", "master"].compactMap({ $0 }) {
      guard (try? await git("rev-parse", "--verify", "--quiet", trunk)) != nil else { continue }
      guard let base = try? await git("merge-base", "HEAD", trunk) else {
        throw UserError("HEAD and \(trunk) have no common ancestor here" + (await shallowHint()))
      }
      if try await base == commit("HEAD"), try await isClean() {
        throw NothingToCompare(
          description: "the working tree is \(base.prefix(12)), which \(trunk) has too, and nothing is changed: "
            + "name a base such as HEAD~1")
      }
      return base
    }
    throw UserError("there is no branch main or master to find a merge base with: name a base" + (await shallowHint()))
  }

  func isClean() async throws -> Bool {
    try await git("status", "--porcelain", "--", ".", ":(exclude)Results").isEmpty
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
}
