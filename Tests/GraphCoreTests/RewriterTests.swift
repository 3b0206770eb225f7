import GraphCore
import TensorCore
import Testing

@Suite struct RewriterTests {
  private func chain() throws -> Graph {
    var graph = Graph(name: "chain")
    let x = graph.addInput("x", TensorType([1, 4]))
    let a = try graph.addNode("a", Activation(.relu), [x])
    let b = try graph.addNode("b", Activation(.relu6), [a])
    let c = try graph.addNode("c", Binary(.add), [b, b])
    graph.setOutputs([c, b])
    return graph
  }

  private func handle(_ name: String, in graph: Rewriter) -> Rewriter.Handle {
    graph.handles.first { graph[$0]!.name == name }!
  }

  @Test func `producers and users are those of the nodes, through every change`() throws {
    var graph = try chain()
    func check(_ graph: Rewriter) {
      let nodes = graph.handles.map { graph[$0]! }
      for id in Set(graph.inputs + nodes.flatMap { $0.inputs + $0.outputs }) {
        #expect(graph.producer(of: id).map { graph[$0]!.name } == nodes.first { $0.outputs.contains(id) }?.name)
        #expect(
          Set(graph.users(of: id).map { graph[$0]!.name }) == Set(nodes.filter { $0.inputs.contains(id) }.map(\.name)))
        let reads = nodes.reduce(0) { $0 + $1.inputs.count { $0 == id } }
        #expect(graph.uses(of: id) == reads + graph.outputs.count { $0 == id })
        #expect((graph.onlyUser(of: id) != nil) == (graph.uses(of: id) == 1 && reads == 1))
      }
    }
    try graph.rewrite { graph in
      check(graph)
      let (a, b, c) = (handle("a", in: graph), handle("b", in: graph), handle("c", in: graph))
      let new = try graph.insert("new", Activation(.relu), [graph[a]!.outputs[0]], before: b, placed: nil)
      check(graph)
      graph.replaceUses(of: graph[a]!.outputs[0], with: new, in: b)
      check(graph)
      graph.update(c) { $0.inputs[0] = new }
      check(graph)
      graph.remove(b, readersRead: new)
      check(graph)
      #expect(graph[b] == nil && graph.handles.map { graph[$0]!.name } == ["a", "new", "c"])
    }
    try graph.verify()
    #expect(
      graph.description == """
        graph chain
          input %x : f32[1x4]
          %a = activation(%x) {clamp=relu} : f32[1x4]
          %new = activation(%a) {clamp=relu} : f32[1x4]
          %c = add(%new, %new) : f32[1x4]
          return %c, %new

        """)
  }

  @Test func `several nodes become one in the place of the last`() throws {
    var graph = Graph(name: "fused")
    let x = graph.addInput("x", TensorType([1, 4]))
    let a = try graph.addNode("a", Activation(.relu), [x])
    let side = try graph.addNode("side", Activation(.relu6), [x])
    let b = try graph.addNode("b", Binary(.add), [a, side])
    graph.setOutputs([try graph.addNode("c", Activation(.relu), [b]), b])
    graph.place(2, on: 1)
    try graph.rewrite { graph in
      try graph.fuse([handle("a", in: graph), handle("b", in: graph)], into: Binary(.add, epilogue: .relu), [x, side])
    }
    try graph.verify()
    #expect(graph.nodes.map(\.name) == ["side", "b", "c"] && graph.nodes[1].placed == 1)
    #expect(graph.outputs[1] == graph.nodes[1].outputs[0])
  }

  @Test func `after an error the graph is as it was`() throws {
    var graph = try chain()
    let before = graph.description
    #expect(throws: GraphError.self) {
      try graph.rewrite { graph in
        graph.remove(handle("a", in: graph), readersRead: graph.inputs[0])
        try graph.insert("wrong", Binary(.add), [graph.inputs[0]], before: nil, placed: nil)
      }
    }
    #expect(graph.description == before)
    try graph.verify()
  }

  @Test func `weights are constants or entries of the weight map, as the one beside them`() throws {
    var graph = Graph(name: "weights")
    let x = graph.addInput("x", TensorType([1, 4]))
    let constant = graph.addConstant("constant", try Tensor([1, 4], [1, 2, 3, 4]))
    let parameter = graph.addParameter("parameter", TensorType([1, 4]))!
    graph.weights["parameter"] = try Tensor([1, 4], [5, 6, 7, 8])
    let sum = try graph.addNode("sum", Binary(.add), [constant, parameter])
    graph.setOutputs([try graph.addNode("all", Binary(.add), [sum, x])])
    let (fixed, named) = try graph.rewrite { graph in
      graph.setData(of: constant, to: try Tensor([1, 4], [0, 0, 0, 0]))
      graph.setData(of: parameter, to: try Tensor([1, 4], [1, 1, 1, 1]))
      let new = try Tensor([1, 4], [2, 2, 2, 2])
      return (graph.addWeight("fixed", new, like: constant), graph.addWeight("named", new, like: parameter))
    }
    #expect(graph.data(of: fixed)?.values == [2, 2, 2, 2] && graph.weights["fixed"] == nil)
    #expect(graph.data(of: named)?.values == graph.weights["named"]?.values && graph.weights["named"] != nil)
    #expect(try graph.evaluate([Tensor(zeros: TensorType([1, 4]))])[0].values == [1, 1, 1, 1])
    try graph.verify()
  }
}
