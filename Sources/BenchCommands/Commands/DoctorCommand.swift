import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer

struct DoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Say what this machine can measure, its peaks, its noise, and what would make it better.",
    discussion: "Takes about half a minute. Nothing else should run meanwhile.")

  @Option(help: "Seconds for equal versions against each other.", transform: Values.seconds)
  var seconds: Double = 20
  @Flag(help: "Print JSON instead of Markdown.")
  var json = false
  @Option(help: "File to write too: a page (.html), JSON (.json), or Markdown.")
  var output: String?

  func validate() throws { if let output { _ = try name(output) } }
  private func name(_ output: String) throws -> OutputName { try OutputName(output, ["md", "html", "json"]) }

  func run() async throws {
    try await userFacing {
      let terminal = Terminal(isQuiet: json)
      let version = await currentVersion().description
      let doctor = try await untilInterrupted { [seconds] in
        await Doctor.examine(catalog: catalog, workers: .standard, version: version, seconds: seconds) {
          switch $0 {
          case .peaks(let threads): terminal.show(progress: "measuring peaks on \(threads) threads")
          case .noise(let pairs): terminal.show(progress: "equal versions: \(pairs) pairs")
          }
        }
      }
      terminal.finish()
      let metrics = try JSONEncoder.text(doctor)
      if let output = try output.map(name) {
        let text = output.format == "json" ? metrics : doctor.report.text(as: output.format)
        try checkNoResult(at: output.url)
        try writeFile(Data(text.utf8), to: output.url)
      }
      StandardOutput.print(json ? metrics : doctor.report.markdown, terminator: "")
    }
  }
}
