import BenchProtocol
import RuntimeCore
import TensorCore

/// A configuration as versions before 0.9 and their workers write it: a field for each axis.
package struct LegacyConfiguration: Codable, Sendable {
  var engine: String?
  var model: String
  var weights: String?
  var input: String?
  var shape: Shape?
  var preset: String?
  var backend: String?
  var device: String?
  var kernels: String?
  var passes: [String]?
  var precision: String?
  var storage: String?
  var pipelineCache: Bool?
  var allocator: String?
  var inPlace: Bool?
  var hugePages: Bool?
  var inputBuffer: String?
  var threads: Int?
  var isa: String?

  /// - Throws: ``UserError`` where a choice is on an axis that those versions do not have.
  package init(_ configuration: Configuration) throws {
    engine = configuration[Axes.engine]
    model = configuration.model
    weights = configuration[Axes.weights]
    input = configuration[Axes.input]
    shape = configuration[Axes.shape]?.only
    preset = configuration[Axes.preset]
    backend = configuration[Axes.backend]
    device = configuration[Axes.device]
    kernels = configuration[Axes.kernels].rawValue
    passes = configuration[Axes.passes]
    precision = configuration[Axes.precision].rawValue
    storage = configuration[Axes.storage]?.rawValue
    pipelineCache = configuration[Axes.pipelineCache] ? nil : false
    allocator = configuration[Axes.allocator].rawValue
    inPlace = configuration[Axes.inPlace] ? nil : false
    hugePages = configuration[Axes.hugePages] ? nil : false
    inputBuffer = configuration[Axes.inputBuffer]?.rawValue
    threads = configuration[Axes.threads]
    isa = configuration[Axes.isa].map { $0 == "sse2" ? "baseline" : $0 }
    let said = self.configuration
    for (key, choice) in configuration.choices.sorted(by: { $0.key < $1.key }) where said[key] != choice {
      throw UserError("a worker of protocol 1 knows no axis \"\(key)\" that is \(choice.text)")
    }
  }

  package var configuration: Configuration {
    var result = Configuration(model: model)
    func put(_ key: String, _ value: AxisValue?) {
      // The standard choice is no choice.
      let standard = Axes.standard.first { $0.key == key }
      if let value, value.text != standard?.name(nil) { result[key] = value }
    }
    put("engine", engine.map(AxisValue.text))
    put("weights", weights.map(AxisValue.text))
    put("input", input.map(AxisValue.text))
    put("shape", shape.map { .text("\($0)") })
    put("preset", preset.map(AxisValue.text))
    put("backend", backend.map(AxisValue.text))
    put("device", device.map(AxisValue.text))
    put("kernels", kernels.map(AxisValue.text))
    put("precision", precision.map(AxisValue.text))
    put("storage", storage.map(AxisValue.text))
    put("pipeline-cache", pipelineCache.map(AxisValue.flag))
    put("allocator", allocator.map(AxisValue.text))
    put("in-place", inPlace.map(AxisValue.flag))
    put("huge-pages", hugePages.map(AxisValue.flag))
    put("input-buffer", inputBuffer.map(AxisValue.text))
    put("threads", threads.map(AxisValue.number))
    put("isa", isa.map { .text($0 == "baseline" ? "sse2" : $0) })
    if let passes, !passes.isEmpty { result["passes"] = .list(passes) }
    return result
  }
}
