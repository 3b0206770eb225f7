import ArgumentParser
import Foundation
import Pacer

struct MeasureCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "measure", abstract: "Measure one cell, or a matrix of comma lists, without a suite file.",
    discussion: """
      bench-suite measure mobilenet-v2
      bench-suite measure resnet-18 --passes none,all --threads 1,2 --allocator system,arena
      """)

  @Argument(help: "Models: mobilenet-v2, resnet-18; a comma list means each.")
  var model: String
  @OptionGroup var cells: CellOptions
  @Option(help: "Inferences before timing (default: until they are steady).", transform: Values.warmup)
  var warmup: Int?
  @Option(
    help: "Inferences to time in each process (default: as many as take --min-time).", transform: Values.iterations)
  var iterations: Int?
  @Option(
    help: "Seconds to time at least in each process, of interleaved pairs in both.", transform: Values.seconds)
  var minTime: Double = 0.25
  @Option(
    help: "Seconds for the whole measurement, counting and the reference output included.", transform: Values.seconds)
  var timeBudget: Double = 60
  @Option(help: "Most processes per configuration.", transform: Values.number(1...Limits.rounds))
  var rounds: Int = 10
  @OptionGroup var runner: RunnerOptions

  func run() async throws {
    let status = try await userFacing {
      var job = Job(.latency)
      (job.iterations, job.warmup, job.minTime) = (iterations, warmup, minTime)
      let suite = Suite(
        name: "measure", summary: "", budget: timeBudget, cellBudget: timeBudget, precision: 0.01, rounds: rounds,
        job: job, groups: [CellGroup(choices: cells.choices(models: model), place: "command line")])
      let session = SuiteSession(suite: suite, options: runner, command: commandLine)
      return SuiteSession.exitStatus(try await session.run())
    }
    if status != 0 { throw ExitCode(status) }
  }
}
