import ArgumentParser
import Foundation
import Pacer

struct HistoryCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "history", abstract: "Draw each cell over the versions kept under Results/.",
    discussion: """
      bench-suite history --output history.html

      Times of different sessions do not compare, so every figure is a ratio to one reference cell of the same run.
      """)

  @Option(help: "Suite whose runs are followed.")
  var suite = "default"
  @Option(help: "Host (default: each of those that runs are kept of).")
  var host: String?
  @Option(help: "Label of the reference cell (default: im2col, all off, whose kernels stay as they are).")
  var reference = "im2col, all off"
  @Option(help: "File to write: a page (.html) or Markdown (default: print Markdown).")
  var output: String?

  func validate() throws { if let output { _ = try OutputName(output, ["md", "html"]) } }

  func run() async throws {
    try await userFacing {
      let library = try RecordLibrary(projectFolder.appendingPathComponent("Results"))
      let history = try History(library, suite: suite, host: host, reference: reference)
      guard let output = try output.map({ try OutputName($0, ["md", "html"]) }) else {
        return StandardOutput.print(history.document.markdown, terminator: "")
      }
      try writeFile(Data(history.document.text(as: output.format).utf8), to: output.url)
      StandardOutput.print("history \(output.path)")
    }
  }
}
