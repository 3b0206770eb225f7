import Foundation

/// The text of a small system file; nil if it cannot be read.
package func read(_ path: String) -> String? {
  (try? String(contentsOfFile: path, encoding: .utf8))?.trimmingCharacters(in: .whitespacesAndNewlines)
}
