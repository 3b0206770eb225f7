import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import ONNXExport
import Pacer

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

  /// Writes the model with its weights, and the input as little-endian float32, beside the cached references, and
  /// returns their paths. Files of the same configuration are written once.
  static func export(_ configuration: Configuration, to folder: URL) throws -> [String: String] {
    let plain = catalog.axes.work(of: configuration)
    var digest = Digest()
    digest.combine(pacerRelease + plain.id)
    for path in catalog.axes.paths(of: plain) { digest.combine(FileDigest.of(path)) }
    let onnx = folder.appendingPathComponent("model-\(digest.hex).onnx")
    let raw = folder.appendingPathComponent("input-\(digest.hex).f32")
    if !FileManager.default.fileExists(atPath: onnx.path) || !FileManager.default.fileExists(atPath: raw.path) {
      let model = try ModelInput(plain, in: Harness.current.runtime)
      try writeFile(ONNXWriter.write(model.graph), to: onnx)
      try writeFile(model.input.values.withUnsafeBytes { Data($0) }, to: raw)
    }
    return ["onnx": onnx.path, "input": raw.path]
  }
}

extension ModelInput {
  /// What a configuration computes on.
  init(_ configuration: Configuration, in runtime: Runtime) throws {
    try self.init(
      runtime.model(configuration.model), shape: configuration[Axes.shape], weights: configuration[Axes.weights],
      picture: configuration[Axes.input])
  }
}
