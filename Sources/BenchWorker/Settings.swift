import BenchProtocol
import Pacer

extension RangeObserver: AxisRepresentable {}

/// What a worker reads of a configuration. What it does not know is an error: it would measure something else.
package struct Settings {
  package var backend: any Backend
  package var fallback: (any Backend)?
  package var passes: [String]
  package var inputBuffer: InputBuffer?
  package var precision = Precision.fp32
  /// Of int8.
  package var quantization = QuantizeInt8.Options()
  package var preparation: Int8Preparation?
  /// Where its calibration samples are; nil for the run's own inputs.
  package var calibration: String?
  package var options = PrepareOptions()
  /// Whether graphs are to be divided between devices by what is measured first: until ``divide(by:)`` nothing runs.
  package private(set) var wantsMeasuredPartition = false

  /// Choices that say how a row came to be, and those of which ``ModelWork`` is made.
  private static let silent: Set<String> = ["model", "engine", "preset", "weights", "input", "shape"]
  /// What is chosen of the processor, whichever backend asks it to compute.
  private static let ofProcessor: Set<String> = ["isa"]

  /// - Throws: ``UserError`` or ``UnknownName`` that names the axis, ``NoSuchOption`` for one of another backend,
  ///   ``Unsupported`` for two that have nothing to do with each other.
  package init(_ configuration: Configuration, _ catalog: WorkerCatalog) throws {
    var rest = configuration.choices.filter { !Self.silent.contains($0.key) }
    func take<Value: AxisRepresentable>(_ key: String, _ type: Value.Type = Value.self) throws -> Value? {
      guard let choice = rest.removeValue(forKey: key) else { return nil }
      guard let value = Value(axisValue: choice) else { throw UserError("\(key) cannot be \(choice.text)") }
      return value
    }
    backend = try catalog.runtime.backend(try take("backend") ?? "cpu")
    fallback = catalog.runtime.fallback
    passes = try take("passes") ?? []
    inputBuffer = try take("input-buffer")
    precision = try take("precision") ?? precision
    quantization.observer = try take("observer") ?? quantization.observer
    quantization.scalesChannels = try take("weight-scales", WeightScales.self).map { $0 == .channel } ?? true
    preparation = try take("prepare-int8")
    quantization.activationBits = try take("activation-bits") ?? quantization.activationBits
    quantization.weightBits = try take("weight-bits") ?? quantization.weightBits
    quantization.correctsBias = try take("correct-bias") ?? quantization.correctsBias
    quantization.kept = Set(try take("keep-float", [String].self) ?? [])
    calibration = try take("calibrate")
    if quantization.observer == .dynamic {
      let unused = [
        ("prepare-int8", preparation != nil), ("activation-bits", quantization.activationBits != 8),
        ("correct-bias", !quantization.correctsBias),
      ]
      for (key, isChosen) in unused where isChosen {
        throw Unsupported("with observer dynamic nothing is learned before a run: leave out \(key)")
      }
    }
    options.allocator = try take("allocator") ?? options.allocator
    options.threads = try take("threads") ?? options.threads
    options.inPlace = try take("in-place") ?? options.inPlace
    options.hugePages = try take("huge-pages") ?? options.hugePages
    if try take("fallback", Bool.self) == false {
      fallback = nil
      backend = try backend.choosing("fallback", "off") ?? backend
    }
    for (key, choice) in rest.sorted(by: { $0.key < $1.key }) {
      if let apply = catalog.axes[key] {
        try apply(choice, &options)
        continue
      }
      let chosen = try backend.choosing(key, choice.text)
      let behind = Self.ofProcessor.contains(key) ? try fallback?.choosing(key, choice.text) : nil
      guard chosen != nil || behind != nil else {
        let known = catalog.runtime.backends.filter { !($0 is any UnavailableBackend) }
        let isKnown = try known.contains { try $0.choosing(key, choice.text) != nil }
        throw isKnown
          ? NoSuchOption(backend.name, key, choice.text)
          : UserError("this worker knows no axis \"\(key)\", which is \(choice.text)")
      }
      (backend, fallback) = (chosen ?? backend, behind ?? fallback)
    }
    try require((1...256).contains(options.threads), "threads", options.threads, "a number from 1 to 256")
    if case .measured = (backend as? NNAPIBackend)?.partition { wantsMeasuredPartition = true }
  }

  /// Has the backend divide graphs as a measured partition says, or as NNAPI does where there is none yet, to measure one; nothing where
  /// none is wanted.
  package mutating func divide(by partition: MeasuredPartition?) {
    guard wantsMeasuredPartition, var nnapi = backend as? NNAPIBackend else { return }
    nnapi.partition = partition.map { .measured($0) } ?? .nnapi
    backend = nnapi
  }
}
