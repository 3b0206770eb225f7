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
    commandName: "run", abstract: "Run a suite: default, ablation, peers, smoke, full, or a file of your own.")

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
        // What a pair of a small network takes, and inspecting it.
        let (pair, inspection) = (0.8, 0.6)
        let pairs = Estimate.runsForVerdict
        let seconds = Double(configurations.count) * (Double(pairs) * pair + inspection)
        StandardOutput.print(
          "\(Format.number(configurations.count, "configuration")); \(pairs) pairs of each take about "
            + "\(Terminal.duration(seconds)) where a pair takes \(pair) s, budget \(Terminal.duration(loaded.budget))"
            + (seconds > loaded.budget ? "; --resume goes on where that ends" : ""))
        return Int32(0)
      }
      let session = SuiteRun(suite: loaded, options: runner, command: commandLine)
      return SuiteRun.exitStatus(try await session.run())
    }
    if status != 0 { throw ExitCode(status) }
  }
}
