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
func cells(_ name: String, in folder: URL) throws -> [[String: Any]] {
  try #require(try object(name, in: folder)["cells"] as? [[String: Any]])
}
func write(_ text: String, _ name: String, in folder: URL) throws {
  try Data(text.utf8).write(to: folder.appendingPathComponent(name))
}
func visits(_ cell: [String: Any]) -> [[String: Any]] { cell["visits"] as? [[String: Any]] ?? [] }
func latencies(_ visit: [String: Any]) -> [Double] {
  (visit["sample"] as? [String: Any])?["latencies"] as? [Double] ?? []
}
