import Foundation
import Pacer

/// Writes what a command found beside each other, one file for each name, and prints the first of them, which is JSON, or
/// a summary.
func publish(
  _ files: [(name: String, data: Data)], summary: Document, json: Bool, to output: String?, or standard: String
) throws {
  let base =
    output.map { URL(fileURLWithPath: $0) } ?? projectFolder.appendingPathComponent("Results/local/\(standard)")
  for file in files { try writeAtomically(file.data, to: base.appendingPathExtension(file.name)) }
  if json { return print(String(decoding: files[0].data, as: UTF8.self)) }
  print(summary.markdown)
  print("files   \(displayPath(base)).{\(files.map(\.name).joined(separator: ","))}")
}

/// The command line as a report repeats it.
var commandLine: String { (["bench-suite"] + CommandLine.arguments.dropFirst()).joined(separator: " ") }
