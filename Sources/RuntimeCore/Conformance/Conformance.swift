import GraphCore
import TensorCore

/// What became of an op case on a backend.
public enum Conformance: Sendable {
  /// The output is what the op's own `evaluate` gives; on these kernels.
  case correct(kernels: [String])
  case wrong(error: Double)
  /// There is no kernel, and why.
  case unsupported(reason: String)

  /// Largest difference from the oracle over its largest value that the kernels of a graph may have: more where something is
  /// stored in 16 bits.
  public static func tolerance(of graph: Graph) -> Double {
    graph.values.contains { $0.type.dtype == .float16 } ? 1e-2 : 1e-5
  }

  /// Runs the case three times in one session and holds the last output against the oracle.
  /// - Parameters:
  ///   - fallback: Takes the nodes that the backend does not; nil for none. An inference that fails is an error all the same.
  ///   - passes: set format, packing and precision, as they would for a model.
  public static func run(
    _ opCase: OpCase, on backend: any Backend, fallback: (any Backend)? = nil, passes: [any Pass],
    _ options: PrepareOptions
  ) throws -> Conformance {
    if case .unavailable(let reason) = backend.availability(options) { return .unsupported(reason: reason) }
    let (graph, _) = try opCase.graph()
    let arguments = try opCase.arguments()
    let expected = try graph.evaluate(arguments)[0]
    let placer = try Placer(backend, fallback: fallback, options)
    let rewritten = try Pipeline(passes, checksNumbers: false).run(on: graph, for: placer).graph
    for node in rewritten.nodes where fallback == nil {
      if case .unsupported(let reason) = backend.support(for: node, in: rewritten, options) {
        return .unsupported(reason: reason)
      }
    }
    let executable = try placer.prepare(rewritten)
    let session = try executable.makeSession()
    for (input, argument) in zip(session.inputs, arguments) { input.write(argument.values) }
    for _ in 0..<3 { try session.run() }
    if let failure = session.failure { throw failure }
    if let failure = session.delegation?.firstFailure { throw Unsupported(failure) }
    let error = session.outputs[0].relativeError(to: try expected.converted(to: session.outputs[0].format))
    guard error < tolerance(of: rewritten) else { return .wrong(error: error) }
    return .correct(kernels: executable.placement.map(\.kernel))
  }
}
