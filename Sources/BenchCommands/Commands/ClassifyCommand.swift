import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer

struct ClassifyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "classify", abstract: "Name what is on a photo: the five likeliest ImageNet classes.",
    discussion: "Exit status: 0 named, 1 the tool failed, 3 the output has NaN or infinity.")

  @Argument(help: "A PNG or JPEG file.")
  var photo: String
  @Option(help: "Model.")
  var model = "mobilenet-v2"
  @Option(help: "Trained weights: a safetensors file, or a state dict that torch.save wrote, with torchvision's names.")
  var weights: String
  @Option(help: "Threads.", transform: Values.threads)
  var threads: Int = 1
  @Flag(help: "Print JSON.")
  var json = false

  func run() async throws {
    let isWrong = try await userFacing {
      let runtime = Harness.current.runtime
      let loaded = try ModelInput(runtime.model(model), weights: weights, picture: photo)
      let options = PrepareOptions(allocator: .arena, threads: threads)
      let backend = CPUBackend()
      let optimised = try Pipeline(runtime.passes, checksNumbers: false)
        .run(on: loaded.graph, for: backend.target(options))
        .graph
      let session = try backend.prepare(optimised, options).makeSession()
      session.inputs[0].write(loaded.input.values)
      try session.run()
      guard session.outputs[0].values.allSatisfy(\.isFinite) else {
        StandardError.write("bench-suite: the output has NaN or infinity: look at the weights and the picture\n")
        return true
      }
      let top = Classification.top(5, of: session.outputs[0].values)
      if json {
        let rows = top.map { ["index": $0.index, "label": $0.label, "probability": $0.probability] as [String: Any] }
        StandardOutput.print(
          String(decoding: try JSONSerialization.data(withJSONObject: rows, options: [.sortedKeys]), as: UTF8.self))
      } else {
        for entry in top { StandardOutput.print(String(format: "%6.2f %%  ", entry.probability * 100) + entry.label) }
      }
      return false
    }
    if isWrong { throw ExitCode(3) }
  }
}
