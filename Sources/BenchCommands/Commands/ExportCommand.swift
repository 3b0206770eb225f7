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
    commandName: "export", abstract: "Write a model with its weights as an ONNX file.",
    discussion: """
      bench-suite export mobilenet-v2
      bench-suite export yolo.onnx --shape 1x3x320x320 --output small.onnx
      bench-suite export yolo.onnx --dim height=320 --dim width=320
      bench-suite export resnet-18 --passes all

      A file is read and written anew: its shapes are fixed, and what follows from them is computed. Passes that do not know
      what the model will run on may rewrite it before.
      """)

  @Argument(help: "Model: mobilenet-v2, resnet-18, … or a file, .onnx or .pacer.")
  var model: String
  @OptionGroup var options: ModelOptions
  @Option(
    help: "Passes: none (default), all of those that know no target, or names of such joined with +.",
    transform: { try AxisChoice(Axes.passes.key, $0) })
  var passes: AxisChoice?
  @Option(help: "File to write (default: MODEL.onnx).")
  var output: String?

  func validate() throws {
    _ = try AxisChoice(Axes.model.key, model)
    if let output { _ = try OutputName(output, ["onnx"]) }
  }

  func run() async throws {
    try await userFacing {
      let configuration = try options.configuration(of: model, passes: passes?.texts ?? ["none"])
      let graph = try optimised(configuration.graph(), configuration[Axes.passes])
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

  private func optimised(_ graph: Graph, _ names: [String]) throws -> Graph {
    let named = try Harness.current.runtime.passes(names)
    // All means those that can be meant.
    let isAll = names.count == Harness.current.runtime.passes.count
    if let pass = named.first(where: \.isForTarget), !isAll {
      throw UserError("pass \(pass.name) rewrites a graph for what it runs on, which a file is not for: leave it out")
    }
    let portable = named.filter { !$0.isForTarget }
    return try Pipeline(portable, checksNumbers: false).run(on: graph, for: CPUBackend().target(PrepareOptions())).graph
  }
}
