import ArgumentParser
import Pacer

struct WorkerSubcommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "worker", abstract: "Do one job from standard input: the other end of the worker protocol.",
    shouldDisplay: false)

  func run() throws {
    let status = Worker.serve(catalog)
    if status != 0 { throw ExitCode(status) }
  }
}
