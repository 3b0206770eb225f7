import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer

struct BisectAccuracyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bisect-accuracy", abstract: "Name the first op whose output is not the reference's.",
    discussion: """
      Runs each op alone on the oracle's inputs and the whole network with every output kept, holds both against the
      scalar oracle, looks for values that are no numbers and outputs that are all zero, and runs the network twice to
      see whether the bits repeat.

      bench-suite bisect-accuracy mobilenet-v2 --backend vulkan

      Exit status: 0 every op alone and the whole network are within what is allowed, 3 one of them is not.
      """)

  @Argument(help: "Model.")
  var model: String
  @OptionGroup var axes: AxisOptions
  @Option(
    help: "Largest difference of an op alone, over its largest value (default: 1e-5, in fp16 1e-2).",
    transform: Values.tolerance)
  var tolerance: Double?
  @Flag(help: "Print JSON instead of Markdown.")
  var json = false

  func run() async throws {
    let isWrong = try await userFacing {
      let configurations = try axes.group(models: model).configurations(catalog)
      guard configurations.allSatisfy({ $0[Axes.engine] == "pacer" }) else {
        throw UserError("bisect-accuracy looks at Pacer's own ops: other engines do not tell theirs")
      }
      guard configurations.count == 1 else {
        throw UserError("bisect-accuracy takes one configuration, not \(configurations.count)")
      }
      let bisection = try AccuracyBisection(Harness.current.runtime, configurations[0], tolerance: tolerance)
      StandardOutput.print(json ? try JSONEncoder.text(bisection) : bisection.report.markdown, terminator: "")
      return !bisection.isRight
    }
    if isWrong { throw ExitCode(3) }
  }
}
