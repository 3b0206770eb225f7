import Foundation
import Subprocess

/// A worker process at work: its lines as they come, and turns for one that takes them.
actor LiveWorker {
  private static let longestOutput = 256 << 20

  private var output: SubprocessOutputSequence.Iterator
  private var pending: [UInt8] = []
  private var received = 0
  /// Our end of its standard input.
  private let input: Int32
  private(set) var lines: [WorkerLine] = []

  init(output: SubprocessOutputSequence.Iterator, input: Int32) {
    (self.output, self.input) = (output, input)
  }

  /// The next line it writes; nil at the end.
  /// - Throws: ``UserError`` where the line is no line of the protocol.
  func nextLine() async throws -> WorkerLine? {
    while true {
      if let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
        let line = pending[..<end]
        pending.removeSubrange(...end)
        if line.isEmpty { continue }
        return try accept(line)
      }
      var output = output
      let buffer = try await output.next(isolation: self)
      self.output = output
      guard let buffer else {
        defer { pending = [] }
        return pending.isEmpty ? nil : try accept(pending[...])
      }
      buffer.withUnsafeBytes { pending.append(contentsOf: $0) }
      received += buffer.count
      if received > Self.longestOutput {
        throw UserError("the worker wrote more than \(Self.longestOutput >> 20) MiB; it was ended")
      }
    }
  }

  private func accept(_ line: ArraySlice<UInt8>) throws -> WorkerLine {
    guard let parsed = try? JSONDecoder().decode(WorkerLine.self, from: Data(line)) else {
      let text = String(decoding: Array(line).prefix(80), as: UTF8.self)
      let excerpt = text.map { $0.isASCII && !$0.isNewline ? String($0) : "·" }.joined()
      throw UserError("the worker wrote a line that is no protocol line: \"\(excerpt)\"")
    }
    lines.append(parsed)
    return parsed
  }

  /// Reads until the worker has prepared its cell; false where it ends before that.
  func isPrepared() async throws -> Bool {
    while let line = try await nextLine() { if case .prepared = line { return true } }
    return false
  }

  /// Lets it do one turn and waits for what it measured; false where it ends instead.
  func takeTurn() async throws -> Bool {
    write(Data("turn\n".utf8))
    while let line = try await nextLine() {
      switch line {
      case .sample, .profile: return true
      default: continue
      }
    }
    return false
  }

  /// Lets it do what is left to do, and reads to the end.
  func finish() async throws {
    closeInput()
    while try await nextLine() != nil {}
  }

  func write(_ data: Data) {
    // A worker that has ended breaks no pipe: the socket says so instead of sending a signal, and its output ends too.
    #if os(Linux)
      let flags = Int32(MSG_NOSIGNAL)
    #else
      let flags: Int32 = 0
    #endif
    data.withUnsafeBytes { bytes in
      var sent = 0
      while sent < bytes.count {
        let count = send(input, bytes.baseAddress! + sent, bytes.count - sent, flags)
        if count <= 0 { return }
        sent += count
      }
    }
  }

  /// It reads the end of its standard input from now on.
  func closeInput() { shutdown(input, Int32(SHUT_WR)) }
}
