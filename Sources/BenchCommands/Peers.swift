import BenchRunner
import Foundation

/// Other engines as workers: every script under `Suites/peers` and `Suites/peers/torch`, which is apart because what it
/// needs takes gigabytes. A script runs in the virtual environment of its folder.
enum Peers {
  /// - Parameter folders: the first that has a script of a name is the one that counts.
  static func commands(in folders: [URL]) -> [String: WorkerCommand] {
    var commands: [String: WorkerCommand] = [:]
    for folder in folders.reversed().flatMap({ [$0, $0.appendingPathComponent("torch")] }) {
      let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
      let own = folder.appendingPathComponent(".venv/bin/python3").path
      let python = FileManager.default.isExecutableFile(atPath: own) ? own : "python3"
      for file in files where file.hasSuffix(".py") {
        commands[String(file.dropLast(3))] = WorkerCommand(python, [folder.appendingPathComponent(file).path])
      }
    }
    return commands
  }
}
