import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchWorker
import Foundation
import ModelFiles
import Pacer

struct AccuracyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "accuracy", abstract: "Say how often a model names what is on pictures, by configuration.",
    discussion: """
      bench-suite accuracy mobilenet-v2 --weights w.safetensors --labelled photos
      bench-suite accuracy my.onnx --labelled list.txt --passes none,all
      bench-suite accuracy resnet-18 --weights w.pth --pictures photos --backend cpu,vulkan

      Labelled pictures lie in one folder for each class, or a list has a line for each, such as
      cats/1.jpg,tabby. A class is its number or its name among ImageNet's. PNG and JPEG files are brought to the
      model's size and normalised as torchvision does it; .npy, .pb and .bin files are the input as it is.

      The outputs of each configuration are held against those in float32 without passes: how often the same class comes
      first, and the power of the outputs over that of the difference.

      Exit status: 0 told, 1 the tool failed, 3 an output has NaN or infinity.
      """)

  @Argument(help: "Model: mobilenet-v2, resnet-18, … or a file, .onnx or .pacer.")
  var model: String
  @Option(help: "Folder with a folder of pictures for each class, or a list of pictures with their classes.")
  var labelled: String?
  @Option(help: "Folder of pictures of which no class is known.")
  var pictures: String?
  @OptionGroup(title: "Configuration") var axes: AxisOptions
  @Flag(help: "Print JSON instead of Markdown.")
  var json = false

  func validate() throws {
    guard (labelled == nil) != (pictures == nil) else {
      throw ValidationError("say which pictures: --labelled FOLDER|LIST or --pictures FOLDER")
    }
    for (option, isGiven) in [
      ("--input", axes.input != nil), ("--expect", axes.expect != nil), ("--engine", axes.engine != nil),
    ] where isGiven {
      throw ValidationError("\(option): accuracy runs on Pacer, on pictures of its own; leave it out")
    }
  }

  func run() async throws {
    let isBroken = try await userFacing {
      let all = try labelled.map { try LabelledPictures(labelled: $0) } ?? LabelledPictures(in: pictures!)
      let accuracy = try ModelAccuracy(Harness.current.runtime, configurations()).accuracy(on: all.pictures)
      StandardOutput.print(json ? try JSONEncoder.text(accuracy) : accuracy.report.markdown, terminator: "")
      return accuracy.rows.contains { $0.broken > 0 }
    }
    if isBroken { throw ExitCode(3) }
  }

  private func configurations() throws -> [Configuration] {
    var group = try axes.group(models: model)
    let isOptimised = ModelReference.file(path: model, digest: "").isPacerFile
    if axes.preset == nil, axes.passes == nil, !isOptimised { group.choices[Axes.passes.key] = ["none", "all"] }
    let configurations = try group.configurations(catalog)
    guard Set(configurations.map { [$0.model, "\($0[Axes.shape] as Any)", "\($0[Axes.weights] as Any)"] }).count == 1
    else {
      throw UserError("accuracy is of one model, with one shape and one set of weights")
    }
    return configurations
  }
}
