import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import ModelFiles
import Pacer

struct ExportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Write a model with its weights as an ONNX file.")

  @Argument(help: "Model: mobilenet-v2 or resnet-18.")
  var model: String
  @Option(help: "Weights: a safetensors file, or a state dict that torch.save wrote (default: seeded weights).")
  var weights: String?
  @Option(help: "Input shape, such as 1x3x224x224.")
  var shape: String?
  @Option(help: "File to write (default: MODEL.onnx).")
  var output: String?

  func validate() throws { if let output { _ = try OutputName(output, ["onnx"]) } }

  func run() async throws {
    try await userFacing {
      let model = try ModelInput(
        Harness.current.runtime.model(model), shape: AxisChoice.shape(shape), weights: weights)
      let graph = model.graph
      let url = URL(fileURLWithPath: output ?? graph.name + ".onnx")
      let data = try ONNXWriter.write(graph)
      // A name that nobody gave is nobody's to write over.
      if output == nil, let old = FileManager.default.contents(atPath: url.path), old != data {
        throw UserError("\(url.lastPathComponent) is there already and is another model: name a file with --output")
      }
      try writeFile(data, to: url)
      StandardOutput.print(
        "\(displayPath(url)): \(graph.nodes.count) nodes, \(Format.bytes(Double(graph.weightBytes))) of weights")
    }
  }
}
