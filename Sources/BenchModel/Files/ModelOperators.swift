import ModelFiles
import Synchronization

/// Whether Pacer has the ops of an ONNX file: it is no measure for the others where it has not.
package enum ModelOperators {
  /// By what the file holds.
  private static let known = Mutex<[String: Bool]>([:])

  /// False of what is no model, too.
  package static func areKnown(_ path: String) -> Bool {
    let digest = FileDigest.of(path)
    if let isKnown = known.withLock({ $0[digest] }) { return isKnown }
    let isKnown = (try? ONNXFile(path).checkOperators()) != nil
    known.withLock { $0[digest] = isKnown }
    return isKnown
  }
}
