import Foundation
import Subprocess

/// A command that speaks the worker protocol; each job is a process of its own.
public struct WorkerCommand: Sendable, Equatable {
  public var executable: String
  public var arguments: [String]

  public init(_ executable: String, _ arguments: [String]) {
    self.executable = executable
    self.arguments = arguments
  }

  /// `prefix` before the command, as `qemu-x86_64 -cpu Nehalem` or `ssh host`.
  public func prefixed(_ prefix: [String]) -> WorkerCommand {
    guard let first = prefix.first else { return self }
    return WorkerCommand(first, Array(prefix.dropFirst()) + [executable] + arguments)
  }
}

/// What became of one job.
public struct JobOutcome: Sendable {
  public var lines: [WorkerLine] = []
  /// Why the visit is worth nothing; nil if all went well.
  public var failure: String?
  public var seconds: Double = 0

  var hello: WorkerLine.Hello? { lines.lazy.compactMap { if case .hello(let line) = $0 { line } else { nil } }.first }
  var prepared: WorkerLine.Prepared? {
    lines.lazy.compactMap { if case .prepared(let line) = $0 { line } else { nil } }.first
  }
  var sample: WorkerLine.Sample? {
    lines.lazy.compactMap { if case .sample(let line) = $0 { line } else { nil } }.first
  }
  var output: WorkerLine.Output? {
    lines.lazy.compactMap { if case .output(let line) = $0 { line } else { nil } }.first
  }
  var skipped: String? { lines.lazy.compactMap { if case .skipped(let reason) = $0 { reason } else { nil } }.first }
  var figures: [WorkerLine.Figure] { lines.compactMap { if case .figure(let line) = $0 { line } else { nil } } }
}

extension WorkerCommand {
  private static let longestOutput = 256 << 20

  /// Runs one job. A crash, a hang, rubbish or silence is an outcome with a failure, never an error.
  public func run(_ job: Job, timeout: Double = 300) async -> JobOutcome {
    let start = ContinuousClock.now
    var outcome = JobOutcome()
    do {
      let input = try JSONEncoder().encode(job)
      var options = PlatformOptions()
      options.processGroupID = 0
      options.teardownSequence = [
        .send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .milliseconds(100))
      ]
      outcome = try await withThrowingTaskGroup(of: JobOutcome?.self) { [options] group in
        group.addTask { try await self.spawn(input, options) }
        group.addTask {
          try await Task.sleep(for: .seconds(timeout))
          return nil
        }
        defer { group.cancelAll() }
        guard let first = try await group.next(), let result = first else {
          var late = JobOutcome()
          late.failure = "no answer within \(Int(timeout)) s; the worker was ended"
          return late
        }
        return result
      }
    } catch is CancellationError {
      outcome.failure = "interrupted"
    } catch {
      outcome.failure = Task.isCancelled ? "interrupted" : "\(executable) could not be run: \(error)"
    }
    outcome.seconds =
      Double((ContinuousClock.now - start).components.attoseconds) * 1e-18
      + Double((ContinuousClock.now - start).components.seconds)
    return outcome
  }

  private func spawn(_ job: Data, _ options: PlatformOptions) async throws -> JobOutcome {
    let path: Executable = executable.contains("/") ? .path(.init(executable)) : .name(executable)
    // The job comes from a file: a worker that ends without reading it breaks no pipe.
    let descriptor = try Self.readable(job)
    let result = try await Subprocess.run(
      path, arguments: Arguments(arguments), platformOptions: options,
      input: .fileDescriptor(.init(rawValue: descriptor), closeAfterSpawningProcess: true), output: .sequence,
      error: .sequence
    ) { execution in
      async let complaints = Self.tail(execution.standardError)
      var bytes: [UInt8] = []
      for try await buffer in execution.standardOutput {
        buffer.withUnsafeBytes { bytes.append(contentsOf: $0) }
        if bytes.count > Self.longestOutput {
          await execution.teardown(using: options.teardownSequence)
          break
        }
      }
      return (bytes, try await complaints)
    }
    let (bytes, complaints) = result.closureResult
    return Self.interpret(bytes, complaints: complaints, status: result.terminationStatus)
  }

  /// A descriptor that reads `data`, of a file that has no name any more.
  private static func readable(_ data: Data) throws -> Int32 {
    var template = Array((FileManager.default.temporaryDirectory.path + "/pacer-job-XXXXXX").utf8CString)
    let descriptor = mkstemp(&template)
    guard descriptor >= 0 else { throw UserError("no temporary file can be made: \(String(cString: strerror(errno)))") }
    unlink(template)
    try FileHandle(fileDescriptor: descriptor, closeOnDealloc: false).write(contentsOf: data)
    lseek(descriptor, 0, SEEK_SET)
    return descriptor
  }

  /// The last two thousand characters of a stream.
  private static func tail(_ stream: SubprocessOutputSequence) async throws -> String {
    var text = ""
    for try await buffer in stream {
      buffer.withUnsafeBytes { text += String(decoding: $0, as: UTF8.self) }
      if text.count > 20_000 { text = String(text.suffix(2_000)) }
    }
    return String(text.suffix(2_000)).trimmingCharacters(in: .whitespacesAndNewlines)
  }

  static func interpret(_ bytes: [UInt8], complaints: String, status: TerminationStatus) -> JobOutcome {
    var outcome = JobOutcome()
    guard bytes.count <= longestOutput else {
      outcome.failure = "the worker wrote more than \(longestOutput >> 20) MiB; it was ended"
      return outcome
    }
    let decoder = JSONDecoder()
    for line in bytes.split(separator: UInt8(ascii: "\n")) {
      guard let parsed = try? decoder.decode(WorkerLine.self, from: Data(line)) else {
        outcome.failure = "the worker wrote a line that is no protocol line: \(excerpt(line))"
        return outcome
      }
      if case .failed(let reason) = parsed { outcome.failure = reason }
      outcome.lines.append(parsed)
    }
    let lastWords = complaints.split(separator: "\n").last.map { "; it said: \($0.prefix(300))" } ?? ""
    switch status {
    case .exited(0): break
    case .exited(let code):
      outcome.failure = outcome.failure ?? "the worker exited with status \(code)\(lastWords)"
    case .signaled(let signal):
      outcome.failure = "the worker was ended by signal \(signal) (\(String(cString: strsignal(signal))))\(lastWords)"
    }
    if outcome.failure == nil {
      if let hello = outcome.hello {
        if hello.protocol != protocolVersion {
          outcome.failure = "the worker speaks protocol \(hello.protocol), this runner \(protocolVersion)"
        }
      } else {
        outcome.failure = "the worker ended without saying hello\(lastWords)"
      }
    }
    return outcome
  }

  private static func excerpt(_ line: some Sequence<UInt8>) -> String {
    let text = String(decoding: Array(line).prefix(80), as: UTF8.self)
    return "\"" + text.map { $0.isASCII && !$0.isNewline ? String($0) : "·" }.joined() + "\""
  }
}
