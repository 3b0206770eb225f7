import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer

struct MeasureCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "measure", abstract: "Measure one configuration, or a matrix of comma lists, without a suite file.",
    discussion: """
      bench-suite measure mobilenet-v2
      bench-suite measure resnet-18 --passes none,all --threads 1,2 --allocator system,arena
      bench-suite measure my.onnx --engine pacer,onnxruntime,openvino --threads 1,2
      """)

  @Argument(help: "Models: mobilenet-v2, resnet-18, or files, .onnx or .pacer; a comma list means each.")
  var model: String
  @OptionGroup var axes: AxisOptions
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
      (job.iterations, job.warmup, job.minSeconds) = (iterations, warmup, minTime)
      let suite = Suite(
        name: "measure", summary: "", budget: timeBudget, configurationBudget: timeBudget, targetInterval: 0.01,
        rounds: rounds, job: job, groups: [try axes.group(models: model)])
      let session = SuiteRun(suite: suite, options: runner, command: commandLine)
      return SuiteRun.exitStatus(try await session.run())
    }
    if status != 0 { throw ExitCode(status) }
  }
}
