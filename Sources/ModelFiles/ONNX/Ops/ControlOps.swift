import Foundation
import GraphCore
import TensorCore

/// Operators with graphs inside.
let controlOps: [String: ONNXBuilder] = {
  var ops: [String: ONNXBuilder] = [:]

  ops["If"] = { node in
    let condition = try node.input(0)
    let type = node.type(of: condition)
    guard type.dtype == .bool, type.shape.count == 1 else { throw GraphError("its condition is \(type)") }
    if let known = node.reader.known(condition) {
      return try node.reader.inline(node.body(known.doubles[0] != 0 ? "then_branch" : "else_branch"))
    }
    let branches = ["then_branch", "else_branch"].map { name in Result { try ONNXBody(node, name, []) } }
    // One that cannot be at these shapes may be one that is never taken at them.
    let whole = try (try? branches[1].get()) ?? branches[0].get()
    let read = try branches.map { branch in
      do { return try branch.get() } catch let error where !(error is Unsupported) {
        return try ONNXBody(failing: "\(error)", like: whole)
      }
    }
    let (bodies, captured) = try node.sharing(read)
    for (a, b) in zip(bodies[0].outputs, bodies[1].outputs) {
      let (one, other) = (bodies[0][a], bodies[1][b])
      guard one.type.dtype == other.type.dtype, one.type.shape.rank == other.type.shape.rank else {
        throw Unsupported("its branches compute \(one.name) \(one.type) and \(other.name) \(other.type)")
      }
    }
    return try node.addAll(If(then: GraphBody(bodies[0]), otherwise: GraphBody(bodies[1])), [condition] + captured)
  }
  ops["Loop"] = { node in try node.loop() }
  ops["Scan"] = { node in try node.scan() }
  return ops
}()

/// A body of a node while it is read.
struct ONNXBody {
  let reader: ONNXGraphReader
  var graph: Graph

  /// - Parameter types: of its own inputs; what it captures is found out.
  init(_ node: ONNXNode, _ attribute: String, _ types: [TensorType]) throws {
    reader = ONNXGraphReader(node.reader.file, name: "\(node.name).\(attribute)", within: node.reader)
    graph = try reader.readBody(node.body(attribute), types)
  }

  /// One that fails when it runs, in the place of another one.
  init(failing reason: String, like other: ONNXBody) throws {
    reader = ONNXGraphReader(other.reader.file, name: "\(other.graph.name).none", within: nil)
    graph = Graph(name: reader.graph.name)
    let types = other.graph.outputs.map { other.graph[$0].type }
    graph.setOutputs(try graph.addNodes("impossible", Fail(reason, types: types), []))
  }
}

extension ONNXNode {
  /// The bodies with one list of captured values for all, behind their own inputs, and those values.
  func sharing(_ bodies: [ONNXBody]) throws -> (graphs: [Graph], captured: [ValueID]) {
    var names: [String] = []
    for name in bodies.flatMap(\.reader.captures) where !names.contains(name) { names.append(name) }
    let captured = try names.map(reader.value)
    let graphs = bodies.map { body in
      var graph = body.graph
      let own = graph.inputs.count - body.reader.captures.count
      let ids = Dictionary(uniqueKeysWithValues: zip(body.reader.captures, graph.inputs[own...]))
      let shared = zip(names, captured).map { name, id in
        ids[name] ?? graph.addInput(name, type(of: id).largest)
      }
      graph.inputs = graph.inputs.prefix(own) + shared
      return graph
    }
    return (graphs, captured)
  }
}
