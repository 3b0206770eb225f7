import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer

struct RecordCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "record", abstract: "Keep a record under Results/VERSION/HOST/, to be committed.",
    discussion: """
      bench-suite run default && bench-suite record --host desk
      bench-suite run attribution && bench-suite record --suite attribution --host desk

      What tables and ratios are made from is kept: per run the medians of its slices, per row quantiles of its latencies.
      Nothing is ever overwritten.
      """)

  @Argument(help: "A result file (default: this version's run of the suite).")
  var result: String?
  @Option(help: "Suite whose run is kept.")
  var suite = "default"
  @Option(help: "Alias of this machine, such as desk (default: made from the processor's name).")
  var host: String?
  @Option(help: "Folder to keep it in (default: Results).")
  var folder: String?

  func run() async throws {
    try await userFacing {
      let results = projectFolder.appendingPathComponent("Results")
      let source: URL
      if let result { source = URL(fileURLWithPath: result) } else { source = try await ownResult(suite) }
      let file = try Record.read(source, catalog)
      let keeper = try RecordKeeper(
        file, folder: folder.map { URL(fileURLWithPath: $0) } ?? results, host: host, catalog)
      let url = try keeper.keep(source)
      let report = url.deletingPathExtension().appendingPathExtension("md")
      let document = try Record.read(url, catalog).document(catalog)
      try writeFile(Data(document.markdown.utf8), to: report)
      try writeFile(
        Data(document.html.utf8), to: url.deletingPathExtension().appendingPathExtension("html"))
      StandardOutput.print("record  \(displayPath(url))\nreport  \(displayPath(report))")
      StandardOutput.print("next    git add \(displayPath(url.deletingLastPathComponent()))")
    }
  }
}
