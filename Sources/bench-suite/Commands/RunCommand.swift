import ArgumentParser
import Foundation
import Pacer

struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Run a suite: default, smoke, full, peers, or a file of your own.")

  @Argument(help: "Name of a suite under Suites/, or path of a YAML file.")
  var suite = "default"
  @Flag(help: "Only say how many cells it has and how long it would take.")
  var dryRun = false
  @Option(help: "Seconds for the whole run, instead of the suite's own budget.", transform: Values.seconds)
  var timeBudget: Double?
  @OptionGroup var runner: RunnerOptions

  func run() async throws {
    let status = try await userFacing {
      var loaded = try Suite.load(suite, in: suitesFolders)
      if let timeBudget { loaded.budget = timeBudget }
      if dryRun {
        let cells = try loaded.cells(catalog)
        let (perRun, rounds) = (0.8, 5)
        let seconds = Double(cells.count * rounds) * perRun
        StandardOutput.print(
          "\(Format.number(cells.count, "configuration")); about \(Terminal.duration(seconds)) if each took \(rounds) runs "
            + "of \(perRun) s, budget \(Terminal.duration(loaded.budget))")
        return Int32(0)
      }
      let session = SuiteSession(suite: loaded, options: runner, command: commandLine)
      return SuiteSession.exitStatus(try await session.run())
    }
    if status != 0 { throw ExitCode(status) }
  }
}
