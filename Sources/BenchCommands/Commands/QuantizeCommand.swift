import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchWorker
import Foundation
import ModelFiles
import Pacer

struct QuantizeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quantize", abstract: "Say what int8 costs a model, layer by layer, and save it in int8.",
    discussion: """
      bench-suite quantize mobilenet-v2 --weights w.safetensors --calibrate photos -o mobilenet-int8.pacer
      bench-suite quantize my.onnx --calibrate samples --keep-float conv_1+conv_7 -o my-int8.pacer

      Ranges of tensors are learned from samples: pictures, .npy or .pb files; without --calibrate from one seeded input, which
      is good for times, and not for a model that is to be shipped. Each layer is then put into int8 alone, and its outputs held
      against those in float32: signal to noise in decibels, from the worst on, and what leaving the worst in float32 would buy.
      --least-signal-to-noise 25 leaves as many of them in float32 as it takes.
      With --observer dynamic nothing is learned: linear and recurrent layers find the range of what they multiply at each inference,
      and all others stay in float32.

      A .pacer file runs as any other: measure, memory, profile, accuracy. An .onnx file is for other engines: integers are made and
      unmade around each operator (QDQ). With --observer dynamic it has DynamicQuantizeLinear and MatMulInteger for linear layers;
      recurrent ones, of which ONNX has none like that, get weights that are integers and round nothing else.
      """)

  @Argument(help: "Model: mobilenet-v2, resnet-18, … or an ONNX file.")
  var model: String
  @Option(
    name: [.customShort("o"), .long],
    help: "File to write: .pacer, or .onnx with QuantizeLinear and DequantizeLinear (default: none).")
  var output: String?
  @OptionGroup var options: ModelOptions
  @Option(Axes.calibrate) var calibrate: AxisChoice?
  @Option(Axes.observer) var observer: AxisChoice?
  @Option(Axes.weightScales) var weightScales: AxisChoice?
  @Option(Axes.prepareInt8) var prepareInt8: AxisChoice?
  @Option(Axes.activationBits) var activationBits: AxisChoice?
  @Option(Axes.weightBits) var weightBits: AxisChoice?
  @Option(Axes.correctBias) var correctBias: AxisChoice?
  @Option(Axes.keepFloat) var keepFloat: AxisChoice?
  @Option(
    help: """
      Leave the fewest of the worst layers in float32 with which the outputs' signal to noise is at least so many decibels (default: \
      none).
      """)
  var leastSignalToNoise: Double?
  @Flag(help: "Do not look at the layers one by one.")
  var skipLayers = false
  @Flag(help: "Print JSON instead of Markdown.")
  var json = false

  func validate() throws {
    _ = try AxisChoice(Axes.model.key, model)
    if let output { _ = try OutputName(output, [PacerFile.nameExtension, "onnx"]) }
    if let leastSignalToNoise {
      guard leastSignalToNoise.isFinite else { throw ValidationError("--least-signal-to-noise: a number of decibels") }
      guard !skipLayers else {
        throw ValidationError("--least-signal-to-noise has to look at the layers: leave out --skip-layers")
      }
    }
  }

  func run() async throws {
    try await userFacing {
      let configuration = try chosen()
      let settings = try Settings(configuration, in: Harness.current.runtime)
      let work = try ModelWork(configuration, in: Harness.current.runtime, for: settings)
      let url = output.map { URL(fileURLWithPath: $0) }
      // Before minutes of work.
      if let url {
        try PacerContents.checkPlace(url.path)
        try checkWritable(Data(), to: url)
      }
      let files = try settings.calibration.map { try Calibration.samples($0, of: work.graph) }
      let measurement = try QuantizationMeasurement(
        work.graph, settings.quantization, Harness.current.runtime.passes,
        preparing: settings.preparation, samples: files ?? [work.inputs])
      guard !measurement.layers.isEmpty else {
        throw UserError(
          "\(configuration.model) has no layer with known weights to put into int8"
            + (settings.quantization.observer == .dynamic
              ? ": with observer dynamic those are linear and recurrent ones" : ""))
      }
      // What needs no look at the layers is there before minutes of it.
      if leastSignalToNoise == nil { try write(measurement, work, keeping: [], to: url) }
      let survey = try survey(
        configuration, settings, measurement, work.graph,
        samples: files.map { Format.number($0.count, "sample") + " in \(settings.calibration!)" } ?? "one seeded input")
      if let target = survey.target { try write(measurement, work, keeping: target.kept.nodes, to: url) }
      StandardOutput.print(json ? try JSONEncoder.text(survey) : survey.report.markdown, terminator: "")
    }
  }

  private func write(
    _ measurement: QuantizationMeasurement, _ work: ModelWork, keeping kept: [String], to url: URL?
  ) throws {
    guard let url else { return }
    if url.pathExtension.lowercased() == "onnx" {
      try writeFile(ONNXWriter.write(measurement.quantized(keeping: kept)), to: url)
    } else {
      try PacerContents(
        optimising: work.graph, passes: measurement.allPasses(keeping: kept), checksNumbers: false, inputs: work.inputs
      ).write(to: url.path)
    }
  }

  private func chosen() throws -> Configuration {
    var configuration = try options.configuration(of: model)
    guard !configuration.modelReference.isPacerFile else {
      throw UserError("\(model) is optimised already: quantize what it was made of")
    }
    configuration[Axes.precision] = .int8
    let catalog = Harness.current.catalog
    let choices = [
      calibrate, observer, weightScales, prepareInt8, activationBits, weightBits, correctBias, keepFloat,
    ]
    for choice in choices.compactMap(\.self) {
      guard choice.texts.count == 1, let axis = catalog.axes.axes.first(where: { $0.key == choice.key }) else {
        throw UserError("--\(choice.key): a file holds one choice, not \(choice.texts.joined(separator: ", "))")
      }
      try axis.choose(axis.parse(choice.texts[0], catalog)[0], in: &configuration, catalog)
    }
    return configuration
  }

  private func survey(
    _ configuration: Configuration, _ settings: Settings, _ measurement: QuantizationMeasurement, _ graph: Graph,
    samples: String
  ) throws -> QuantizationSurvey {
    let names = measurement.layers.map(\.name)
    var layers: [QuantizationSurvey.Layer] = []
    for (index, node) in measurement.layers.enumerated() where !skipLayers {
      layers.append(
        QuantizationSurvey.Layer(
          node: node.name, op: node.op.name, macs: measurement.macs(of: node.name),
          signalToNoise: try measurement.signalToNoise(keeping: names.filter { $0 != node.name })))
      if (index + 1) % 10 == 0, index + 1 < names.count {
        StandardError.write("\(index + 1) of \(names.count) layers\n")
      }
    }
    layers.sort { ($0.signalToNoise ?? .infinity, $0.node) < ($1.signalToNoise ?? .infinity, $1.node) }
    let worst = layers.map(\.node)
    var known: [Int: Double?] = [:]
    func signalToNoise(keeping count: Int) throws -> Double? {
      if let found = known[count] { return found }
      let found = try measurement.signalToNoise(keeping: Array(worst.prefix(count)))
      known[count] = .some(found)
      return found
    }
    func kept(_ count: Int) throws -> QuantizationSurvey.Kept {
      let names = Array(worst.prefix(count))
      return .init(nodes: names, share: measurement.share(of: names), signalToNoise: try signalToNoise(keeping: count))
    }
    let target = try leastSignalToNoise.map { decibels in
      // One more may make it less: they are counted up.
      let enough = try (0...worst.count).first { count in
        if count > 0, count % 10 == 0 { StandardError.write("\(count) of \(worst.count) layers left in float32\n") }
        return try signalToNoise(keeping: count) ?? .infinity >= decibels
      }
      guard let count = enough else {
        let most = try signalToNoise(keeping: worst.count).map { String(format: "%.1f dB", $0) } ?? "more"
        throw UserError(
          "signal to noise is \(most) with all layers in float32"
            + (settings.preparation.map { " (--prepare-int8 \($0.rawValue) has changed the network)" } ?? "")
            + String(format: ": no layers left there make it %g dB; nothing was written", decibels))
      }
      return QuantizationSurvey.Target(
        signalToNoise: decibels, kept: try kept(count),
        weightBytes: try measurement.quantized(keeping: Array(worst.prefix(count))).weightBytes)
    }
    let quantization = settings.quantization
    let learns = quantization.observer != .dynamic
    return QuantizationSurvey(
      model: configuration.model, samples: samples,
      learnsRanges: learns,
      choices: [
        "\(quantization.weightBits)-bit weights with scales by \(quantization.scalesChannels ? "channel" : "tensor")"
      ]
        + (learns
          ? [
            "ranges by \(quantization.observer)", "\(quantization.activationBits)-bit activations",
            quantization.correctsBias ? "corrected biases" : "biases as they were",
          ] : ["ranges by each inference"]) + (settings.preparation.map { ["prepared by \($0.rawValue)"] } ?? [])
        + (quantization.kept.isEmpty ? [] : ["kept in float32: \(quantization.kept.sorted().joined(separator: "+"))"]),
      weightBytes: graph.weightBytes, quantizedWeightBytes: measurement.quantizedWeightBytes,
      signalToNoise: try signalToNoise(keeping: 0), layers: layers,
      kept: try [1, 2, 4, 8].filter { $0 < layers.count }.map(kept), target: target,
      keptAnyway: quantization.kept.sorted(), path: output)
  }
}
