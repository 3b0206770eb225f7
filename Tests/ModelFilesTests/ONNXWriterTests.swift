import GraphCore
@testable import ModelFiles
import TensorCore
import Testing

/// What is written, where reading it again does not tell.
@Suite struct ONNXWriterTests {
  private func model(_ graph: Graph) throws -> Pacer_Onnx_Model {
    try Pacer_Onnx_Model(serializedBytes: ONNXWriter.write(graph))
  }

  @Test func `each name is there once, and callers find theirs`() throws {
    var graph = Graph(name: "names")
    let x = graph.addInput("a", TensorType([2]))
    let weight = graph.addConstant("a", try Tensor([2], [1, 2]))
    let sum = try graph.addNode("a", Binary(.add), [x, weight])
    let root = try graph.addNode("a", Unary(.squareRoot), [sum])
    graph[root].name = "result"
    graph.setOutputs([root, root, x, weight])
    let written = try model(graph).graph
    #expect(written.input.map(\.name) == ["a"])
    #expect(written.output.map(\.name)[0] == "result")
    let defined = written.input.map(\.name) + written.initializer.map(\.name) + written.node.flatMap(\.output)
    #expect(Set(defined).count == defined.count, "\(defined)")
    #expect(written.output.allSatisfy { output in written.node.contains { $0.output == [output.name] } })
  }

  @Test func `the operator set is the oldest that does`() throws {
    func version(_ op: any Op, _ type: TensorType) throws -> Int64 {
      var graph = Graph(name: "one")
      graph.setOutputs([try graph.addNode("y", op, [graph.addInput("x", type)])])
      return try model(graph).opsetImport[0].version
    }
    #expect(try version(Unary(.exp), TensorType([2])) == 13)
    #expect(try version(Reduce(.mean, axes: [0]), TensorType([2])) == 18)
    #expect(try version(Unary(.gelu(isApproximate: true)), TensorType([2])) == 20)
  }

  @Test func `one operator computes on 16 bits as ours does, and several on 32 between casts`() throws {
    func nodes(_ op: any Op, _ dtype: DType) throws -> [String] {
      var graph = Graph(name: "narrow")
      let x = graph.addInput("x", TensorType([2], dtype))
      graph.setOutputs([try graph.addNode("y", op, [x], stored: StoredType(dtype: dtype, quantization: nil))])
      return try model(graph).graph.node.map(\.opType)
    }
    #expect(try nodes(Unary(.exp), .float16) == ["Exp"])
    #expect(try nodes(Unary(.exp), .bfloat16) == ["Cast", "Exp", "Cast"])
    #expect(try nodes(Unary(.swish(alpha: 1)), .float16) == ["Cast", "Sigmoid", "Mul", "Cast"])
  }

  @Test func `extents that are known after a run have names`() throws {
    var graph = Graph(name: "bound")
    graph.setOutputs([try graph.addNode("places", NonZero(), [graph.addInput("x", TensorType([2, 3]))])])
    let extents = try model(graph).graph.output[0].type.tensorType.shape.dim
    #expect(extents.map(\.dimParam) == ["places.0", "places.1"])
  }

  @Test func `what ONNX has no word for, or no room, is an error that says so`() throws {
    struct Own: Op {
      static let name = "own"
      func outputTypes(for inputs: [TensorType]) -> [TensorType] { inputs }
      func evaluate(_ inputs: [Tensor]) -> [Tensor] { inputs }
    }
    var graph = Graph(name: "own")
    let x = graph.addInput("x", TensorType([2]))
    graph.setOutputs([try graph.addNode("mine", Own(), [x])])
    #expect { try ONNXWriter.write(graph) } throws: { "\($0)" == "mine: ONNX export knows no own" }

    // Memory that nobody touches, eight times over.
    var large = Graph(name: "large")
    let weight = try Tensor(uninitialized: TensorType([1 << 26]))
    large.setOutputs((0..<8).map { large.addConstant("w\($0)", weight) })
    #expect { try ONNXWriter.write(large) } throws: { "\($0)".contains("2048 MiB of weights") }
  }
}
