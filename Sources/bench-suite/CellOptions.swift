import ArgumentParser
import Foundation
import Pacer

/// The options of every command that takes a cell. A comma list means each of them.
struct CellOptions: ParsableArguments {
  @Option(help: "Weights: a safetensors file with torchvision's names (default: seeded weights).")
  var weights: String?
  @Option(help: "Input: a PNG or JPEG photo (default: a seeded input).")
  var input: String?
  @Option(help: "Input shape, such as 1x3x224x224.")
  var shape: String?
  @Option(help: "Presets: naive-1.3, prepack-1.5, full-1.7 (PyTorch Mobile's releases), latest.")
  var preset: String?
  @Option(help: "Backends: cpu, vulkan, metal, nnapi, null.")
  var backend: String?
  @Option(help: "Device of the backend, by index or a part of its name.")
  var device: String?
  @Option(help: "Kernels: fast, im2col (unfused, whole matrix) or reference (scalar oracle).")
  var kernels: String?
  @Option(
    help: """
      Passes: all, none, ladder, each-alone, every-pair, all-but-one, every-combination, or names joined with + \
      (default: all).
      """)
  var passes: String?
  @Option(help: "Passes to leave out.")
  var disable: String?
  @Option(help: "Memory format: nhwc or nchw; sets or clears the pass channels-last.")
  var format: String?
  @Option(help: "Precision: fp32, or on a GPU fp16 or fp16-arithmetic (fp16 stores in 16 bits).")
  var precision: String?
  @Option(help: "How a GPU's kernels reach tensors: texels or buffers (default: what suits the device).")
  var storage: String?
  @Option(help: "Whether a GPU's compiled pipelines are kept on disk: on (default) or off.")
  var pipelineCache: String?
  @Option(help: "Allocators: system, caching, arena (planned ahead), mapped (a mapping for each large tensor).")
  var allocator: String?
  @Option(help: "Whether outputs take the memory of inputs that nothing reads any more: on (default) or off.")
  var inPlace: String?
  @Option(help: "Whether the system is asked for pages of 2 MiB: on (default) or off.")
  var hugePages: String?
  @Option(
    help: """
      What each inference does about its input: reused (writes it into the session's tensor) or fresh (into a new \
      one); default: neither, it was written once.
      """)
  var inputBuffer: String?
  @Option(help: "Threads.")
  var threads: String?
  @Option(help: "Instruction sets: baseline, avx2, avx512, or best (default).")
  var isa: String?
  @Option(help: "Engines: pacer, or a peer under Suites/peers such as onnxruntime.")
  var engine: String?

  /// The axes that were named, as a suite's group of cells has them.
  func choices(models: String?) -> [String: [String]] {
    var choices: [String: [String]] = [:]
    func put(_ key: String, _ text: String?) {
      if let text { choices[key] = text.split(separator: ",").map(String.init) }
    }
    put("model", models)
    put("shape", shape)
    put("preset", preset)
    put("backend", backend)
    put("device", device)
    put("kernels", kernels)
    put("passes", passes)
    put("format", format)
    put("precision", precision)
    put("storage", storage)
    put("pipeline-cache", pipelineCache)
    put("allocator", allocator)
    put("in-place", inPlace)
    put("huge-pages", hugePages)
    put("input-buffer", inputBuffer)
    put("threads", threads)
    put("isa", isa)
    put("engine", engine)
    if let disable { choices["disable"] = disable.split(separator: ",").map(String.init) }
    // Paths may contain commas.
    if let weights { choices["weights"] = [weights] }
    if let input { choices["input"] = [input] }
    return choices
  }
}

/// How workers are started and results kept.
struct RunnerOptions: ParsableArguments {
  @Option(
    help: "A command before every worker, such as 'qemu-x86_64 -cpu Nehalem'; quotes as in a shell.",
    transform: Values.command)
  var workerPrefix: [String] = []
  @Option(help: "Result file, JSON; reports go beside it (default: Results/local/VERSION/SUITE.json).")
  var output: String?
  @Flag(help: "Go on with a run that was cut short.")
  var resume = false
  @Option(help: "Kill a worker that takes this many seconds longer than it is to time.", transform: Values.seconds)
  var timeout: Double = 300
  @Flag(help: "Print the result as JSON instead of a table.")
  var json = false

  func validate() throws { if let output { _ = try OutputName(output, ["json"]) } }
}
