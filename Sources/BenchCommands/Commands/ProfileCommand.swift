import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer

struct ProfileCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "profile", abstract: "Say where a configuration's time and bytes go, node by node, and what to try.",
    discussion: """
      bench-suite profile mobilenet-v2
      bench-suite profile resnet-18 --passes none --threads 2
      bench-suite profile --diff old/profile-resnet-18.json new/profile-resnet-18.json

      Writes beside each other: the profile (JSON), the report (Markdown and a page), a table (CSV), one inference as
      Chrome trace events for ui.perfetto.dev, and the charts (SVG).
      """)

  @Argument(help: "mobilenet-v2, resnet-18, or a file, .onnx or .pacer; with --diff, two profiles (JSON).")
  var model: [String]
  @OptionGroup var axes: AxisOptions
  @Option(help: "Fresh processes (default: 7).", transform: Values.processes)
  var processes: Int?
  @Flag(help: "Join two profiles node by node instead.")
  var diff = false
  @Flag(help: "Print the profile as JSON instead of Markdown.")
  var json = false
  @Option(help: "Result to write, JSON; reports go beside it (default: Results/local/VERSION/profile-MODEL.json).")
  var output: String?

  func validate() throws {
    if model.count != (diff ? 2 : 1) {
      throw ValidationError(diff ? "--diff takes two profiles" : "name one model")
    }
    if try diff && (processes != nil || json || !axes.choices(models: nil).isEmpty) {
      throw ValidationError(
        "--diff measures nothing and writes Markdown: leave out what to measure, --processes and --json")
    }
    if let output { _ = try OutputName(output, diff ? ["md", "html"] : ["json"]) }
  }

  func run() async throws {
    try await userFacing { if diff { try compare() } else { try await measure() } }
  }

  private func compare() throws {
    let (base, head) = (
      try Profile.read(URL(fileURLWithPath: model[0])), try Profile.read(URL(fileURLWithPath: model[1]))
    )
    let document = Profile.difference(base, head)
    if let output = try output.map({ try OutputName($0, ["md", "html"]) }) {
      try writeFile(Data(document.text(as: output.format).utf8), to: output.url)
    }
    StandardOutput.print(document.markdown, terminator: "")
  }

  private func measure() async throws {
    let version = await currentVersion().description
    let found = try axes.group(models: model[0]).configurations(catalog)
    guard found.count == 1 else {
      throw UserError("a profile is of one configuration; these options mean \(found.count)")
    }
    let configuration = found[0]
    let label = Labels.of(configuration, catalog)
    let terminal = Terminal(isQuiet: json)
    let machine = MachineDescription.current(catalog, git: version)
    let profile = try await untilInterrupted { [processes = processes ?? 7] in
      try await Profile.measure(
        configuration, label: label, workers: .standard, processes: processes, version: version, command: commandLine,
        environment: machine
      ) { terminal.show(progress: "process \($0 + 1) of \(processes)") }
    }
    terminal.finish()
    var files: [(name: String, data: Data)] = [
      ("json", try JSONEncoder.readable.encode(profile)), ("csv", Data(profile.csv.utf8)),
      ("trace.json", try profile.chromeTrace), ("ops.svg", Data(profile.opChart.svgFile.utf8)),
      ("md", Data(profile.report(isWhole: true).markdown.utf8)),
      ("html", Data(profile.report(isWhole: true).html.utf8)),
    ]
    if let roofline = profile.roofline { files.append(("roofline.svg", Data(Chart.roofline(roofline).svgFile.utf8))) }
    try publish(
      files, summary: profile.report(isWhole: false), json: json, to: output,
      or: "\(version)/profile-\(configuration.model)")
  }
}
