import BenchModel
import Foundation

/// Why nothing of a job counts.
public enum WorkerFailure: Error, Equatable, Sendable, CustomStringConvertible {
  case interrupted
  /// It took longer than it had, and was ended.
  case late(seconds: Double)
  /// There is no such program, or what it needs could not be written.
  case notStarted(String)
  /// A line that is no line of the protocol.
  case malformed(String)
  /// Its own word.
  case reported(String)
  case signalled(Int32, lastError: String)
  case exited(Int32, lastError: String)
  /// It ended without a hello.
  case silent(lastError: String)
  case wrongProtocol(Int)

  public var description: String {
    func behind(_ lastError: String) -> String { lastError.isEmpty ? "" : "; last error line: \(lastError)" }
    return switch self {
    case .interrupted: "interrupted"
    case .late(let seconds):
      "no answer within \(seconds < 10 ? String(format: "%.2g", seconds) : "\(Int(seconds))") s; the worker was ended"
    case .notStarted(let reason), .malformed(let reason), .reported(let reason): reason
    case .signalled(let signal, let lastError):
      "the worker was ended by signal \(signal) (\(String(cString: strsignal(signal))))\(behind(lastError))"
    case .exited(let status, let lastError): "the worker exited with status \(status)\(behind(lastError))"
    case .silent(let lastError): "the worker exited before sending `hello`\(behind(lastError))"
    case .wrongProtocol(let version): "the worker speaks protocol \(version), this runner 1 and 2"
    }
  }

  /// The same with what came from outside on one line.
  var plain: WorkerFailure {
    switch self {
    case .malformed(let text): .malformed(Format.plain(text))
    case .reported(let text): .reported(Format.plain(text))
    case .notStarted(let text): .notStarted(Format.plain(text))
    case .signalled(let signal, let text): .signalled(signal, lastError: Format.plain(text))
    case .exited(let status, let text): .exited(status, lastError: Format.plain(text))
    case .silent(let text): .silent(lastError: Format.plain(text))
    case .interrupted, .late, .wrongProtocol: self
    }
  }

  /// The line that says why: a fatal error's own, where there is one, and the last one otherwise.
  package static func lastError(_ text: String) -> String {
    let lines = text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    let reasons = [
      "Fatal error:", "Swift runtime failure:", "terminate called", "what():", "panicked at", "Sanitizer:",
    ]
    let reason = reasons.lazy.compactMap { word in lines.first { $0.contains(word) } }.first
    let noise = ["Backtrace took", "Press space", "Stack dump"]
    let line = reason ?? lines.last { line in !noise.contains { line.hasPrefix($0) } }
    return String((line ?? "").prefix(300))
  }
}
