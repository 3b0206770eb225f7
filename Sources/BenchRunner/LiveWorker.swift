import BenchProtocol
import Foundation
import Subprocess

/// A worker process at work: its lines as they come, and slices for one that is interleaved.
actor LiveWorker {
  private static let longestLine = 64 << 20
  private static let longestOutput = 256 << 20

  private typealias Lines = SubprocessOutputSequence.StringSequence<UTF8>
  private var output: Lines.AsyncIterator
  private var received = 0
  private var count = 0
  /// Our end of its standard input.
  private let input: Int32
  private let processID: Int32
  private let dialect: any Dialect
  /// Whether it was seen to go on running when its work was done: then nobody waits for it again, and the record says so.
  private var isBusyWaiting = false
  private(set) var lines: [WorkerLine] = []
  /// Lines that are read and not looked at yet.
  private var pending: [WorkerLine] = []

  init(output: SubprocessOutputSequence, input: Int32, processID: Int32, _ dialect: any Dialect) {
    // Lines end in "\n" alone: other breaks may stand in a text.
    self.output = output.strings(
      separatedBy: .unicodeScalarSequence("\n".unicodeScalars), bufferingPolicy: .maxLineLength(Self.longestLine)
    ).makeAsyncIterator()
    (self.input, self.processID, self.dialect) = (input, processID, dialect)
  }

  /// The next line it writes; nil at the end.
  /// - Throws: ``WorkerFailure`` where the line is no line of the protocol.
  private func nextLine() async throws -> WorkerLine? {
    while pending.isEmpty {
      var output = output
      let text: String?
      do { text = try await output.next(isolation: self) } catch let error as SubprocessError {
        if Task.isCancelled { throw CancellationError() }
        throw WorkerFailure.malformed("the worker's output cannot be read: \(error)")
      }
      self.output = output
      guard let text else { return nil }
      received += text.utf8.count
      if received > Self.longestOutput {
        throw WorkerFailure.malformed("the worker wrote more than \(Self.longestOutput >> 20) MiB; it was ended")
      }
      if !text.isEmpty { pending += try parsed(text) }
    }
    let line = pending.removeFirst()
    lines.append(line)
    return line
  }

  private func parsed(_ text: String) throws -> [WorkerLine] {
    count += 1
    do {
      let parsed = try dialect.lines(Data(text.utf8))
      for line in parsed { try line.check() }
      return parsed
    } catch let error as UserError {
      struct Kind: Decodable { var kind: String }
      let kind = (try? JSONDecoder().decode(Kind.self, from: Data(text.utf8))).map { " (\"\($0.kind)\")" } ?? ""
      let excerpt = text.prefix(80).map { $0.isASCII && !$0.isNewline ? String($0) : "·" }.joined()
      throw WorkerFailure.malformed(
        "line \(count)\(kind) of the worker is no protocol line: \(error)" + (kind.isEmpty ? ": \"\(excerpt)\"" : ""))
    }
  }

  /// Reads until the worker waits for a line; false where it ends before that.
  func isReady() async throws -> Bool {
    while let line = try await nextLine() { if case .ready = line { return true } }
    return false
  }

  /// Seconds of the iterations it has timed so far.
  private(set) var timed = 0.0

  /// Lets it warm up, or do one slice, and waits for what it says then; false where it ends instead.
  func takeSlice() async throws -> Bool {
    Self.write(Data("slice\n".utf8), to: input)
    while let line = try await nextLine() {
      switch line {
      case .sample(let sample):
        timed += sample.latenciesNs.reduce(0) { $0 + Double($1) } * 1e-9
        return true
      case .profile, .warmed: return true
      default: continue
      }
    }
    return false
  }

  /// Waits until none of its threads runs, for a third of a second at most. Many engines' threads spin for a while when
  /// their work is done, in case there is more, and would take the processor from the one whose slice it is.
  func rest() async throws {
    #if os(Linux)
      if isBusyWaiting { return }
      for _ in 0..<600 {
        if !Self.isRunning(processID) { return }
        try await Task.sleep(for: .microseconds(500))
      }
      isBusyWaiting = true
      // In the record, for who wonders what it took from the one beside it.
      lines.append(.metric(.init("spins-between-slices", 1)))
    #endif
  }

  #if os(Linux)
    /// Whether a thread of a process, or of one that it started, is running.
    private static func isRunning(_ process: Int32) -> Bool {
      let folder = "/proc/\(process)/task"
      let threads = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
      return threads.contains { thread in
        // The state follows the name, which is in parentheses and may hold anything.
        let stat = read("\(folder)/\(thread)/stat")
        if let stat, let end = stat.range(of: ") ", options: .backwards)?.upperBound, stat[end] == "R" { return true }
        let children = read("\(folder)/\(thread)/children")
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
