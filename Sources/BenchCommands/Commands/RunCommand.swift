import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer

struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Run a suite: default, smoke, full, peers, or a file of your own.")

  @Argument(help: "Name of a suite under Suites/, or path of a YAML file.")
  var suite = "default"
  @Flag(help: "Only say how many configurations it has and how long it would take.")
  var dryRun = false
  @Option(help: "Seconds for the whole run, instead of the suite's own budget.", transform: Values.seconds)
  var timeBudget: Double?
  @OptionGroup var runner: RunnerOptions

  func run() async throws {
    let status = try await userFacing {
      var loaded = try Suite.load(suite, in: suitesFolders, catalog)
      if let timeBudget { loaded.budget = timeBudget }
      if dryRun {
        let configurations = try loaded.plan(catalog)
        let (perRun, rounds) = (0.8, 5)
        let seconds = Double(configurations.count * rounds) * perRun
        StandardOutput.print(
          "\(Format.number(configurations.count, "configuration")); about \(Terminal.duration(seconds)) if each took \(rounds) runs "
            + "of \(perRun) s, budget \(Terminal.duration(loaded.budget))")
        return Int32(0)
      }
      let session = SuiteRun(suite: loaded, options: runner, command: commandLine)
      return SuiteRun.exitStatus(try await session.run())
    }
    if status != 0 { throw ExitCode(status) }
  }
}
