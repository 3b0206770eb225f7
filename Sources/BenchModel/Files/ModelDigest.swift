import BenchProtocol
import Foundation
import ModelFiles
import Synchronization
import TensorCore

/// What a model file holds, weights that lie beside it included.
package enum ModelDigest {
  /// By the digest of the file itself: which other files belong to it.
  private static let known = Mutex<[String: [String]]>([:])

  /// - Throws: ``BadFile`` where it is no model.
  package static func of(_ path: String) throws -> String {
    if ModelReference.file(path: path, digest: "").isPacerFile {
      // Whether it is one is seen at its head.
      _ = try PacerFile(path)
      return FileDigest.of(path)
    }
    let own = FileDigest.of(path)
    let others: [String]
    if let files = known.withLock({ $0[own] }) {
      others = files
    } else {
      others = try ONNXFile(path).externalFiles
      known.withLock { $0[own] = others }
    }
    guard !others.isEmpty else { return own }
    let folder = (path as NSString).deletingLastPathComponent
    return others.reduce(into: Digest()) { digest, name in
      if digest == Digest() { digest.combine(own) }
      digest.combine(FileDigest.of("\(folder)/\(name)"))
    }.hex
  }
}
