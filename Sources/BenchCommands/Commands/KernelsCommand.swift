import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer

struct KernelsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kernels", abstract: "Time every kernel of the models alone, beside what the machine can do at most.",
    discussion: """
      bench-suite kernels
      bench-suite kernels resnet-18 --threads 2
      bench-suite kernels mobilenet-v2 --isa avx2 --disable fuse-depthwise

      What most is lost in comes first: how much longer it takes than arithmetic or memory at their measured peaks would,
      times the nodes that run it. `profile` says what the same kernels take inside an inference.
      """)

  @Argument(help: "mobilenet-v2, resnet-18, or both with a comma (default).")
  var models = "mobilenet-v2,resnet-18"
  @OptionGroup var axes: AxisOptions
  @Option(help: "Fresh processes for each model.", transform: Values.processes)
  var processes: Int = 3
  @Flag(help: "Print everything as JSON instead of Markdown.")
  var json = false
  @Option(help: "Result to write, JSON; reports go beside it (default: Results/local/VERSION/kernels.json).")
  var output: String?

  func validate() throws { if let output { _ = try OutputName(output, ["json"]) } }

  func run() async throws { try await userFacing { try await measure() } }

  private func measure() async throws {
    let version = await currentVersion().description
    let found = try axes.group(models: models).configurations(catalog)
    guard Set(found.map { "\($0[Axes.threads]) \($0[Axes.isa] ?? "") \($0[Axes.backend])" }).count == 1,
      found.map(\.model).count == Set(found.map(\.model)).count
    else {
      throw UserError(
        "kernels are of one configuration for each model; these options mean \(found.count) configurations")
    }
    let terminal = Terminal(isQuiet: json)
    let machine = MachineDescription.current(catalog, git: version)
    let survey = try await untilInterrupted { [processes] in
      try await KernelSurvey.measure(
        found, workers: .standard, processes: processes, version: version, command: commandLine, environment: machine
      ) { terminal.show(progress: $0) }
    }
    terminal.finish()
    let report = survey.report
    let files: [(name: String, data: Data)] = [
      ("json", try JSONEncoder.readable.encode(survey)), ("md", Data(report.markdown.utf8)),
      ("html", Data(report.html.utf8)),
    ]
    try publish(files, summary: report, json: json, to: output, or: "\(version)/kernels")
  }
}
