import BenchModel
import BenchProtocol
import Foundation
import Subprocess

/// Workers as processes of this machine, each under its supervisor.
package struct ProcessLauncher: Launcher {
  /// Variables that workers and their supervisors have besides.
  private let variables: [String: String]

  package init(environment variables: [String: String] = [:]) { self.variables = variables }

  package func run(_ assignment: Assignment, timeout: Double) async -> JobOutcome {
    let outcome = await withTimeout(timeout) { await converse(assignment) { try await $0.finish() } }
    return outcome ?? JobOutcome(failure: Self.late(timeout))
  }

  package func interleave(
    _ first: Assignment, _ second: Assignment, _ plan: Interleaving, timeout: Double
  ) async -> (first: JobOutcome, second: JobOutcome) {
    var (first, second) = (first, second)
    (first.job.interleaved, second.job.interleaved) = (true, true)
    let outcomes = await withTimeout(timeout) { [first, second] in
      var inner = JobOutcome()
      let outer = await converse(first) { one in
        inner = await converse(second) { two in
          for worker in [one, two] { guard try await worker.isReady() else { return } }
          var slice = 0
          var timed = Double.infinity
          repeat {
            for worker in slice % 2 == 0 ? [one, two] : [two, one] {
              guard try await worker.takeSlice() else { return }
              try await worker.rest()
            }
            timed = min(await one.timed, await two.timed)
            slice += 1
          } while slice <= plan.least
            || slice <= Interleaving.most && (timed < plan.seconds || plan.seconds > 0 && slice % 2 == 0)
          try await one.finish()
          try await two.finish()
        }
      }
      return (outer, inner)
    }
    let late = JobOutcome(failure: Self.late(timeout))
    return outcomes ?? (late, late)
  }

  private static func late(_ timeout: Double) -> WorkerFailure {
    Task.isCancelled ? .interrupted : .late(seconds: timeout)
  }

  /// Starts the worker, hands it the job, lets `body` talk with it, and waits for its end.
  private func converse(_ assignment: Assignment, _ body: (LiveWorker) async throws -> Void) async -> JobOutcome {
    let (command, job) = (assignment.command, assignment.job)
    do {
      let dialect: any Dialect = command.version == 1 ? ProtocolOne() : ProtocolTwo()
      let data: Data
      do { data = try dialect.data(job) } catch { return JobOutcome(failure: .notStarted("\(error)")) }
      let started = Supervisor.command(
        command.executable, command.arguments, probes: command.version != 1 && command.needsProbes)
      let options = Supervisor.options
      let (ours, theirs) = try Supervisor.socketPair()
      defer { close(ours) }
      // A job is far smaller than a socket's buffer: it is there before the worker asks for it, always.
      LiveWorker.write(data, to: ours)
      let result = try await Subprocess.run(
        started.executable, arguments: Arguments(started.arguments),
        environment: environment(stack: job.layout?.stack ?? 0), platformOptions: options,
        input: .fileDescriptor(.init(rawValue: theirs), closeAfterSpawningProcess: true),
        output: .sequence, error: .sequence
      ) { execution in
        let worker = LiveWorker(
          output: execution.standardOutput, input: ours, processID: execution.processIdentifier.value, dialect)
        async let errors = Self.ends(of: execution.standardError)
        var fault: WorkerFailure?
        do { try await body(worker) } catch let error as WorkerFailure { fault = error }
        await worker.closeInput()
        // What still writes after a fault is ended; otherwise its last line would never end either.
        if fault != nil { await execution.teardown(using: options.teardownSequence) }
        return (await worker.lines, fault, try await errors)
      }
      let (lines, fault, errors) = result.closureResult
      let failure = fault ?? Self.failure(lines, errors, result.terminationStatus)
      return JobOutcome(lines, failure: failure?.plain)
    } catch is CancellationError {
      return JobOutcome(failure: .interrupted)
    } catch {
      return JobOutcome(
        failure: Task.isCancelled
          ? .interrupted : WorkerFailure.notStarted("\(command.executable) could not be run: \(error)").plain)
    }
  }

  /// The environment with so many bytes more, which move the stack, in an order that is the same each time: looking a
  /// variable up takes as long as what stands before it.
  private func environment(stack: Int) -> Environment {
    var variables = ProcessInfo.processInfo.environment.merging(variables) { $1 }
    variables["PACER_PADDING"] = String(repeating: "x", count: stack)
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

  /// Why the lines are worth nothing; nil if they are what a worker should write.
  private static func failure(
    _ lines: [WorkerLine], _ errors: String, _ status: TerminationStatus
  ) -> WorkerFailure? {
    let lastError = WorkerFailure.lastError(errors)
    if case .signaled(let signal) = status { return .signalled(signal, lastError: lastError) }
    for case .failed(let reason) in lines { return .reported(reason) }
    if case .exited(let code) = status, code != 0 { return .exited(code, lastError: lastError) }
    for case .hello(let hello) in lines {
      return (1...protocolVersion).contains(hello.protocol) ? nil : .wrongProtocol(hello.protocol)
    }
    return .silent(lastError: lastError)
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
