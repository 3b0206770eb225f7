import BenchProtocol
import Delegation
import Foundation
import RuntimeCore
import TensorCore

/// The axes that come with Pacer, in the order of labels.
public enum Axes {
  /// Whose options most axes are.
  private static let pacer = ["pacer"]

  public static let model = Axis<String>(
    "model", "Models: built-in ones by name, or ONNX or .pacer files by path.", standard: "", values: .model,
    role: .work,
    label: { _, _ in nil })

  public static let engine = Axis<String>(
    "engine", "Engines: pacer, or one under Suites/peers such as onnxruntime.", standard: "pacer",
    values: .text(none: "pacer"), label: { name, _ in name }, standardLabel: { _ in "pacer" })

  public static let preset = Axis<String?>(
    "preset", "Presets: naive-1.3, prepack-1.5, full-1.7 (PyTorch Mobile's releases), latest.", standard: nil,
    values: .optionalKnown({ $0.presets.map { ($0.name, []) } }, none: "none"), engines: pacer,
    settles: ["passes", "kernels", "allocator", "in-place"], label: { name, _ in name },
    settle: { name, configuration, catalog in
      if let name { try catalog.preset(name).apply(to: &configuration) }
    })

  public static let backend = Axis<String>(
    "backend", "Backends: cpu, vulkan, metal, nnapi, null.", standard: "cpu",
    values: .known { $0.backends.map { ($0.name, []) } }, label: { name, _ in name })

  public static let device = Axis<String?>(
    "device", "Device of the backend, by index or a part of its name.", standard: nil, values: .text(none: "the first"),
    label: { name, _ in name })

  public static let storage = Axis<TensorStorage?>(
    "storage", "How a GPU's kernels reach tensors: texels or buffers (default: what suits the device).", standard: nil,
    values: .optionalNames(TensorStorage.allCases.map(\.rawValue), none: "the device's own"),
    backends: ["vulkan", "metal"], label: { storage, _ in storage?.rawValue })

  public static let pipelineCache = Axis(
    "pipeline-cache", "Whether a GPU's compiled pipelines are kept on disk: on (default) or off.", standard: true,
    values: .flag, backends: ["vulkan", "metal"], label: { isOn, _ in isOn ? nil : "no pipeline cache" })

  /// Backends that hand nodes on to a device.
  private static let delegating = ["vulkan", "metal", "nnapi"]
  private static let nnapi = ["nnapi"]

  public static let fallback = Axis(
    "fallback",
    "Whether the processor computes what a device does not take, and where it fails: on (default), or off, which makes "
      + "either an error.", standard: true, values: .flag, backends: delegating,
    label: { isOn, _ in isOn ? nil : "no fallback" })

  public static let driver = Axis<String>(
    "driver",
    "Of nnapi, which drivers are installed, in order, joined with +: cpu-fast (default), vulkan, those under Suites/drivers, or a "
      + ".yaml file; nnapi-reference, the processor's own code, is always behind them.", standard: "cpu-fast",
    values: .text(none: "cpu-fast"), backends: nnapi, label: { names, _ in DriverNames.short(names) },
    standardLabel: { _ in "cpu-fast" }, read: { text, catalog in [try DriverNames.check(text, catalog)] })

  public static let explicitDevice = Axis(
    "explicit-device",
    "Of nnapi, whether the drivers are a list of explicit devices, with no other and no fallback behind them: on or off "
      + "(default).", standard: false, values: .flag, backends: nnapi,
    label: { isOn, _ in isOn ? "explicit devices" : nil })

  public static let preference = Axis(
    "preference",
    "Of nnapi, what drivers are chosen by: sustained-speed (default) and fast-single-answer, their times, or low-power.",
    standard: ExecutionPreference.sustainedSpeed, values: .names(ExecutionPreference.allCases.map(\.rawValue)),
    backends: nnapi, label: { preference, _ in preference.rawValue })

  public static let partition = Axis(
    "partition",
    "Of nnapi, how a graph is divided between drivers: nnapi (as Android does, by what drivers promise; default), or measured, by times "
      + "that are measured first: of each node on each device, of an execution, of what is copied.",
    standard: "nnapi", values: .names(PartitionMode.names), backends: nnapi,
    label: { mode, _ in mode == "measured" ? "measured partition" : nil })

  public static let relaxFloat32 = Axis(
    "relax-fp32", "Of nnapi, whether drivers may compute float32 in 16 bits: on or off (default).", standard: false,
    values: .flag, backends: nnapi, label: { isOn, _ in isOn ? "relaxed fp32" : nil })

  public static let driverTimeout = Axis<Int?>(
    "driver-timeout",
    "Of nnapi, milliseconds that an execution may take (default: as long as it takes); of one explicit device alone.",
    standard: nil, values: .numbers(1...3_600_000), backends: nnapi,
    label: { limit, _ in limit.map { "driver time-out \($0) ms" } })

  public static let execution = Axis(
    "execution",
    "Of nnapi, how drivers are asked: sync (with a message each; default), burst (through shared memory, with nothing sent), or fenced "
      + "(inferences are started and waited for by events).", standard: ExecutionMode.sync,
    values: .names(ExecutionMode.allCases.map(\.rawValue)), backends: nnapi, label: { mode, _ in mode.rawValue })

  public static let loopTimeout = Axis<Int?>(
    "loop-timeout", "Of nnapi, milliseconds that one loop may take which the processor interprets (default: 2,000).",
    standard: nil, values: .numbers(1...15_000), backends: nnapi,
    label: { limit, _ in limit.map { "loop time-out \($0) ms" } })

  public static let priority = Axis(
    "priority", "Of nnapi, which executions of one process a driver lets go first: low, medium (default) or high.",
    standard: ExecutionPriority.medium, values: .names(ExecutionPriority.allCases.map(\.rawValue)), backends: nnapi,
    label: { priority, _ in "\(priority.rawValue) priority" })

  public static let precision = Axis(
    "precision", "Precision: fp32; on a processor int8; on a GPU fp16 or fp16-arithmetic (fp16 stores in 16 bits).",
    standard: Precision.fp32, values: .names(Precision.allCases.map(\.rawValue)),
    label: { precision, _ in precision.rawValue })

  public static let observer = Axis<String?>(
    "observer",
    "Of int8, how ranges of tensors are found: percentile (99.99, default), histogram (least squared error), min-max, or dynamic (by "
      + "each inference, without samples; of linear and recurrent layers only; all others stay in float32).",
    standard: nil, values: .optionalNames(["histogram", "min-max", "dynamic"], none: "percentile"), engines: pacer,
    precisions: [.int8],
    label: { name, _ in name })

  public static let weightScales = Axis(
    "weight-scales", "Of int8, what a scale of weights is of: each channel (default) or the whole tensor.",
    standard: WeightScales.channel, values: .names(WeightScales.allCases.map(\.rawValue)), engines: pacer,
    precisions: [.int8],
    label: { scales, _ in "scales by \(scales.rawValue)" })

  public static let prepareInt8 = Axis<Int8Preparation?>(
    "prepare-int8",
    "Of int8, what is done to the network first: relu (ReLU6 becomes ReLU), equalize (channels are scaled so that weights cover "
      + "like ranges: for scales by tensor), relu+equalize, equalize-tensors (channels are scaled so that what is computed covers like "
      + "ranges: for scales by channel), or nothing (default).",
    standard: nil, values: .optionalNames(Int8Preparation.allCases.map(\.rawValue), none: "nothing"), engines: pacer,
    precisions: [.int8],
    label: { preparation, _ in preparation?.rawValue })

  public static let activationBits = Axis(
    "activation-bits", "Of int8, how many bits an activation's range is spread over: 8 (default) or 7.", standard: 8,
    values: .numbers(7...8), engines: pacer, precisions: [.int8], label: { bits, _ in "\(bits)-bit activations" })

  public static let weightBits = Axis(
    "weight-bits",
    "Of int8, how many bits weights are spread over: 8 (default), or 7, which AVX2 multiplies faster; of depthwise filters 8.",
    standard: 8, values: .numbers(7...8), engines: pacer, precisions: [.int8],
    label: { bits, _ in "\(bits)-bit weights" })

  public static let correctBias = Axis(
    "correct-bias", "Of int8, whether biases make good what rounding weights moves means by: on (default) or off.",
    standard: true, values: .flag, engines: pacer, precisions: [.int8],
    label: { isOn, _ in isOn ? nil : "biases not corrected" })

  public static let keepFloat = Axis(
    "keep-float", "Of int8, nodes that stay in float32: names joined with +.", standard: [String](),
    values: .text(none: "none"), engines: pacer, precisions: [.int8],
    label: { names, _ in names.isEmpty ? nil : "float: " + names.joined(separator: "+") },
    read: { text, _ in [text.split(separator: "+").map(String.init)] })

  public static let calibrate = Axis<String?>(
    "calibrate",
    "Of int8, samples to learn ranges from: a folder of pictures (normalised as for ImageNet), .npy or .pb files, or one file "
      + "(default: the run's own input).",
    standard: nil, values: .path(none: "own input"), engines: pacer, precisions: [.int8],
    label: { path, context in context.differs ? path.map { PathNames.short($0, context) } : nil })

  public static let kernels = Axis(
    "kernels", "Kernels: fast, im2col (unfused, whole matrix) or reference (scalar oracle).",
    standard: KernelFamily.fast, values: .names(KernelFamily.allCases.map(\.rawValue)), engines: pacer,
    label: { family, _ in family.rawValue })

  public static let passes = Axis(
    "passes",
    "Passes: all, none, ladder, each-alone, every-pair, all-but-one, every-combination, or names joined with + "
      + "(default: all).", standard: [String](), values: .text(none: "none"), role: .passes, engines: pacer,
    unnamed: "all", label: { names, context in PassSets.label(names, context.passes) },
    standardLabel: { _ in "no passes" }, read: { text, catalog in try PassSets.read(text, catalog) })

  public static let allocator = Axis(
    "allocator", "Allocators: system, caching, arena (planned ahead), mapped (a mapping for each large tensor).",
    standard: AllocatorKind.system, values: .names(AllocatorKind.allCases.map(\.rawValue)), engines: pacer,
    label: { kind, _ in kind.rawValue })

  public static let inPlace = Axis(
    "in-place", "Whether outputs take the memory of inputs that nothing reads any more: on (default) or off.",
    standard: true, values: .flag, engines: pacer, label: { isOn, _ in isOn ? nil : "in-place off" })

  public static let hugePages = Axis(
    "huge-pages",
    "Whether the system is asked for pages of 2 MiB: on (default) or off; of a .pacer file off (default), its weights used "
      + "where they lie, or on, copied out of it.", standard: true,
    values: .flag, engines: pacer, backends: ["cpu", "null"], label: { isOn, _ in isOn ? nil : "huge pages off" })

  public static let inputBuffer = Axis<InputBuffer?>(
    "input-buffer",
    "What each inference does about its input: reused (writes it into the session's tensor) or fresh (into a new one); "
      + "default: neither, it was written once.", standard: nil,
    values: .optionalNames(InputBuffer.allCases.map(\.rawValue), none: "kept"), engines: pacer, usual: .reused,
    label: { buffer, _ in buffer.map { "\($0.rawValue) input" } })

  public static let threads = Axis(
    "threads", "Threads.", standard: 1, values: .numbers(1...256), label: { count, _ in "\(count) threads" })

  public static let isa = Axis<String?>(
    "isa", "Instruction sets: sse2, avx2, avx512, neon (for plans elsewhere), or best (default).", standard: nil,
    values: .optionalKnown({ $0.instructionSets.map { ($0, $0 == "sse2" ? ["baseline"] : []) } }, none: "best"),
    label: { name, _ in name })

  public static let shape = Axis<InputShapes?>(
    "shape", "Input shape, such as 1x3x224x224; of a file with several inputs NAME=1x3x224x224+OTHER=1x10.",
    standard: nil, values: .shape, role: .work,
    label: { shape, context in context.differs ? shape.map { "\($0)" } : nil },
    standardLabel: { context in context.inputShape.map { "\($0)" } ?? "usual shape" })

  public static let weights = Axis<String?>(
    "weights",
    "Weights: a safetensors file, or a state dict that torch.save wrote (.pth, .pt), with torchvision's names (default: "
      + "seeded weights).", standard: nil,
    values: .path(none: "seeded weights"), role: .work,
    label: { path, context in context.differs ? path.map { PathNames.short($0, context) } : nil },
    standardLabel: { _ in "seeded weights" })

  public static let input = Axis<String?>(
    "input",
    "Input: a PNG or JPEG photo, .npy, .pb or raw little-endian elements (.bin); a folder of input_0.pb, … or NAME.npy "
      + "for several (default: a seeded input).", standard: nil,
    values: .path(none: "seeded input"), role: .work,
    label: { path, context in context.differs ? path.map { PathNames.short($0, context) } : nil },
    standardLabel: { _ in "seeded input" })

  public static let expect = Axis<String?>(
    "expect",
    "Which output is right: a .npy or .pb file, a folder of output_0.pb, …, or an engine's name (default: Pacer's oracle, "
      + "of a model file whose ops it lacks onnxruntime).", standard: nil,
    values: .expectation(none: "the usual reference"), role: .work,
    label: { text, context in context.differs ? text.map { PathNames.short($0, context) } : nil },
    standardLabel: { _ in "usual reference" })

  public static let standard: [any AxisDescription] = [
    model, engine, preset, backend, device, storage, pipelineCache, fallback, driver, explicitDevice, partition,
    preference,
    relaxFloat32, driverTimeout, loopTimeout, execution, priority, precision, observer, weightScales,
    prepareInt8, activationBits, weightBits, correctBias, keepFloat, calibrate, kernels, passes, allocator, inPlace,
    hugePages, inputBuffer, threads, isa, shape, weights, input, expect,
  ]
}

extension ExecutionPreference: AxisRepresentable {}
extension ExecutionPriority: AxisRepresentable {}
extension ExecutionMode: AxisRepresentable {}

/// Names of drivers, joined with +.
enum DriverNames {
  /// The same names, of files their absolute paths.
  /// - Throws: ``UnknownName``, ``UserError``.
  static func check(_ text: String, _ catalog: Catalog) throws -> String {
    let names = try text.split(separator: "+").map { name in
      guard name.hasSuffix(".yaml") || name.contains("/") else {
        guard catalog.drivers.contains(String(name)) || DriverProfile.androidDevice(String(name)) != nil else {
          throw UnknownName(kind: "driver", name: String(name), known: catalog.drivers)
        }
        return String(name)
      }
      let path = URL(fileURLWithPath: String(name)).standardizedFileURL.path
      guard FileManager.default.fileExists(atPath: path) else {
        throw UserError("driver: \(name) cannot be read: no such file")
      }
      return path
    }
    guard !names.isEmpty else { throw UserError("driver is empty") }
    return names.joined(separator: "+")
  }

  /// Files by their names alone, and profiles of other machines' drivers as what they are.
  static func short(_ text: String) -> String {
    text.split(separator: "+").map { name in
      let isShipped = NNAPIBackend.shipped[String(name)] != nil
      if isShipped || DriverProfile.androidDevice(String(name)) != nil { return String(name) }
      return (name.split(separator: "/").last ?? name).replacing(/\.yaml$/, with: "") + " (profile)"
    }.joined(separator: "+")
  }
}

/// What short names files go by in labels.
enum PathNames {
  /// The last part of a path, unless another path that is shown has the same.
  static func short(_ path: String, _ context: LabelContext) -> String {
    func last(_ path: String) -> Substring { path.split(separator: "/").last ?? "" }
    let alike = context.choices.compactMap { $0?.text }.filter { last($0) == last(path) }
    return alike.count > 1 ? path : String(last(path))
  }
}
