import ArgumentParser
import Foundation
import Pacer

struct DoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Say what this machine can measure, its peaks, its noise, and what would make it better.",
    discussion: "Takes about half a minute. Nothing else should run meanwhile.")

  @Option(help: "Seconds for equal versions against each other.")
  var seconds = 20.0
  @Flag(help: "Print JSON instead of Markdown.")
  var json = false
  @Option(help: "File to write too: Markdown, or a page where its name ends in .html.")
  var output: String?

  func validate() throws { if !(seconds > 0) { throw ValidationError("--seconds must be positive") } }

  func run() async throws {
    try await userFacing {
      let terminal = Terminal(isQuiet: json)
      let version = await Version.current(release: pacerRelease).description
      let doctor = try await untilInterrupted { [seconds] in
        await Doctor.examine(catalog: catalog, workers: .standard, version: version, seconds: seconds) {
          switch $0 {
          case .peaks(let threads): terminal.show(progress: "measuring peaks on \(threads) threads")
          case .noise(let pairs): terminal.show(progress: "equal versions: \(pairs) pairs")
          }
        }
      }
      terminal.finish()
      if let output { try doctor.report.write(to: URL(fileURLWithPath: output)) }
      print(json ? try JSONEncoder.text(doctor) : doctor.report.markdown, terminator: "")
    }
  }
}
