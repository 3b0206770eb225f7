import Foundation
import Testing

/// Runs a script of the shell in a folder of its own, with the program on the path. One that waits for what does not come
/// is ended after ten minutes.
func shell(
  _ script: String, _ environment: [String: String] = [:], in folder: URL
) throws -> (status: Int32, output: String, errors: String) {
  let path = Program.folder.path + ":" + (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin")
  return try Program.run(
    ["600", "/bin/bash", "-c", "cd '\(folder.path)'; \(script)"], executable: "/usr/bin/timeout",
    environment: ["PATH": path, "TINY": tinyRun].merging(environment) { $1 })
}
/// Options of a measurement that takes half a second.
private let tinyRun = "--shape 1x3x32x32 --iterations 1 --warmup 0 --rounds 1"

func inFolder(_ body: (URL) throws -> Void) throws {
  let folder = try Program.temporaryFolder()
  defer { try? FileManager.default.removeItem(at: folder) }
  try FileManager.default.createDirectory(
    at: folder.appendingPathComponent("Suites/peers"), withIntermediateDirectories: true)
  try body(folder)
}

func object(_ name: String, in folder: URL) throws -> [String: Any] {
  let data = try Data(contentsOf: folder.appendingPathComponent(name))
  return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
}

/// The lines of a record.
func lines(_ name: String, in folder: URL) throws -> [[String: Any]] {
  try Data(contentsOf: folder.appendingPathComponent(name)).split(separator: UInt8(ascii: "\n")).map {
    try #require(try JSONSerialization.jsonObject(with: Data($0)) as? [String: Any])
  }
}

/// What a record says, with all that follows from it.
func summary(_ name: String, in folder: URL) throws -> [String: Any] {
  let report = try Program.run(["report", folder.appendingPathComponent(name).path, "--format", "json"])
  return try #require(
    try JSONSerialization.jsonObject(with: Data(report.output.utf8)) as? [String: Any], "\(report.errors)")
}
func rows(_ name: String, in folder: URL) throws -> [[String: Any]] {
  try #require(try summary(name, in: folder)["rows"] as? [[String: Any]])
}
func metrics(_ row: [String: Any]) -> [String: Double] { row["metrics"] as? [String: Double] ?? [:] }

/// Lines of what was inspected of a row, and of its runs.
func inspected(_ name: String, row: Int = 0, in folder: URL) throws -> [String: Any] {
  try #require(try lines(name, in: folder).first { $0["kind"] as? String == "inspected" && $0["row"] as? Int == row })
}
func runs(_ name: String, row: Int = 0, in folder: URL) throws -> [[String: Any]] {
  try lines(name, in: folder).filter { $0["kind"] as? String == "run" && $0["row"] as? Int == row }
}
func latencies(_ run: [String: Any]) -> [Double] { (run["slicesNs"] as? [[Double]] ?? []).flatMap { $0 } }

func write(_ text: String, _ name: String, in folder: URL) throws {
  try Data(text.utf8).write(to: folder.appendingPathComponent(name))
}
