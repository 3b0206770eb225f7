import ArgumentParser
import Foundation
import Pacer

struct ReportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report", abstract: "Write a result file as Markdown, CSV or JSON.")

  @Argument(help: "A result file.")
  var result: String
  @Option(help: "markdown, csv or json.")
  var format = "markdown"

  func run() async throws {
    try await userFacing {
      guard let report = catalog.reports.first(where: { $0.name == format }) else {
        throw UnknownName(kind: "format", name: format, known: catalog.reports.map(\.name))
      }
      print(report.render(try ResultFile.read(URL(fileURLWithPath: result)), catalog), terminator: "")
    }
  }
}
