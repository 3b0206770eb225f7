import ArgumentParser
import Foundation
import Pacer

struct CompareCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare", abstract: "Compare two result files: exact figures, and ratios taken within one run.",
    discussion: """
      bench-suite compare Results/local/A/default.json Results/local/B/default.json

      Times are not compared: those of different sessions differ for reasons that no version has.
      Exit status: 0 compared, 5 no cell is in both.
      """)

  @Argument(help: "Result file of the older version.")
  var base: String
  @Argument(help: "Result file of the newer version.")
  var head: String
  @Flag(help: "Write JSON instead of Markdown.")
  var json = false
  @Option(help: "File to write, instead of standard output.")
  var output: String?

  func run() async throws {
    let cells = try await userFacing {
      let comparison = StoredComparison(
        base: try ResultFile.read(URL(fileURLWithPath: base)), head: try ResultFile.read(URL(fileURLWithPath: head)),
        catalog: catalog)
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
      let data = json ? try encoder.encode(comparison) + Data("\n".utf8) : Data(comparison.markdown.utf8)
      if let output {
        try writeAtomically(data, to: URL(fileURLWithPath: output))
        print("\(comparison.verdict)\ncomparison  \(output)")
      } else {
        FileHandle.standardOutput.write(data)
      }
      return comparison.cells
    }
    if cells == 0 { throw ExitCode(5) }
  }
}
