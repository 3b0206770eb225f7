import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
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
  try writeBeside(files, at: base, says: { StandardError.write($0) })
  if json { return StandardOutput.print(String(decoding: files[0].data, as: UTF8.self)) }
  StandardOutput.print(summary.markdown)
  StandardOutput.print("files   \(displayPath(base)).{\(files.map(\.name).joined(separator: ","))}")
}

/// Writes files of one name and several extensions. Where such files are there already, those are kept under the time at
/// which they were written.
/// - Parameter says: where the former ones are now.
func writeBeside(_ files: [(name: String, data: Data)], at base: URL, says: (String) -> Void) throws {
  // The first is the one that the others were made from.
  let first = base.appendingPathExtension(files[0].name)
  let manager = FileManager.default
  if !OutputFile(first.path).isStream, let old = manager.contents(atPath: first.path), !old.isEmpty,
    old != files[0].data
  {
    let written = (try? manager.attributesOfItem(atPath: first.path))?[.modificationDate] as? Date ?? Date()
    let time = ISO8601DateFormatter().string(from: written).filter { $0.isLetter || $0.isNumber }
    let stem = (1...).lazy.map { "\(base.path)-\(time)\($0 > 1 ? "-\($0)" : "")" }
      .first { !manager.fileExists(atPath: "\($0).\(files[0].name)") }!
    for file in files {
      try keepCopy(
        of: base.appendingPathExtension(file.name), as: URL(fileURLWithPath: stem).appendingPathExtension(file.name))
    }
    says("former  \(displayPath(URL(fileURLWithPath: "\(stem).\(files[0].name)")))\n")
  }
  for file in files { try writeFile(file.data, to: base.appendingPathExtension(file.name)) }
}

/// - Throws: ``UserError`` where a result of Pacer lies in the way of something else.
func checkNoResult(at url: URL) throws {
  guard !OutputFile(url.path).isStream, let data = FileManager.default.contents(atPath: url.path) else { return }
  // A record's first line says what it is.
  let first = data.firstIndex(of: UInt8(ascii: "\n")).map { data[data.startIndex..<$0] } ?? data
  guard
    let object = [first, data].lazy.compactMap({ try? JSONSerialization.jsonObject(with: $0) as? [String: Any] }).first,
    let schema = object["schema"] as? String, schema.hasPrefix("pacer-")
  else { return }
  throw UserError(
    "\(displayPath(url)) is a result of Pacer (\(schema)): it is not written over; choose another --output")
}

/// The command line as a report repeats it, quoted so that a shell reads the same words.
var commandLine: String { ShellWords.join(["bench-suite"] + CommandLine.arguments.dropFirst()) }
