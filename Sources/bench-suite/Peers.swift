import Foundation
import Pacer

/// Other engines as workers: every executable script under `Suites/peers`.
enum Peers {
  static func commands(in folder: URL) -> [String: WorkerCommand] {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    let venv = folder.appendingPathComponent(".venv/bin/python3").path
    let python = FileManager.default.isExecutableFile(atPath: venv) ? venv : "python3"
    return Dictionary(
      uniqueKeysWithValues: files.filter { $0.hasSuffix(".py") }.map {
        (String($0.dropLast(3)), WorkerCommand(python, [folder.appendingPathComponent($0).path]))
      })
  }

  /// The model with its weights, and the input as raw little-endian float32, under the system's temporary folder.
  static func export(_ cell: Cell, _ catalog: Catalog) throws -> [String: String] { [:] }
}
