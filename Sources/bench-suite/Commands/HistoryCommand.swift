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
  @Option(help: "Host, where several are kept.")
  var host: String?
  @Option(help: "Label of the reference cell (default: im2col, all off, whose kernels stay as they are).")
  var reference = "im2col, all off"
  @Option(help: "File to write: Markdown, or a page where its name ends in .html (default: print Markdown).")
  var output: String?

  func run() async throws {
    try await userFacing {
      let library = try RecordLibrary(projectFolder.appendingPathComponent("Results"))
      let history = try History(library, suite: suite, host: host, reference: reference)
      guard let output else { return print(history.document.markdown, terminator: "") }
      try history.document.write(to: URL(fileURLWithPath: output))
      print("history \(output)")
    }
  }
}
