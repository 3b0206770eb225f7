import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import Foundation
import ModelFiles
import Pacer

struct VerifyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Hold a model's outputs against those that came with it, and a .pacer file against its digests.",
    discussion: """
      Test data is laid out as the ONNX project and its model zoo do: beside model.onnx there are folders test_data_set_0,
      … with input_0.pb, … and output_0.pb, …, in the order of the model's inputs and outputs. A folder of such folders is
      many models.

      bench-suite verify resnet50-v1-7              a folder with a model and its data
      bench-suite verify yolo/model.onnx --isa sse2
      bench-suite verify node-tests --json          many of them
      bench-suite verify resnet50-v1-7/model.pacer  what optimize saved: all tensors first, then as any other

      An ONNX model runs without passes and with all, unless --passes says otherwise. An output holds where each element
      differs by at most atol + rtol · |expected|; an expected NaN has to be one.

      Exit status: 0 all outputs hold, 3 one does not, 1 a model is damaged or cannot be read or run, or an op is missing,
      5 an ONNX model has no data set.
      """)

  @Argument(help: "An ONNX or .pacer file, or a folder of models with their data.")
  var path: String
  @OptionGroup(title: "Configuration") var axes: AxisOptions
  @Option(
    help: "Largest difference of an element, over its value (default: the data's own, or 1e-3).",
    transform: Values.tolerance)
  var rtol: Double?
  @Option(
    help: "Largest difference of an element besides (default: the data's own, or 1e-7).",
    transform: Values.tolerance)
  var atol: Double?
  @Flag(help: "Print JSON instead of lines and tables.")
  var json = false

  func validate() throws {
    for (option, isGiven) in [
      ("--engine", axes.engine != nil), ("--input", axes.input != nil), ("--expect", axes.expect != nil),
      ("--shape", axes.model.shape != nil), ("--dim", !axes.model.extents.isEmpty),
      ("--weights", axes.model.weights != nil),
    ] where isGiven {
      throw ValidationError("\(option): verify runs on Pacer what the data set says; leave it out")
    }
  }

  func run() async throws {
    let verification = try await userFacing {
      let verification = try ModelVerification(
        Harness.current.runtime, configurations(), rtol: rtol, atol: atol)
      let models = try models()
      let cases = models.map { model in
        let result = verification.verify(model, as: name(of: model))
        // One after the other as they come: should the next one end this program, it is known which it was.
        if models.count > 1, !json { StandardOutput.print(result.line) }
        return result
      }
      return Verification(cases: cases)
    }
    StandardOutput.print(json ? try JSONEncoder.text(verification) : verification.report.markdown, terminator: "")
    if let code = Self.code(of: verification) {
      if !json, verification.cases.count == 1, let reason = verification.cases[0].reason {
        StandardError.write("bench-suite: \(reason)\n")
      }
      throw ExitCode(code)
    }
  }

  private static func code(of verification: Verification) -> Int32? {
    let found = Set(verification.cases.map(\.status))
    if found.contains(.differs) { return 3 }
    if found.contains(.failed) || found.contains(.unsupported) { return 1 }
    return found.contains(.passed) ? nil : 5
  }

  private func models() throws -> [String] {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw UserError("\(path): no such file or folder")
    }
    guard isFolder.boolValue else { return [path] }
    let models = try TestData.models(in: path)
    guard !models.isEmpty else {
      StandardError.write(
        "bench-suite: \(path) holds no model.onnx, and no folders that do: name a folder with a model and test_data_set_0\n"
      )
      throw ExitCode(5)
    }
    return models
  }

  private func name(of model: String) -> String {
    let folder = (model as NSString).deletingLastPathComponent
    return folder.hasPrefix(path + "/") ? String(folder.dropFirst(path.count + 1)) : model
  }

  /// Of no model: without passes and with all unless something says which. A `.pacer` file settles its passes.
  private func configurations() throws -> [Configuration] {
    if ModelReference.file(path: path, digest: "").isPacerFile {
      // A damaged one is what was asked about, and no fault of the command line.
      _ = try PacerFile(path)
      return try axes.group(models: path).configurations(catalog)
    }
    var group = try axes.group(models: catalog.models.first?.name)
    if axes.preset == nil, axes.passes == nil { group.choices[Axes.passes.key] = ["none", "all"] }
    return try group.configurations(catalog).map { configuration in
      var configuration = configuration
      configuration[Axes.model.key] = nil
      return configuration
    }
  }
}
