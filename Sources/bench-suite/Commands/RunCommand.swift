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
  @Flag(help: "Go on with an interrupted run.")
  var resume = false
  @Option(help: "Seconds for the whole run, instead of the suite's own budget.")
  var timeBudget: Double?
  @OptionGroup var runner: RunnerOptions

  func run() async throws {
    let status = try await userFacing {
      var loaded = try Suite.load(suite, in: suitesFolder)
      if let timeBudget { loaded.budget = timeBudget }
      if dryRun {
        let cells = try loaded.cells(catalog)
        let perVisit = 0.8
        let rounds = 5.0
        print(
          String(
            format: "%d cells; %.1f h if each took %.0f rounds of %.1f s, budget %.1f h", cells.count,
            Double(cells.count) * perVisit * rounds / 3600, rounds, perVisit, loaded.budget / 3600))
        return Int32(0)
      }
      let session = SuiteSession(
        suite: loaded, options: runner, resume: resume, command: "bench-suite run \(suite)")
      return SuiteSession.exitStatus(try await session.run())
    }
    if status != 0 { throw ExitCode(status) }
  }
}
