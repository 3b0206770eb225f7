import Foundation
import Subprocess

/// A worker process at work: its lines as they come, and turns for one that takes them.
actor LiveWorker {
  private static let longestOutput = 256 << 20

  private var output: SubprocessOutputSequence.Iterator
  private var pending: [UInt8] = []
  /// Bytes of `pending` that are known to have no line's end.
  private var scanned = 0
  private var received = 0
  /// Our end of its standard input.
  private let input: Int32
  private let processID: Int32
  /// Whether it was seen to go on running when its work was done: then nobody waits for it again, and the result says so.
  private var isRestless = false
  private(set) var lines: [WorkerLine] = []

  init(output: SubprocessOutputSequence.Iterator, input: Int32, processID: Int32) {
    (self.output, self.input, self.processID) = (output, input, processID)
  }

  /// The next line it writes; nil at the end.
  /// - Throws: ``UserError`` where the line is no line of the protocol.
  func nextLine() async throws -> WorkerLine? {
    while true {
      if let end = pending[scanned...].firstIndex(of: UInt8(ascii: "\n")) {
        let line = Array(pending[..<end])
        pending.removeSubrange(...end)
        scanned = 0
        if line.isEmpty { continue }
        return try accept(line)
      }
      scanned = pending.count
      var output = output
      let buffer = try await output.next(isolation: self)
      self.output = output
      guard let buffer else {
        defer { (pending, scanned) = ([], 0) }
        return pending.isEmpty ? nil : try accept(pending)
      }
      buffer.withUnsafeBytes { pending.append(contentsOf: $0) }
      received += buffer.count
      if received > Self.longestOutput {
        throw UserError("the worker wrote more than \(Self.longestOutput >> 20) MiB; it was ended")
      }
    }
  }

  private func accept(_ line: [UInt8]) throws -> WorkerLine {
    do {
      let parsed = try CheckedJSON.decode(WorkerLine.self, from: Data(line))
      try parsed.check()
      lines.append(parsed)
      return parsed
    } catch let error as UserError {
      struct Kind: Decodable { var kind: String }
      let kind = (try? JSONDecoder().decode(Kind.self, from: Data(line))).map { " (\"\($0.kind)\")" } ?? ""
      let text = String(decoding: line.prefix(80), as: UTF8.self)
      let excerpt = text.map { $0.isASCII && !$0.isNewline ? String($0) : "·" }.joined()
      throw UserError(
        "line \(lines.count + 1)\(kind) of the worker is no protocol line: \(error)"
          + (kind.isEmpty ? ": \"\(excerpt)\"" : ""))
    }
  }

  /// Reads until the worker has prepared its cell; false where it ends before that.
  func isPrepared() async throws -> Bool {
    while let line = try await nextLine() { if case .prepared = line { return true } }
    return false
  }

  /// Seconds of the inferences it has timed so far.
  private(set) var timed = 0.0

  /// Lets it do one turn and waits for what it measured; false where it ends instead.
  func takeTurn() async throws -> Bool {
    Self.write(Data("turn\n".utf8), to: input)
    while let line = try await nextLine() {
      switch line {
      case .sample(let sample):
        timed += sample.latencies.reduce(0) { $0 + Double($1) } * 1e-9
        return true
      case .profile: return true
      default: continue
      }
    }
    return false
  }

  /// Waits until none of its threads runs, for a third of a second at most. Many engines' threads spin for a while when
  /// their work is done, in case there is more, and would take the processor from the one whose turn it is.
  func rest() async throws {
    #if os(Linux)
      if isRestless { return }
      for _ in 0..<600 {
        if !Self.isRunning(processID) { return }
        try await Task.sleep(for: .microseconds(500))
      }
      isRestless = true
      // In the result, for who wonders what it took from the one in turn with it.
      lines.append(.figure(.init("spins-between-turns", 1)))
    #endif
  }

  #if os(Linux)
    /// Whether a thread of a process, or of one that it started, is running.
    private static func isRunning(_ process: Int32) -> Bool {
      let folder = "/proc/\(process)/task"
      let threads = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
      return threads.contains { thread in
        // The state follows the name, which is in parentheses and may hold anything.
        let stat = try? String(contentsOfFile: "\(folder)/\(thread)/stat", encoding: .utf8)
        if let stat, let end = stat.range(of: ") ", options: .backwards)?.upperBound, stat[end] == "R" { return true }
        let children = try? String(contentsOfFile: "\(folder)/\(thread)/children", encoding: .utf8)
        return children?.split(separator: " ").contains { Int32($0).map(isRunning) ?? false } ?? false
      }
    }
  #endif

  /// Lets it do what is left to do, and reads to the end.
  func finish() async throws {
    closeInput()
    while try await nextLine() != nil {}
  }

  static func write(_ data: Data, to input: Int32) {
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
