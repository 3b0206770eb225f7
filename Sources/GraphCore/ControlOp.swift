import TensorCore

/// An op that runs graphs of its own: branches and loops. Each body is planned like a graph; the op says when which one runs, and
/// on what.
public protocol ControlOp: Op {
  /// Their inputs and outputs are a matter of the op.
  var bodies: [GraphBody] { get }
  /// - Parameter run: runs the body at a position on tensors in NCHW, and hands out its outputs.
  func evaluate(
    _ inputs: [Tensor], run: (_ body: Int, _ arguments: [Tensor]) throws -> [Tensor]
  ) throws -> [Tensor]
}

extension ControlOp {
  public var elementTypes: ElementTypes { .any }

  /// With the bodies' own ops.
  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    try evaluate(inputs) { body, arguments in
      try bodies[body].graph.fitting(arguments).evaluate(arguments).map { try $0.converted(to: .nchw) }
    }
  }
}

/// A graph as an attribute: two are equal that compute the same function.
public struct GraphBody: Hashable, Sendable, CustomStringConvertible {
  /// With the weights it reads.
  public let graph: Graph
  private let structure: Digest
  private let weights: Digest

  /// Its digests are made here, once.
  public init(_ graph: Graph) {
    (self.graph, structure, weights) = (graph, graph.structureDigest, graph.weightDigest)
  }

  public static func == (a: GraphBody, b: GraphBody) -> Bool {
    a.structure == b.structure && a.weights == b.weights
  }
  public func hash(into hasher: inout Hasher) {
    hasher.combine(structure.value)
    hasher.combine(weights.value)
  }

  /// What it computes of such arguments, in NCHW.
  /// - Throws: ``GraphError`` where they do not fit.
  func outputTypes(for arguments: [TensorType]) throws -> [TensorType] {
    let inputs = graph.inputs.map { graph[$0].type }
    try expect(arguments.count == inputs.count, "\(self) reads \(inputs.count) values, not \(arguments.count)")
    for (wanted, given) in zip(inputs, arguments) {
      var fitting = given
      fitting.shape = wanted.shape
      try expect(fitting == wanted, "\(self) reads \(wanted), not \(given)")
    }
    let shapes = arguments.map(\.shape)
    let fitting = shapes == inputs.map(\.shape) ? graph : try graph.reshaped(inputs: shapes)
    return fitting.outputs.map {
      var type = fitting[$0].type
      type.format = .nchw
      return type
    }
  }

  /// Its graph's name, and what tells it from others of that name.
  public var description: String { "\(graph.name)#\(structure.hex.prefix(8))" }
}

extension Graph {
  /// The graphs that its nodes run.
  var bodies: [Graph] { nodes.flatMap { ($0.op as? any ControlOp)?.bodies.map(\.graph) ?? [] } }

  /// The same graph for tensors of other shapes than its inputs'.
  /// - Throws: ``GraphError`` where an op cannot work at such a size.
  package func fitting(_ arguments: [Tensor]) throws -> Graph {
    arguments.map(\.shape) == inputs.map { self[$0].type.shape }
      ? self : try reshaped(inputs: arguments.map(\.shape))
  }
}
