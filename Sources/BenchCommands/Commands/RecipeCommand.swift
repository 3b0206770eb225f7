import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer

struct RecipeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "recipe",
    abstract: "Write the performance recipe, from the results kept under Results/ or from records of yours.",
    discussion: """
      bench-suite recipe                          writes Results/RECIPE.md
      bench-suite recipe --measure --host desk    first measures what no result has yet, and keeps it
      bench-suite recipe --check                  says whether the file is what the results give
      bench-suite recipe mine.jsonl               prints that of a record, of whatever models it has

      For a model file, such a record comes from

      bench-suite measure my.onnx --passes none,all,ladder,all-but-one --output mine.jsonl

      Exit status: 0 written, or the file is theirs; 1 the tool failed; 2 the file differs from its results.
      """)

  @Argument(help: "Records to write it from, instead of the results that are kept.")
  var records: [String] = []
  @Flag(help: "Write nothing: only say whether the file is what the results give.")
  var check = false
  @Flag(help: "Measure what no result has yet.")
  var measure = false
  @Option(help: "With --measure: alias of this machine (default: made from the processor's name).")
  var host: String?
  @Option(help: "File to write, Markdown or a page (default: Results/RECIPE.md; of records: standard output).")
  var output: String?

  func validate() throws {
    if check && measure { throw ValidationError("--check measures nothing") }
    if !records.isEmpty, check || measure {
      throw ValidationError("\(check ? "--check" : "--measure") is about the results that are kept: name no record")
    }
    if host != nil && !measure { throw ValidationError("--host is for --measure") }
    if let output { _ = try OutputName(output, check ? ["md"] : ["md", "html"]) }
  }

  func run() async throws {
    let status = try await userFacing {
      if !records.isEmpty { return try write(records) }
      let folder = projectFolder.appendingPathComponent("Results")
      let file = output.map { URL(fileURLWithPath: $0) } ?? folder.appendingPathComponent("RECIPE.md")
      func read() throws -> Recipe {
        Recipe(try RecordLibrary(folder, catalog), catalog: catalog, release: pacerRelease)
      }
      if measure { for gap in try read().gaps { try await fill(gap, folder) } }
      let recipe = try read()
      guard check else {
        let format = try output.flatMap { try OutputName($0, ["md", "html"]).format }
        try writeFile(Data(recipe.document.text(as: format).utf8), to: file)
        for gap in recipe.gaps {
          StandardOutput.print("nothing measured yet for \"\(gap.section)\": bench-suite run \(gap.suite)")
        }
        StandardOutput.print("recipe  \(displayPath(file))")
        return Int32(0)
      }
      return difference(recipe.document.markdown, file)
    }
    if status != 0 { throw ExitCode(status) }
  }

  private func write(_ paths: [String]) throws -> Int32 {
    let records = try paths.map { try Record.read(URL(fileURLWithPath: $0), catalog) }
    let recipe = Recipe(of: records, catalog: catalog, release: pacerRelease)
    let format = try output.map { try OutputName($0, ["md", "html"]).format } ?? nil
    let text = recipe.document.text(as: format)
    guard let output else {
      StandardOutput.print(text, terminator: "")
      return 0
    }
    try writeFile(Data(text.utf8), to: URL(fileURLWithPath: output))
    StandardOutput.print("recipe  \(output)")
    return 0
  }

  private func difference(_ text: String, _ file: URL) -> Int32 {
    let old = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
    guard old != text else {
      StandardOutput.print("\(displayPath(file)) is what its results give")
      return 0
    }
    let (a, b) = (old.split(separator: "\n"), text.split(separator: "\n"))
    let first = zip(a, b).enumerated().first { $0.element.0 != $0.element.1 }
    StandardOutput.print("\(displayPath(file)) differs from its results: run bench-suite recipe and commit it")
    if let first {
      StandardOutput.print("line of the file:    \(first.element.0)\nfrom the results:    \(first.element.1)")
    }
    return 2
  }

  private func fill(_ gap: Recipe.Gap, _ folder: URL) async throws {
    let run = SuiteRun(
      suite: try Suite.load(gap.suite, in: suitesFolders, catalog), options: try RunnerOptions.parse([]),
      command: "bench-suite run \(gap.suite)")
    let result = try await run.run()
    if result.ending == .interrupted { throw ExitCode(130) }
    let keeper = try RecordKeeper(result, folder: folder, host: host, catalog)
    StandardOutput.print("kept    \(displayPath(try await keeper.keep(ownResult(gap.suite))))")
  }
}
