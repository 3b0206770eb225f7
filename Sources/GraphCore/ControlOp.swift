import Synchronization
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
///
/// Coded as a number: see ``GraphBodies``.
public struct GraphBody: Hashable, Sendable, Codable, CustomStringConvertible {
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

  public init(from decoder: any Decoder) throws {
    let number = try decoder.singleValueContainer().decode(Int.self)
    guard let bodies = decoder.userInfo[GraphBodies.key] as? GraphBodies, let body = bodies[number] else {
      throw GraphError("there is no graph \(number) before the one that runs it")
    }
    self = body
  }

  /// - Throws: ``GraphError`` where nothing keeps the graph itself.
  public func encode(to encoder: any Encoder) throws {
    guard let bodies = encoder.userInfo[GraphBodies.key] as? GraphBodies, let number = bodies.number(of: self) else {
      throw GraphError("\(self) is a graph of its own, which is kept beside what runs it")
    }
    var container = encoder.singleValueContainer()
    try container.encode(number)
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

/// The bodies of a file's graphs by number, as coders' `userInfo` has them: ops are coded with the number alone. A graph comes
/// behind those that its nodes run.
package final class GraphBodies: Sendable {
  package static let key = CodingUserInfoKey(rawValue: "pacer.bodies")!
  private let all = Mutex<[GraphBody]>([])

  package init() {}

  subscript(_ number: Int) -> GraphBody? { all.withLock { $0[safe: number] } }
  package func number(of body: GraphBody) -> Int? { all.withLock { $0.firstIndex(of: body) } }
  package func append(_ body: GraphBody) { all.withLock { $0.append(body) } }
  /// By number.
  package var graphs: [Graph] { all.withLock { $0.map(\.graph) } }

  /// Adds the graphs that a graph's nodes run, each once, and before them those that run in them.
  package func append(bodiesOf graph: Graph) {
    for body in graph.nodes.flatMap({ ($0.op as? any ControlOp)?.bodies ?? [] }) where number(of: body) == nil {
      append(bodiesOf: body.graph)
      append(body)
    }
  }
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
