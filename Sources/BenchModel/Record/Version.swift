import Foundation
import TensorCore

/// Release, commit and digest of uncommitted changes: what a result belongs to.
public struct Version: Sendable {
  public var release: String
  /// Twelve digits; nil outside a git checkout.
  public var commit: String?
  /// Digest of what differs from the commit; nil where nothing does.
  public var changes: String?

  package init(release: String, commit: String? = nil, changes: String? = nil) {
    (self.release, self.commit, self.changes) = (release, commit, changes)
  }

  public var description: String {
    [release, commit.map { "g" + $0 }, changes.map { "dirty" + $0 }].compactMap { $0 }.joined(separator: "-")
  }

  /// Whether a text can be a version, and the name of a folder.
  static func isVersion(_ text: String) -> Bool {
    !text.isEmpty && text.count <= 200 && text.first != "." && text.first != "-"
      && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-._+".contains($0)) }
  }
}
