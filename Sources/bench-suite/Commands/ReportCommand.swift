import ArgumentParser
import Foundation
import Pacer

struct ReportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report", abstract: "Write a result as a page, as Markdown, or for other tools.",
    discussion: """
      bench-suite report Results/local/VERSION/default.json --format html --output report.html
      bench-suite report old.json --format benchstat > old.txt; benchstat old.txt new.txt
      """)

  @Argument(help: "A result file (default: this version's run of the suite `default`).")
  var result: String?
  @Option(help: "\(catalog.reports.map(\.name).joined(separator: ", ")).")
  var format = "markdown"
  @Option(help: "File to write (default: standard output).")
  var output: String?

  func run() async throws {
    try await userFacing {
      guard let report = catalog.reports.first(where: { $0.name == format }) else {
        throw UnknownName(kind: "format", name: format, known: catalog.reports.map(\.name))
      }
      let url: URL
      if let result { url = URL(fileURLWithPath: result) } else { url = try await ownResult("default") }
      let text = try report.render(try ResultFile.read(url), catalog)
      guard let output else { return print(text, terminator: "") }
      try writeAtomically(Data(text.utf8), to: URL(fileURLWithPath: output))
      FileHandle.standardError.write(Data("report  \(output)\n".utf8))
    }
  }
}

/// Where this version's own run of a suite lies.
/// - Throws: ``UserError`` where there is none.
func ownResult(_ suite: String) async throws -> URL {
  let version = await Version.current(release: pacerRelease).description
  let url = projectFolder.appendingPathComponent("Results/local/\(version)/\(suite).json")
  guard FileManager.default.fileExists(atPath: url.path) else {
    throw UserError(
      "version \(version) has no run of the suite \(suite) yet: run bench-suite run \(suite), or name a result file")
  }
  return url
}
