import TensorCore

/// What a pass did.
public struct PassReport: Sendable, Equatable {
  public let name: String
  public let rewrites: Int
  /// Largest difference of an output, over the largest output, after the pass; nil if not checked.
  public let error: Double?
}

/// Passes in order, the graph verified before the first and after each one, and placed before the first that asks for what
/// a target wants.
public struct Pipeline: Sendable {
  public var passes: [any Pass]
  /// Whether the graph's function is checked with the reference ops after each pass.
  public var checksNumbers: Bool
  /// Largest relative difference that another order of additions may cause.
  public static let tolerance = 1e-4
  /// The same of graphs that round to integers, of which some become the next one. Networks with random weights magnify that:
  /// MobileNetV2 was measured at 0.12, with 7 bits at twice that.
  public static let quantisedTolerance = 0.3

  public init(_ passes: [any Pass], checksNumbers: Bool = true) {
    self.passes = passes
    self.checksNumbers = checksNumbers
  }

  /// - Parameter samples: see ``PassContext``.
  /// - Throws: ``GraphError`` naming the pass after which the graph is wrong, in form or in numbers.
  public func run(
    on graph: Graph, for target: any TargetTraits, samples: [[Tensor]] = []
  ) throws -> (graph: Graph, reports: [PassReport]) {
    try graph.verify()
    let context = PassContext(target: target, samples: samples)
    var graph = graph
    var reports: [PassReport] = []
    var check = checksNumbers ? try NumericCheck.make(graph) : nil
    var isPlaced = false
    let isQuantised = graph.nodes.contains(where: \.roundsToIntegers)
    for pass in passes {
      if pass.isForTarget, !isPlaced {
        target.place(&graph)
        isPlaced = true
      }
      let rewrites = try pass.run(on: &graph, in: context)
      do { try graph.verify() } catch { throw GraphError("after pass \(pass.name): \(error)") }
      let error = rewrites > 0 ? try check?.error(of: graph) : nil
      let tolerance = isQuantised ? max(pass.tolerance, Self.quantisedTolerance) : pass.tolerance
      if let error, !(error <= tolerance) {
        throw GraphError("pass \(pass.name) changed the outputs by \(error) of the largest; allowed is \(tolerance)")
      }
      // What it may change by more than the order of additions does, the next ones are not blamed for.
      if rewrites > 0, pass.tolerance > Self.tolerance { try check?.expect(graph) }
      reports.append(PassReport(name: pass.name, rewrites: rewrites, error: error))
    }
    return (graph, reports)
  }
}

/// A graph's outputs on a fixed input, to hold rewritten graphs against. Images are shrunk to 32×32 where the graph
/// allows it: a wrong rewrite is as wrong there, and is found in milliseconds.
struct NumericCheck {
  private let shapes: [Shape]
  private let arguments: [Tensor]
  private var expected: [Tensor]

  private init(_ graph: Graph, shrinks: Bool) throws {
    let full = graph.inputs.map { graph[$0].type.shape }
    let small = full.map { $0.rank == 4 ? Shape([1, $0[1], min($0[2], 32), min($0[3], 32)]) : $0 }
    // Bodies are of the size they are.
    let isFixed = graph.nodes.contains { $0.op is any ControlOp }
    let fits = shrinks && !isFixed && (try? graph.reshaped(inputs: small)) != nil
    shapes = fits ? small : full
    arguments = try zip(graph.inputs, shapes).map { id, shape in
      var type = graph[id].type
      type.shape = shape
      // A fixed low-discrepancy sequence in −2…2, of integers in −50…50: no seed to choose, no two neighbours alike.
      let unit = (0..<shape.count).map { Double(Float(($0 &* 40503) % 65521) / 65521 * 4 - 2) }
      let values = try Tensor(shape, type.dtype.isFloat ? unit : unit.map { $0 * 25 }, type.dtype)
      return Tensor(type: type, storage: try values.converted(to: type.format).storage)
    }
    expected = try graph.reshaped(inputs: shapes).evaluate(arguments)
  }

  /// At the graph's own size where an op cannot do with a smaller one; nil where it does not take such integers, which may be
  /// indices that are out of range, or sizes.
  /// - Throws: what evaluating a graph of other inputs throws.
  static func make(_ graph: Graph) throws -> NumericCheck? {
    if let small = try? NumericCheck(graph, shrinks: true) { return small }
    do { return try NumericCheck(graph, shrinks: false) } catch let error as GraphError {
      guard graph.inputs.contains(where: { !graph[$0].type.dtype.isFloat }) else { throw error }
      return nil
    }
  }

  /// Holds later graphs against this one's outputs.
  mutating func expect(_ graph: Graph) throws { expected = try graph.reshaped(inputs: shapes).evaluate(arguments) }

  func error(of graph: Graph) throws -> Double {
    let results = try graph.reshaped(inputs: shapes).evaluate(arguments)
    return zip(results, expected).map { $0.relativeError(to: $1) }.max() ?? 0
  }
}

extension Tensor {
  /// Largest absolute difference over the largest absolute value of `expected`; NaN where either has one.
  package func relativeError(to expected: Tensor) -> Double {
    var difference = 0.0
    var largest = 0.0
    guard shape.count == expected.shape.count else { return .nan }
    for (a, b) in zip(values, expected.values) {
      let d = abs(Double(a) - Double(b))
      if d.isNaN { return .nan }
      difference = max(difference, d)
      largest = max(largest, abs(Double(b)))
    }
    return largest > 0 ? difference / largest : difference
  }
}
