import BenchModel
import Foundation
import TensorCore

extension Version {
  /// - Parameter checkout: the folder with the sources of this program; nil where it is not in one, and has its release
  ///   alone. Which repository somebody stands in does not matter.
  public static func current(release: String, checkout: URL?) async -> Version {
    guard let checkout, let commit = try? await git(["rev-parse", "--short=12", "HEAD"], checkout) else {
      return Version(release: release)
    }
    // What was measured is no part of what measures.
    let sources = ["--", ":/", ":(exclude,top)Results"]
    guard let status = try? await git(["status", "--porcelain", "--untracked-files=all"] + sources, checkout),
      !status.isEmpty
    else { return Version(release: release, commit: commit) }
    var digest = Digest()
    digest.combine(status)
    digest.combine((try? await git(Git.diff + ["--binary", "HEAD"] + sources, checkout)) ?? "")
    // A new file is in no diff.
    let top = URL(fileURLWithPath: (try? await git(["rev-parse", "--show-toplevel"], checkout)) ?? checkout.path)
    let untracked = try? await git(
      ["ls-files", "--others", "--exclude-standard", "--full-name", "-z"] + sources, checkout)
    for name in (untracked ?? "").split(separator: "\0") {
      digest.combine("\(name) \(FileDigest.of(top.appendingPathComponent(String(name)).path))")
    }
    return Version(release: release, commit: commit, changes: String(digest.hex.prefix(8)))
  }

  private static func git(_ arguments: [String], _ folder: URL) async throws -> String {
    try await Git.run(arguments, in: folder).trimmingCharacters(in: .whitespacesAndNewlines)
  }
}
