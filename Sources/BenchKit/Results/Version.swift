import Foundation
import Subprocess
import TensorCore

/// Release, commit and digest of uncommitted changes: what a result belongs to.
public struct Version: Sendable {
  public var release: String
  /// Twelve digits; nil outside a git checkout.
  public var commit: String?
  /// Digest of what differs from the commit; nil where nothing does.
  public var changes: String?

  public var description: String {
    [release, commit.map { "g" + $0 }, changes.map { "dirty" + $0 }].compactMap { $0 }.joined(separator: "-")
  }

  public static func current(release: String) async -> Version {
    guard let commit = await git(["rev-parse", "--short=12", "HEAD"]) else { return Version(release: release) }
    // What was measured is no part of what measures.
    let sources = [":/", ":(exclude,top)Results"]
    guard let status = await git(["status", "--porcelain", "--"] + sources), !status.isEmpty else {
      return Version(release: release, commit: commit)
    }
    var digest = Digest()
    digest.combine(status)
    digest.combine(await git(["diff", "HEAD", "--"] + sources) ?? "")
    return Version(release: release, commit: commit, changes: String(digest.hex.prefix(8)))
  }

  private static func git(_ arguments: [String]) async -> String? {
    let result = try? await run(
      .name("git"), arguments: Arguments(arguments), output: .string(limit: 64 << 20), error: .discarded)
    guard let result, case .exited(0) = result.terminationStatus else { return nil }
    return result.standardOutput.trimmingCharacters(in: .whitespacesAndNewlines)
  }
}
