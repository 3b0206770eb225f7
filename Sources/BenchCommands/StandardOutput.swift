import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer
import Synchronization

/// Standard output. What cannot be written is remembered and told at the end: a full disk or a closed pipe costs a table,
/// never a measurement.
enum StandardOutput {
  private static let state = Mutex<String?>(nil)

  /// Why something could not be written; nil where all of it was.
  static var failure: String? { state.withLock { $0 } }

  /// In place of the library's `print`, which says nothing of what it could not write.
  static func print(_ text: String = "", terminator: String = "\n") { write(text + terminator) }

  static func write(_ text: String) {
    state.withLock { failure in
      guard failure == nil else { return }
      do { try OutputFile.write(Data(text.utf8), to: 1) } catch { failure = "\(error)" }
    }
  }
}

/// Standard error; there is nowhere to say that it cannot be written.
enum StandardError {
  static func write(_ text: String) { try? OutputFile.write(Data(text.utf8), to: 2) }
}
