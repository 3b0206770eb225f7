import BenchProtocol
import TensorCore

/// Everything that experiments may name, as a value: whoever builds one decides what is in it. It knows names and what is
/// said of them; what runs is the worker's.
public struct Catalog: Sendable {
  public struct Model: Sendable {
    public var name: String
    /// Other spellings that are accepted.
    public var aliases: [String]
    public var inputShape: Shape
    /// Whether it is left out where a suite names no model.
    public var isOptional: Bool
    /// What it consists of, in words; nil where that is not known.
    public var character: @Sendable () -> String?

    public init(
      name: String, aliases: [String] = [], inputShape: Shape, isOptional: Bool = false,
      character: @escaping @Sendable () -> String? = { nil }
    ) {
      self.isOptional = isOptional
      (self.name, self.aliases, self.inputShape, self.character) = (name, aliases, inputShape, character)
    }
  }

  public struct Backend: Sendable {
    public var name: String
    /// False where outputs mean nothing, so that nobody checks them.
    public var computesOutputs: Bool
    /// What it runs on here, or why it cannot.
    public var availability: @Sendable () -> String

    public init(name: String, computesOutputs: Bool = true, availability: @escaping @Sendable () -> String = { "" }) {
      (self.name, self.computesOutputs, self.availability) = (name, computesOutputs, availability)
    }
  }

  public struct Pass: Sendable {
    public var name: String
    public var summary: String
    /// What happens without it.
    public var off: String
    public var pytorchName: String?

    public init(name: String, summary: String, off: String, pytorchName: String? = nil) {
      (self.name, self.summary, self.off, self.pytorchName) = (name, summary, off, pytorchName)
    }
  }

  public var models: [Model]
  public var backends: [Backend]
  /// In the order in which they run.
  public var passes: [Pass]
  public var metrics: [Metric]
  public var axes: AxisTable
  /// Names of drivers that nnapi may be given.
  public var drivers: [String] = []
  /// Instruction sets with kernels, those this machine can run, slowest first, and the processor's name.
  public var instructionSets: [String]
  public var availableInstructionSets: [String]
  public var processorName: String

  public init(
    models: [Model], backends: [Backend], passes: [Pass], metrics: [Metric] = standardMetrics,
    axes: AxisTable = AxisTable(), instructionSets: [String] = [], availableInstructionSets: [String] = [],
    processorName: String = ""
  ) {
    (self.models, self.backends, self.passes) = (models, backends, passes)
    (self.metrics, self.axes, self.instructionSets) = (metrics, axes, instructionSets)
    (self.availableInstructionSets, self.processorName) = (availableInstructionSets, processorName)
  }

  /// - Throws: ``UnknownName``.
  public func model(_ name: String) throws -> Model {
    if let model = models.first(where: { $0.name == name || $0.aliases.contains(name) }) { return model }
    throw UnknownName(kind: "model", name: name, known: models.map(\.name))
  }

  /// Whether a backend's outputs mean anything. One that nobody knows here is taken to compute.
  public func computesOutputs(_ backend: String) -> Bool {
    backends.first { $0.name == backend }?.computesOutputs ?? true
  }

  /// The passes of these names, in the order in which they run.
  /// - Throws: ``UnknownName``.
  public func passes(_ names: [String]) throws -> [Pass] {
    for name in names where !passes.contains(where: { $0.name == name }) {
      throw UnknownName(kind: "pass", name: name, known: passes.map(\.name))
    }
    return passes.filter { names.contains($0.name) }
  }

  /// - Throws: ``UnknownName``.
  public func metric(_ name: String) throws -> Metric {
    if let metric = metrics.first(where: { $0.name == name }) { return metric }
    throw UnknownName(kind: "metric", name: name, known: metrics.map(\.name))
  }

  /// Metrics that are the same in every run of the same code.
  public var deterministicMetrics: [Metric] { metrics.filter { $0.kind == .deterministic } }
}
