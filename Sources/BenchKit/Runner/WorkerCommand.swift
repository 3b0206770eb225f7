import Foundation
import struct RuntimeCore.MemoryTimeline
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

  private func first<Line>(_ pick: (WorkerLine) -> Line?) -> Line? { lines.lazy.compactMap(pick).first }

  var hello: WorkerLine.Hello? { first { if case .hello(let line) = $0 { line } else { nil } } }
  var prepared: WorkerLine.Prepared? { first { if case .prepared(let line) = $0 { line } else { nil } } }
  var output: WorkerLine.Output? { first { if case .output(let line) = $0 { line } else { nil } } }
  var skipped: String? { first { if case .skipped(let reason) = $0 { reason } else { nil } } }
  var samples: [WorkerLine.Sample] { lines.compactMap { if case .sample(let line) = $0 { line } else { nil } } }
  var trace: WorkerLine.Trace? { first { if case .trace(let trace) = $0 { trace } else { nil } } }
  var memory: MemoryTimeline? { first { if case .memory(let line) = $0 { line } else { nil } } }
  /// One per turn.
  var profiles: [[WorkerLine.NodeTime]] { lines.compactMap { if case .profile(let nodes) = $0 { nodes } else { nil } } }
  /// The median of each turn that timed anything, in nanoseconds.
  var turns: [Double] { samples.map(\.latencies).filter { !$0.isEmpty }.map { median($0.map(Double.init)) } }
  var figures: [WorkerLine.Figure] { lines.compactMap { if case .figure(let line) = $0 { line } else { nil } } }
}

extension WorkerCommand {
  /// Runs one job. A crash, a hang, rubbish or silence is an outcome with a failure, never an error.
  public func run(_ job: Job, timeout: Double = 300) async -> JobOutcome {
    let outcome = await withTimeout(timeout) { await converse(job) { try await $0.finish() } }
    return outcome ?? .late(timeout)
  }

  /// The version it says it has; nil where it says none.
  public func release() async -> String? { await run(Job(.idle), timeout: 60).hello?.version }

  /// Runs two jobs at once, of which only one works at a time: both prepare, then they take turns, the first and the
  /// second going first alternately, until each had its warm-up and `count` turns.
  static func takeTurns(
    _ first: (command: WorkerCommand, job: Job), _ second: (command: WorkerCommand, job: Job), count: Int,
    timeout: Double
  ) async -> (first: JobOutcome, second: JobOutcome) {
    var jobs = (first.job, second.job)
    (jobs.0.takesTurns, jobs.1.takesTurns) = (true, true)
    let outcomes = await withTimeout(timeout) { [jobs] in
      var inner = JobOutcome()
      let outer = await first.command.converse(jobs.0) { one in
        inner = await second.command.converse(jobs.1) { two in
          for worker in [one, two] { guard try await worker.isPrepared() else { return } }
          for turn in 0...count {
            let order = turn % 2 == 0 ? [one, two] : [two, one]
            for worker in order {
              guard try await worker.takeTurn() else { return }
              try await worker.rest()
            }
          }
          try await one.finish()
          try await two.finish()
        }
      }
      return (outer, inner)
    }
    return outcomes.map { ($0.0, $0.1) } ?? (.late(timeout), .late(timeout))
  }

  /// Starts the worker, hands it the job, lets `body` talk with it, and waits for its end.
  private func converse(_ job: Job, _ body: (LiveWorker) async throws -> Void) async -> JobOutcome {
    var outcome = JobOutcome()
    do {
      let data = try JSONEncoder().encode(job) + Data("\n".utf8)
      let path: Executable = executable.contains("/") ? .path(.init(executable)) : .name(executable)
      var options = PlatformOptions()
      options.processGroupID = 0
      options.teardownSequence = [
        .send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .milliseconds(100))
      ]
      // Code and stack lie elsewhere in every process, so that what their places cost averages out.
      let padding = String(repeating: "x", count: Int.random(in: 0..<4096))
      let (ours, theirs) = try Self.socketPair()
      defer { close(ours) }
      let result = try await Subprocess.run(
        path, arguments: Arguments(arguments), environment: .inherit.updating(["PACER_PADDING": padding]),
        platformOptions: options, input: .fileDescriptor(.init(rawValue: theirs), closeAfterSpawningProcess: true),
        output: .sequence, error: .sequence
      ) { execution in
        let worker = LiveWorker(
          output: execution.standardOutput.makeAsyncIterator(), input: ours,
          processID: execution.processIdentifier.value)
        async let complaints = Self.tail(execution.standardError)
        await worker.write(data)
        var fault: String?
        do { try await body(worker) } catch let error as UserError { fault = error.description }
        await worker.closeInput()
        // What still writes after a fault is ended; otherwise its last words would never end either.
        if fault != nil { await execution.teardown(using: options.teardownSequence) }
        return (await worker.lines, fault, try await complaints)
      }
      let (lines, fault, complaints) = result.closureResult
      outcome.lines = lines
      outcome.failure = Self.failure(lines, fault, complaints, result.terminationStatus)
    } catch is CancellationError {
      outcome.failure = "interrupted"
    } catch {
      outcome.failure = Task.isCancelled ? "interrupted" : "\(executable) could not be run: \(error)"
    }
    return outcome
  }

  /// Two connected ends, neither inherited by any process by itself.
  private static func socketPair() throws -> (ours: Int32, theirs: Int32) {
    var ends: [Int32] = [0, 0]
    #if os(Linux)
      let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    #else
      let kind = SOCK_STREAM
    #endif
    guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
      throw UserError("no socket can be made: \(String(cString: strerror(errno)))")
    }
    return (ends[0], ends[1])
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

  /// Why the lines are worth nothing; nil if they are what a worker should write.
  private static func failure(
    _ lines: [WorkerLine], _ fault: String?, _ complaints: String, _ status: TerminationStatus
  ) -> String? {
    if let fault { return fault }
    let lastWords = complaints.split(separator: "\n").last.map { "; it said: \($0.prefix(300))" } ?? ""
    if case .signaled(let signal) = status {
      return "the worker was ended by signal \(signal) (\(String(cString: strsignal(signal))))\(lastWords)"
    }
    for case .failed(let reason) in lines { return reason }
    if case .exited(let code) = status, code != 0 { return "the worker exited with status \(code)\(lastWords)" }
    for case .hello(let hello) in lines {
      return hello.protocol == protocolVersion
        ? nil : "the worker speaks protocol \(hello.protocol), this runner \(protocolVersion)"
    }
    return "the worker ended without saying hello\(lastWords)"
  }
}

extension JobOutcome {
  fileprivate static func late(_ timeout: Double) -> JobOutcome {
    var late = JobOutcome()
    late.failure =
      Task.isCancelled ? "interrupted" : "no answer within \(Int(timeout)) s; the worker was ended"
    return late
  }
}

/// The value of `body`, or nil if it takes longer than so many seconds; it is cancelled then.
private func withTimeout<Value: Sendable>(
  _ seconds: Double, _ body: @escaping @Sendable () async -> Value
) async -> Value? {
  await withTaskGroup(of: Value?.self) { group in
    group.addTask { await body() }
    group.addTask {
      try? await Task.sleep(for: .seconds(seconds))
      return nil
    }
    defer { group.cancelAll() }
    return await group.next() ?? nil
  }
}
