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
  /// Why nothing of it counts; nil if all went well.
  public var failure: String?
  /// Whether it was ended because it took too long.
  public var isLate = false

  private func first<Line>(_ pick: (WorkerLine) -> Line?) -> Line? { lines.lazy.compactMap(pick).first }

  var hello: WorkerLine.Hello? { first { if case .hello(let line) = $0 { line } else { nil } } }
  var prepared: WorkerLine.Prepared? { first { if case .prepared(let line) = $0 { line } else { nil } } }
  var output: WorkerLine.Output? { first { if case .output(let line) = $0 { line } else { nil } } }
  var skipped: String? { first { if case .skipped(let reason) = $0 { Format.plain(reason) } else { nil } } }
  var samples: [WorkerLine.Sample] { lines.compactMap { if case .sample(let line) = $0 { line } else { nil } } }
  var notes: [String] { lines.compactMap { if case .note(let text) = $0 { Format.plain(text) } else { nil } } }
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
  /// second going first alternately, until each had its warm-up and its turns.
  static func takeTurns(
    _ first: (command: WorkerCommand, job: Job), _ second: (command: WorkerCommand, job: Job), _ turns: Turns,
    timeout: Double
  ) async -> (first: JobOutcome, second: JobOutcome) {
    var jobs = (first.job, second.job)
    (jobs.0.takesTurns, jobs.1.takesTurns) = (true, true)
    let outcomes = await withTimeout(timeout) { [jobs] in
      var inner = JobOutcome()
      let outer = await first.command.converse(jobs.0) { one in
        inner = await second.command.converse(jobs.1) { two in
          for worker in [one, two] { guard try await worker.isPrepared() else { return } }
          var turn = 0
          var timed = Double.infinity
          repeat {
            for worker in turn % 2 == 0 ? [one, two] : [two, one] {
              guard try await worker.takeTurn() else { return }
              try await worker.rest()
            }
            timed = min(await one.timed, await two.timed)
            turn += 1
          } while turn <= turns.least || turn <= turns.most && timed < turns.seconds
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
      // In order: another order would be other work to read, which is seen where instructions are counted.
      let encoder = JSONEncoder()
      encoder.outputFormatting = .sortedKeys
      let data = try encoder.encode(job) + Data("\n".utf8)
      let started = Supervisor.command(executable, arguments)
      let options = Supervisor.options
      // Code and stack lie elsewhere in every process, so that what their places cost averages out.
      let padding = String(repeating: "x", count: Int.random(in: 0..<4096))
      let (ours, theirs) = try Supervisor.socketPair()
      defer { close(ours) }
      // A job is far smaller than a socket's buffer: it is there before the worker asks for it, always.
      LiveWorker.write(data, to: ours)
      let result = try await Subprocess.run(
        started.executable, arguments: Arguments(started.arguments), environment: Self.environment(padding),
        platformOptions: options, input: .fileDescriptor(.init(rawValue: theirs), closeAfterSpawningProcess: true),
        output: .sequence, error: .sequence
      ) { execution in
        let worker = LiveWorker(
          output: execution.standardOutput.makeAsyncIterator(), input: ours,
          processID: execution.processIdentifier.value)
        async let complaints = Self.ends(of: execution.standardError)
        var fault: String?
        do { try await body(worker) } catch let error as UserError { fault = error.description }
        await worker.closeInput()
        // What still writes after a fault is ended; otherwise its last words would never end either.
        if fault != nil { await execution.teardown(using: options.teardownSequence) }
        return (await worker.lines, fault, try await complaints)
      }
      let (lines, fault, complaints) = result.closureResult
      outcome.lines = lines
      outcome.failure = Self.failure(lines, fault, complaints, result.terminationStatus).map(Format.plain)
    } catch is CancellationError {
      outcome.failure = "interrupted"
    } catch {
      outcome.failure = Task.isCancelled ? "interrupted" : "\(executable) could not be run: \(error)"
    }
    return outcome
  }

  /// The environment with padding, in an order that is the same each time: looking a variable up takes as long as what
  /// stands before it.
  private static func environment(_ padding: String) -> Environment {
    var variables = ProcessInfo.processInfo.environment
    variables["PACER_PADDING"] = padding
    return .custom(variables.sorted { $0.key < $1.key }.map { Array("\($0)=\($1)\0".utf8) })
  }

  /// The first and the last few thousand characters of a stream.
  private static func ends(of stream: SubprocessOutputSequence) async throws -> String {
    var (start, end) = ("", "")
    for try await buffer in stream {
      buffer.withUnsafeBytes { bytes in
        let text = String(decoding: bytes, as: UTF8.self)
        if start.utf8.count < 8_000 { start += text } else { end += text }
      }
      if end.utf8.count > 40_000 { end = String(end.suffix(4_000)) }
    }
    return (end.isEmpty ? start : start + "\n" + end).trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// The line that says why: a fatal error's own, where there is one, and the last one otherwise.
  static func lastWords(_ text: String) -> String {
    let lines = text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    let reasons = [
      "Fatal error:", "Swift runtime failure:", "terminate called", "what():", "panicked at", "Sanitizer:",
    ]
    let reason = reasons.lazy.compactMap { word in lines.first { $0.contains(word) } }.first
    let noise = ["Backtrace took", "Press space", "Stack dump"]
    guard let line = reason ?? lines.last(where: { line in !noise.contains { line.hasPrefix($0) } }) else { return "" }
    return "; it said: \(line.prefix(300))"
  }

  /// Why the lines are worth nothing; nil if they are what a worker should write.
  private static func failure(
    _ lines: [WorkerLine], _ fault: String?, _ complaints: String, _ status: TerminationStatus
  ) -> String? {
    if let fault { return fault }
    let lastWords = lastWords(complaints)
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
  static func late(_ timeout: Double) -> JobOutcome {
    var late = JobOutcome()
    let seconds = timeout < 10 ? String(format: "%.2g", timeout) : "\(Int(timeout))"
    late.failure = Task.isCancelled ? "interrupted" : "no answer within \(seconds) s; the worker was ended"
    late.isLate = !Task.isCancelled
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
