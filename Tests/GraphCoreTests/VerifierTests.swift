import GraphCore
import ModelZoo
import TensorCore
import TestSupport
import Testing

@Suite struct VerifierTests {
  /// x → conv (parameters) → relu → linear-like tail; every kind of value is in it.
  private func graph() throws -> Graph {
    var graph = Graph(name: "small")
    let x = graph.addInput("x", TensorType([1, 2, 4, 4]))
    let weight = graph.addParameter("conv.weight", TensorType([3, 2, 3, 3]))!
    graph.weights["conv.weight"] = try Tensor([3, 2, 3, 3], (0..<54).map { Float($0) / 54 })
    let bias = graph.addConstant("bias", try Tensor([3], [1, 2, 3]))
    let conv = try graph.addNode("conv", Conv2D(padding: 1), [x, weight, bias])
    let relu = try graph.addNode("relu", Activation(.relu), [conv])
    let sum = try graph.addNode("sum", Binary(.add), [relu, conv])
    graph.setOutputs([sum])
    return graph
  }

  private func id(_ name: String, in graph: Graph) -> ValueID { graph.values.first { $0.name == name }!.id }

  private func expectRefusal(_ fact: String, _ change: (inout Graph) throws -> Void) throws {
    var graph = try graph()
    try graph.verify()
    try change(&graph)
    do {
      try graph.verify()
      Issue.record("a graph with \(fact) passes")
    } catch let error as GraphError {
      #expect(error.description.contains(fact), "\(error)")
    }
  }

  @Test func `each kind of wrong graph is refused, and what is wrong is named`() throws {
    try expectRefusal("relu reads") { $0.nodes.swapAt(0, 1) }
    try expectRefusal("relu defines") { $0.nodes[1].outputs = $0.nodes[0].outputs }
    try expectRefusal("conv is declared") { $0[self.id("conv", in: $0)].type.shape = [1, 3, 4, 5] }
    try expectRefusal("conv: conv2d bias") { graph in
      let long = graph.addConstant("long", try Tensor([4], [1, 2, 3, 4]))
      graph.setInputs([graph.nodes[0].inputs[0], graph.nodes[0].inputs[1], long], ofNode: 0)
    }
    try expectRefusal("sum: add takes 2 inputs") { $0.setInputs([$0.nodes[2].inputs[0]], ofNode: 2) }
    try expectRefusal("sum: add cannot broadcast") { $0.setInputs([$0.nodes[2].inputs[0], $0.inputs[0]], ofNode: 2) }
    try expectRefusal("an output of small is never computed") { $0.nodes.remove(at: 2) }
    try expectRefusal("sum reads") { $0.nodes.remove(at: 1) }
    try expectRefusal("graph small has no output") { $0.setOutputs([]) }
    try expectRefusal("constant bias is") { $0[self.id("bias", in: $0)].source = .constant(try Tensor([2], [1, 2])) }
    try expectRefusal("parameter conv.weight is not declared") { $0.dropWeightMap() }
    try expectRefusal("weight conv.weight is") { $0.weights["conv.weight"] = try Tensor([1], [1]) }
    try expectRefusal("input relu is not listed") { $0[self.id("relu", in: $0)].source = .input }
  }

  @Test func `a weight map that is not the graph's is refused`() throws {
    var graph = try graph()
    try graph.verifyWeights()
    graph.weights["extra"] = try Tensor([1], [1])
    #expect(throws: GraphError.self) { try graph.verifyWeights() }
    graph.weights["extra"] = nil
    graph.weights["conv.weight"] = nil
    #expect(throws: MissingWeight.self) { try graph.verifyWeights() }
    #expect(throws: MissingWeight.self) { try graph.evaluate([Tensor(zeros: TensorType([1, 2, 4, 4]))]) }
  }

  @Test func `what leads to no output goes, inputs stay`() throws {
    var graph = try graph()
    let spare = try graph.addNode("spare", Activation(.relu6), [graph.nodes[1].outputs[0]])
    _ = try graph.addNode("spare of spare", Activation(.relu6), [spare])
    _ = graph.addConstant("unread", try Tensor([1], [1]))
    let unread = graph.addInput("unread input", TensorType([1]))
    #expect(graph.removeUnused() == 3)
    #expect(graph.nodes.map(\.name) == ["conv", "relu", "sum"] && graph.inputs.contains(unread))
    #expect(!graph.values.contains { $0.name == "unread" })
    try graph.verify()
    #expect(graph.removeUnused() == 0)
  }

  @Test func `a graph takes other shapes where its ops do, and says which does not`() throws {
    let graph = try graph()
    let larger = try graph.reshaped(inputs: [[2, 2, 7, 5]])
    #expect(larger[larger.outputs[0]].type.shape == [2, 3, 7, 5])
    #expect(graph[graph.outputs[0]].type.shape == [1, 3, 4, 4])
    #expect(throws: GraphError.self) { try graph.reshaped(inputs: [[1, 5, 4, 4]]) }
    #expect(throws: GraphError.self) { try graph.reshaped(inputs: []) }
  }

  @Test func `a node alone computes what it computes in its graph`() throws {
    let (graph, input) = try seeded(.resNet18, [1, 3, 32, 32])
    var values: [ValueID: Tensor] = [graph.inputs[0]: input]
    _ = try graph.evaluate([input]) { node, outputs in
      let alone = try graph.alone(node)
      try alone.verify()
      var seen = Set<ValueID>()
      let arguments = node.inputs.filter { graph.data(of: $0) == nil && seen.insert($0).inserted }.map { values[$0]! }
      #expect(try alone.evaluate(arguments)[0].values == outputs[0].values)
      for (id, tensor) in zip(node.outputs, outputs) { values[id] = tensor }
    }
    #expect(values.count == graph.nodes.count + 1)
  }

  @Test func `the interpreter refuses what the graph does not take`() throws {
    let graph = try graph()
    #expect(throws: GraphError.self) { try graph.evaluate([]) }
    #expect(throws: GraphError.self) { try graph.evaluate([Tensor(zeros: TensorType([1, 2, 4, 5]))]) }
  }

  @Test func `values that a graph does not have are read and computed by nobody`() throws {
    var other = Graph(name: "other")
    let foreign = try (0..<9).map { _ in other.addConstant("c", try Tensor([1], [1])) }.last!
    var graph = Graph(name: "graph")
    let x = graph.addInput("x", TensorType([4]))
    graph.setOutputs([try graph.addNode("y", Activation(.relu), [x])])
    #expect(graph.producer(of: foreign) == nil && graph.users(of: foreign) == [] && graph.users(of: x) == [0])
    graph.setInputs([foreign], ofNode: 0)
    #expect(graph.users(of: x) == [] && graph.producer(of: graph.outputs[0]) == 0)
    #expect(throws: GraphError.self) { try graph.verify() }
  }
}
