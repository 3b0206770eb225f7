import ArgumentParser
import Foundation
import Pacer

struct RecordCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "record", abstract: "Keep a result under Results/VERSION/HOST/, to be committed.",
    discussion: """
      bench-suite run default && bench-suite record --host desk

      Nothing is ever overwritten; a result of over 1 MiB is refused.
      """)

  @Argument(help: "A result file (default: this version's run of the suite `default`).")
  var result: String?
  @Option(help: "Alias of this machine, such as desk (default: made from the processor's name).")
  var host: String?
  @Option(help: "Folder to keep it in (default: Results).")
  var folder: String?

  func run() async throws {
    try await userFacing {
      let results = projectFolder.appendingPathComponent("Results")
      let source: URL
      if let result {
        source = URL(fileURLWithPath: result)
      } else {
        let version = await Version.current(release: pacerRelease).description
        source = results.appendingPathComponent("local/\(version)/default.json")
        guard FileManager.default.fileExists(atPath: source.path) else {
          throw UserError(
            "version \(version) has no run of the suite default yet: run bench-suite run default, or name a result file"
          )
        }
      }
      let file = try ResultFile.read(source)
      let record = try Record(file, folder: folder.map { URL(fileURLWithPath: $0) } ?? results, host: host)
      let url = try record.keep(file)
      let report = url.deletingPathExtension().appendingPathExtension("md")
      try writeAtomically(Data(MarkdownReport().render(try ResultFile.read(url), catalog).utf8), to: report)
      print("result  \(displayPath(url))\nreport  \(displayPath(report))")
      print("next    git add \(displayPath(url.deletingLastPathComponent()))")
    }
  }
}
