import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer

struct HistoryCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "history", abstract: "Draw each row over the versions kept under Results/.",
    discussion: """
      bench-suite history --output history.html

      Times of different sessions do not compare, so every number is a ratio to one reference row of the same run.
      """)

  @Option(help: "Suite whose runs are followed.")
  var suite = "default"
  @Option(help: "Host (default: every host with kept runs).")
  var host: String?
  @Option(
    help: ArgumentHelp(
      "Reference: key=value of each axis that is not at its standard choice, commas between (default: "
        + "kernels=im2col, which stay as they are)."), transform: { try AxisChoice.configuration($0) })
  var reference: Configuration?
  @Option(help: "File to write: a page (.html) or Markdown (default: print Markdown).")
  var output: String?

  func validate() throws { if let output { _ = try OutputName(output, ["md", "html"]) } }

  func run() async throws {
    try await userFacing {
      let library = try RecordLibrary(projectFolder.appendingPathComponent("Results"), catalog)
      let usual = Configuration(choices: [Axes.kernels.key: .text(KernelFamily.im2col.rawValue)])
      let history = try History(library, catalog, suite: suite, host: host, reference: reference ?? usual)
      guard let output = try output.map({ try OutputName($0, ["md", "html"]) }) else {
        return StandardOutput.print(history.document.markdown, terminator: "")
      }
      try writeFile(Data(history.document.text(as: output.format).utf8), to: output.url)
      StandardOutput.print("history \(output.path)")
    }
  }
}
