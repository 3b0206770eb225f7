import Foundation
import Pacer

/// Writes what a command found beside each other, one file for each name, and prints the first of them, which is JSON, or
/// a summary.
func publish(
  _ files: [(name: String, data: Data)], summary: Document, json: Bool, to output: String?, or standard: String
) throws {
  let base =
    try output.map { try OutputName($0, ["json"]).stem }
    ?? projectFolder.appendingPathComponent("Results/local/\(standard)")
  for file in files { try writeFile(file.data, to: base.appendingPathExtension(file.name)) }
  if json { return StandardOutput.print(String(decoding: files[0].data, as: UTF8.self)) }
  StandardOutput.print(summary.markdown)
  StandardOutput.print("files   \(displayPath(base)).{\(files.map(\.name).joined(separator: ","))}")
}

/// The command line as a report repeats it, quoted so that a shell reads the same words.
var commandLine: String { ShellWords.join(["bench-suite"] + CommandLine.arguments.dropFirst()) }
