import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer

struct ReportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report", abstract: "Write a result as a page, as Markdown, or for other tools.",
    discussion: """
      bench-suite report Results/local/VERSION/default.jsonl --format html --output report.html
      bench-suite report old.jsonl --format benchstat > old.txt; benchstat old.txt new.txt
      """)

  @Argument(help: "A result file (default: this version's run of the suite `default`).")
  var result: String?
  @Option(
    help:
      "\(Harness.current.reports.map(\.name).joined(separator: ", ")) (default: what --output's extension says, or markdown)."
  )
  var format: String?
  @Option(help: "File to write (default: standard output); .md, .html, .csv and .json say the format too.")
  var output: String?

  func run() async throws {
    try await userFacing {
      let report = try chosen()
      let url: URL
      if let result { url = URL(fileURLWithPath: result) } else { url = try await ownResult("default") }
      let text = try report.render(try Record.read(url, catalog), catalog)
      guard let output else { return StandardOutput.print(text, terminator: "") }
      try checkNoResult(at: URL(fileURLWithPath: output))
      try writeFile(Data(text.utf8), to: URL(fileURLWithPath: output))
      StandardError.write("report  \(output)\n")
    }
  }

  /// The report that was asked for by name or by the extension of the file; both must agree.
  private func chosen() throws -> any Report {
    let known = Harness.current.reports
    let names = known.map(\.name)
    if let format, !names.contains(format) { throw UnknownName(kind: "format", name: format, known: names) }
    let wanted = format.flatMap { name in known.first { $0.name == name } }
    guard let output else { return wanted ?? known[0] }
    let name = try OutputName(output, (wanted.map { [$0] } ?? known).flatMap(\.extensions))
    return wanted ?? name.format.flatMap { format in known.first { $0.extensions.contains(format) } } ?? known[0]
  }
}

/// Where this version's own run of a suite lies.
/// - Throws: ``UserError`` where there is none.
func ownResult(_ suite: String) async throws -> URL {
  let version = await currentVersion().description
  let url = projectFolder.appendingPathComponent("Results/local/\(version)/\(suite).\(Record.fileExtension)")
  guard FileManager.default.fileExists(atPath: url.path) else {
    throw UserError(
      "version \(version) has no run of the suite \(suite) yet: run bench-suite run \(suite), or name a result file")
  }
  return url
}
