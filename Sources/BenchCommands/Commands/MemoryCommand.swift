import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer

struct MemoryCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "memory", abstract: "Say which tensors are alive when, where they lie, and what would lower the peak.",
    discussion: """
      bench-suite memory mobilenet-v2
      bench-suite memory resnet-18 --passes none --allocator system,arena
      bench-suite memory mobilenet-v2 --backend vulkan

      One steady inference under each allocator. Writes beside each other: all of it (JSON), the report (Markdown and a
      page), and for each allocator a drawing of its tensors over steps and addresses (SVG).
      """)

  @Argument(help: "mobilenet-v2, resnet-18, or a file, .onnx or .pacer.")
  var model: String
  @OptionGroup var axes: AxisOptions
  @Flag(help: "Print everything as JSON instead of Markdown.")
  var json = false
  @Option(help: "Result to write, JSON; reports go beside it (default: Results/local/VERSION/memory-MODEL.json).")
  var output: String?

  func validate() throws { if let output { _ = try OutputName(output, ["json"]) } }

  func run() async throws { try await userFacing { try await measure() } }

  private func measure() async throws {
    let version = await currentVersion().description
    var choices = try axes.choices(models: model)
    if choices["allocator"] == nil && choices["preset"] == nil {
      let isDevice = choices["backend"].map { $0 != ["cpu"] } ?? false
      choices["allocator"] = isDevice ? ["system", "arena"] : ["system", "caching", "arena"]
    }
    let found = try ConfigurationGroup(choices: choices, place: "command line").configurations(catalog)
    let terminal = Terminal(isQuiet: json)
    let machine = MachineDescription.current(catalog, git: version)
    let profile = try await untilInterrupted {
      try await MemoryProfile.measure(
        found, catalog, workers: .standard, version: version, command: commandLine, environment: machine
      ) { terminal.show(progress: $0) }
    }
    terminal.finish()
    let whole = profile.report(isWhole: true)
    var files: [(name: String, data: Data)] = [
      ("json", try JSONEncoder.readable.encode(profile)), ("md", Data(whole.markdown.utf8)),
      ("html", Data(whole.html.utf8)),
    ]
    for (index, entry) in profile.entries.enumerated() {
      let name = entry.configuration[Axes.preset] ?? entry.configuration[Axes.allocator].rawValue
      let isTaken = files.contains { $0.name == "\(name).svg" }
      files.append((isTaken ? "\(name)-\(index).svg" : "\(name).svg", Data(entry.chart.svgFile.utf8)))
    }
    try publish(
      files, summary: profile.report(isWhole: false), json: json, to: output, or: "\(version)/memory-\(found[0].model)")
  }
}
