import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import Foundation
import Pacer

struct SchemaCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "schema", abstract: "Write the JSON Schemas of suites, records and the worker protocol.",
    discussion: """
      bench-suite schema                writes Suites/schemas/*.schema.json
      bench-suite schema --check        says whether they are what this program reads and writes

      They are made from the axes and the types themselves. Exit status: 0 written, or the files are theirs; 2 one differs.
      """)

  @Flag(help: "Write nothing: only say whether the files are right.")
  var check = false
  @Option(help: "Folder to write them in (default: Suites/schemas).")
  var folder: String?

  func run() async throws {
    let status = try await userFacing {
      let folder = folder.map { URL(fileURLWithPath: $0) } ?? suitesFolder.appendingPathComponent("schemas")
      var status: Int32 = 0
      for schema in Schemas(catalog).all {
        let url = folder.appendingPathComponent("\(schema.name).schema.json")
        let text = try JSONEncoder.text(schema.value)
        if !check {
          try writeFile(Data(text.utf8), to: url)
          StandardOutput.print("schema  \(displayPath(url))")
        } else if (try? String(contentsOf: url, encoding: .utf8)) != text {
          StandardOutput.print("\(displayPath(url)) differs: run bench-suite schema and commit it")
          status = 2
        } else {
          StandardOutput.print("\(displayPath(url)) is right")
        }
      }
      return status
    }
    if status != 0 { throw ExitCode(status) }
  }
}
