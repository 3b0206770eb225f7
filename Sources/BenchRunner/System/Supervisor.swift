import BenchModel
import BenchProtocol
import Foundation
import Subprocess

/// Everything that is started runs under a supervisor (`pacer-worker supervise -- COMMAND`), which holds one end of a
/// socket as its standard input. It ends the command and all that the command started when that socket's other end is
/// closed, be it that the runner was killed.
package enum Supervisor {
  /// The program that supervises; nil where there is none beside this one, as in another package.
  static let path: String? = WorkerProgram.path

  /// The command under its supervisor.
  /// - Parameter probes: whether that measures what a worker of another engine does not.
  static func command(
    _ executable: String, _ arguments: [String], probes: Bool = false
  ) -> (executable: Executable, arguments: [String]) {
    if let path {
      let options = ["supervise"] + (probes ? ["--probes"] : []) + ["--"]
      return (.path(.init(path)), options + [executable] + arguments)
    }
    return (executable.contains("/") ? .path(.init(executable)) : .name(executable), arguments)
  }

  /// How a command is started and, where its task is cancelled, ended: the supervisor has two seconds to end the rest.
  static var options: PlatformOptions {
    var options = PlatformOptions()
    options.processGroupID = 0
    options.teardownSequence = [
      .send(signal: .terminate, toProcessGroup: false, allowedDurationToNextStep: .seconds(path == nil ? 0 : 3)),
      .send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .milliseconds(100)),
    ]
    return options
  }

  /// Two connected ends, neither inherited by any process by itself.
  static func socketPair() throws -> (ours: Int32, theirs: Int32) {
    var ends: [Int32] = [0, 0]
    #if os(Linux)
      let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    #else
      let kind = SOCK_STREAM
    #endif
    guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
      throw UserError("no socket can be made: \(SystemError(errno))")
    }
    return (ends[0], ends[1])
  }

  /// Runs a tool to its end.
  /// - Throws: ``UserError`` where it cannot be run; a status other than 0 is no error.
  static func run(
    _ executable: String, _ arguments: [String], environment: Environment = .inherit
  ) async throws -> (status: TerminationStatus, output: String, errors: String) {
    let (ours, theirs) = try socketPair()
    defer { close(ours) }
    let command = command(executable, arguments)
    let result = try await Subprocess.run(
      command.executable, arguments: Arguments(command.arguments), environment: environment, platformOptions: options,
      input: .fileDescriptor(.init(rawValue: theirs), closeAfterSpawningProcess: true),
      output: .string(limit: 16 << 20), error: .string(limit: 16 << 20))
    try Task.checkCancellation()
    return (result.terminationStatus, result.standardOutput, result.standardError)
  }
}
