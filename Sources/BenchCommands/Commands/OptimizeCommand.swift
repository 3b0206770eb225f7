import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import ModelFiles
import Pacer

struct OptimizeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "optimize", abstract: "Save a model optimised, its weights packed, as a .pacer file.",
    discussion: """
      bench-suite optimize mobilenet-v2 -o mobilenet.pacer
      bench-suite optimize resnet-18 -o small.pacer --isa avx2 --weights resnet18.safetensors
      bench-suite optimize yolo.onnx -o yolo.pacer --shape 1x3x640x640 --bundle-input street.jpg
      bench-suite measure mobilenet.pacer

      The file holds the model after the passes that know no target, and for each instruction set with weights as its kernels
      read them; what is the same is there once. It is mapped when it is loaded, not read: weights are used where they lie. On
      a processor or backend that it is not packed for, it is packed at load.

      A bundled input is kept with the model, and what measures the file measures it on that.
      """)

  @Argument(help: "Model: mobilenet-v2, resnet-18, … or an ONNX file.")
  var model: String
  @Option(name: [.customShort("o"), .long], help: "File to write (default: MODEL.pacer).")
  var output: String?
  @Option(
    help: "Instruction sets to pack for: sse2, avx2, avx512, neon; none of them need be this machine's (default: all).",
    transform: OptimizeCommand.sets)
  var isa: [InstructionSet] = InstructionSet.allCases
  @Option(.disable) var disable: AxisChoice?
  @OptionGroup var options: ModelOptions
  @Option(help: "Input to keep with the model: a photo, a .npy, .pb or .bin file, or a folder with one file per input.")
  var bundleInput: String?
  @Flag(help: "Do not hold outputs against the reference ops after each pass: for models that take minutes in them.")
  var skipCheck = false
  @Flag(help: "Print JSON instead of Markdown.")
  var json = false

  func validate() throws {
    _ = try AxisChoice(Axes.model.key, model)
    if let output { _ = try OutputName(output, [PacerFile.nameExtension]) }
  }

  private static func sets(_ text: String) throws -> [InstructionSet] {
    try text.split(separator: ",", omittingEmptySubsequences: false).map { name in
      guard let set = InstructionSet(rawValue: String(name)) else {
        let known = InstructionSet.allCases.map(\.rawValue)
        throw ValidationError("--isa: \(UnknownName(kind: "instruction set", name: String(name), known: known))")
      }
      return set
    }
  }

  func run() async throws {
    try await userFacing {
      let graph = try graph()
      let url = URL(fileURLWithPath: output ?? "\(graph.name).\(PacerFile.nameExtension)")
      // Before minutes of work.
      try PacerContents.checkPlace(url.path)
      try checkWritable(Data(), to: url)
      let inputs = try bundleInput.map { path in
        try ModelInputs(path: path, option: "--bundle-input").inputs(of: ModelPorts(graph, path: graph.name))
          .map { try Tensor($0) }
      }
      let contents = try PacerContents(
        optimising: graph, for: isa, passes: Harness.current.runtime.passes, disabling: Set(disable?.texts ?? []),
        checksNumbers: !skipCheck, inputs: inputs ?? [])
      // A name that nobody gave is nobody's to write over.
      if output == nil, let old = FileManager.default.contents(atPath: url.path), try old != contents.data() {
        throw UserError("\(url.lastPathComponent) is there already and is another model: name a file with --output")
      }
      let byteCount = try contents.write(to: url.path)
      let optimisation = Optimisation(contents, of: graph, displayPath(url), byteCount)
      StandardOutput.print(
        json ? try JSONEncoder.text(optimisation) : optimisation.report.markdown, terminator: "")
    }
  }

  private func graph() throws -> Graph {
    let configuration = try options.configuration(of: model)
    guard !configuration.modelReference.isPacerFile else {
      throw UserError("\(model) is optimised already: optimize what it was made of")
    }
    return try configuration.graph()
  }
}

extension Optimisation {
  init(_ contents: PacerContents, of graph: Graph, _ path: String, _ byteCount: Int) {
    self.init(
      model: contents.name, path: path, byteCount: byteCount, nodes: graph.nodes.count, weightBytes: graph.weightBytes,
      passes: contents.variants[0].passes.map(\.name) + contents.targetPasses,
      variants: contents.variants.map { variant in
        Variant(
          instructionSet: variant.instructionSet, nodes: variant.graph.nodes.count,
          weightBytes: variant.graph.weightBytes,
          rewrites: Dictionary(variant.passes.map { ($0.name, $0.rewrites) }) { first, _ in first })
      }, inputs: contents.inputs.map(\.name))
  }
}
