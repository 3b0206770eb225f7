import GraphCore
import TensorCore

/// Makes parameters constants, computes what only depends on constants, and drops the weight map with all
/// that no output needs.
public struct Freeze: Pass {
  public let name = "freeze"
  public let summary = "parameters become constants; constants are folded; unused values and the weight map go"
  public let off =
    "parameters are looked up by name in the weight map at each run, and no later pass may rearrange them"
  public let pytorchName: String? = "freeze_module"

  public init() {}

  public func run(on graph: inout Graph, in context: PassContext) throws -> Int {
    var rewrites = 0
    for value in graph.values {
      guard case .parameter = value.source else { continue }
      guard let tensor = graph.weights[value.name] else { throw MissingWeight(value.name) }
      graph[value.id].source = .constant(tensor)
      rewrites += 1
    }
    rewrites += try graph.rewrite(Self.foldConstants)
    rewrites += graph.parameters.count
    graph.dropWeightMap()
    graph.removeUnused()
    return rewrites
  }

  private static func foldConstants(_ graph: inout Rewriter) throws -> Int {
    var folded = 0
    for handle in graph.handles {
      let node = graph[handle]!
      let arguments = node.inputs.compactMap(graph.data(of:))
      guard arguments.count == node.inputs.count, !node.inputs.isEmpty,
        Node.mayFold(graph.types(of: node.inputs), to: graph.types(of: node.outputs))
      else {
        // What was folded before it may have turned out smaller than its bound.
        try graph.inferTypes(of: handle)
        continue
      }
      let results = try node.evaluate(arguments.map { try $0.converted(to: .nchw) })
      let constants = try zip(node.outputs, results).map { id, tensor in
        graph.addConstant(graph[id].name, try tensor.converted(to: graph[id].type.format))
      }
      for (id, constant) in zip(node.outputs, constants) { graph.replaceUses(of: id, with: constant) }
      graph.remove(handle, readersRead: constants[0])
      folded += 1
    }
    return folded
  }
}
