import BenchProtocol
import Pacer

/// What a worker reads of a configuration. What it does not know is an error: it would measure something else.
package struct Settings {
  package var backend: String
  package var passes: [String]
  package var weights: String?
  package var input: String?
  package var shape: Shape?
  package var inputBuffer: InputBuffer?
  package var precision = Precision.fp32
  package var options = PrepareOptions()

  /// Choices that say how a row came to be, and change nothing by themselves.
  private static let silent: Set<String> = ["model", "engine", "preset"]

  /// - Throws: ``UserError`` or ``UnknownName`` that names the axis.
  package init(_ configuration: Configuration, _ catalog: WorkerCatalog) throws {
    var rest = configuration.choices.filter { !Self.silent.contains($0.key) }
    func take<Value: AxisRepresentable>(_ key: String, _ type: Value.Type = Value.self) throws -> Value? {
      guard let choice = rest.removeValue(forKey: key) else { return nil }
      guard let value = Value(axisValue: choice) else { throw UserError("\(key) cannot be \(choice.text)") }
      return value
    }
    backend = try take("backend") ?? "cpu"
    passes = try take("passes") ?? []
    weights = try take("weights")
    input = try take("input")
    shape = try take("shape")
    inputBuffer = try take("input-buffer")
    options.kernels = try take("kernels") ?? options.kernels
    options.allocator = try take("allocator") ?? options.allocator
    precision = try take("precision") ?? precision
    options.storage = try take("storage")
    options.threads = try take("threads") ?? options.threads
    options.instructionSet = try take("isa")
    options.device = try take("device")
    options.cachesPipelines = try take("pipeline-cache") ?? options.cachesPipelines
    options.inPlace = try take("in-place") ?? options.inPlace
    options.hugePages = try take("huge-pages") ?? options.hugePages
    for (key, choice) in rest.sorted(by: { $0.key < $1.key }) {
      guard let apply = catalog.axes[key] else {
        throw UserError("this worker knows no axis \"\(key)\", which is \(choice.text)")
      }
      try apply(choice, &options)
    }
    try require((1...256).contains(options.threads), "threads", options.threads, "a number from 1 to 256")
  }
}

extension Precision {
  /// The passes that write it into a graph.
  package var passes: [any Pass] {
    switch self {
    case .fp32: []
    case .fp16: [ToFloat16()]
    case .fp16Arithmetic: [ToFloat16(), Float16Arithmetic()]
    }
  }
}

extension Runtime {
  /// The passes that settings ask for, in order.
  package func passes(_ settings: Settings) throws -> [any Pass] {
    try passes(settings.passes).adding(portable: settings.precision.passes)
  }
}

extension Placer {
  /// Why a graph in another precision is no row of the preferred backend: none of the nodes that multiply has a fast kernel there.
  /// Nil where one has.
  func lackOfKernels(for precision: Precision, in graph: Graph) -> String? {
    guard precision != .fp32 else { return nil }
    var first: String?
    for node in graph.nodes where node.op.cost(for: graph.inputTypes(of: node)).macs > 0 {
      switch backends[0].support(for: node, in: graph, options[0]) {
      case .kernel("reference"): first = first ?? "backend \(backends[0].name) has no \(precision) kernels"
      case .kernel: return nil
      case .unsupported(let reason): first = first ?? reason
      }
    }
    return first
  }
}
