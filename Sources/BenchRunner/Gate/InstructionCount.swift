import BenchModel
import BenchProtocol
import Foundation

/// Instructions of one inference, counted by valgrind's callgrind: work, not time, so that the busiest machine can tell.
public struct InstructionCount: Sendable {
  /// What comes before the first inference varies by some tens of thousands of instructions, with ranges that are learned and times that
  /// are written; so many inferences make little of that.
  private static let fewer = 1
  private static let more = 17

  private let worker: WorkerCommand
  private let program: URL

  /// - Parameter worker: a program of its own.
  /// - Throws: ``UserError`` where valgrind or strip is missing.
  public init(_ worker: WorkerCommand, folder: URL) async throws {
    guard let version = try? await Self.run("valgrind", ["--version"]) else {
      throw UserError("valgrind is not installed")
    }
    guard version.hasPrefix("valgrind") else { throw UserError("valgrind does not run: \(version)") }
    try makeFolder(folder)
    program = folder.appendingPathComponent("stripped-\(getpid())")
    self.worker = worker
    do {
      // Valgrind gives up on some of the compiler's debugging information.
      _ = try await Self.run("strip", ["-g", "-o", program.path, worker.executable])
    } catch { throw UserError("strip (package binutils) is needed: \(error)") }
  }

  public func close() { try? FileManager.default.removeItem(at: program) }

  /// The row's result with the reading `instructions`, or with the reason why there is none.
  public func count(_ result: Row) async -> Row {
    var result = result
    let row = result.configuration
    do {
      // Counting disturbs nobody: both at once.
      async let few = total(row, Self.fewer)
      async let many = total(row, Self.more)
      result.metrics["instructions"] = try await (many - few) / Double(Self.more - Self.fewer)
      result.status = .measured
    } catch {
      result.unavailableMetrics["instructions"] = "\(error)"
      (result.status, result.reason) = (.unavailable, "\(error)")
    }
    return result
  }

  /// All instructions of a worker that does so many inferences.
  private func total(_ configuration: Configuration, _ iterations: Int) async throws -> Double {
    let file = program.deletingLastPathComponent().appendingPathComponent("callgrind-\(UUID())")
    defer { try? FileManager.default.removeItem(at: file) }
    var job = Job(.latency, configuration)
    (job.iterations, job.warmup) = (iterations, 0)
    // What is drawn anew for every process, so that it averages out over times, would be noise here: no layout either.
    let valgrind = [
      "SWIFT_DETERMINISTIC_HASHING=1", "valgrind", "--tool=callgrind",
      "--callgrind-out-file=\(file.path)", "-q",
    ]
    let command = WorkerCommand("env", valgrind + [program.path] + worker.arguments, version: protocolVersion)
    let outcome = await ProcessLauncher().run(Assignment(command, job), timeout: 600)
    if let problem = outcome.problem { throw UserError(problem) }
    let text = try String(contentsOf: file, encoding: .utf8)
    guard let line = text.split(separator: "\n").last(where: { $0.hasPrefix("totals:") || $0.hasPrefix("summary:") }),
      let value = line.split(separator: " ").last.flatMap({ Double($0) })
    else { throw UserError("callgrind wrote no total") }
    return value
  }

  private static func run(_ tool: String, _ arguments: [String]) async throws -> String {
    let result = try await Supervisor.run(tool, arguments)
    guard case .exited(0) = result.status else { throw UserError(result.errors) }
    return result.output
  }
}
