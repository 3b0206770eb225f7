import Foundation
import GraphCore
@testable import ModelFiles
import TensorCore
import Testing

/// Operators with graphs inside, beyond the cases of `ONNXCaseTests`.
@Suite struct ONNXControlTests {
  private func node(_ op: String, _ inputs: [String], _ outputs: [String]) -> Pacer_Onnx_Node {
    var node = Pacer_Onnx_Node()
    (node.opType, node.input, node.output, node.name) = (op, inputs, outputs, outputs[0] + "-node")
    return node
  }

  private func port(_ name: String, _ extents: [Int], _ kind: DType = .float32) -> Pacer_Onnx_ValueInfo {
    var info = Pacer_Onnx_ValueInfo()
    info.name = name
    info.type.tensorType.elemType = kind.onnx
    info.type.tensorType.shape.dim = extents.map { extent in
      var dimension = Pacer_Onnx_TensorShape.Dimension()
      dimension.dimValue = Int64(extent)
      return dimension
    }
    return info
  }

  private func body(_ nodes: [Pacer_Onnx_Node], _ outputs: [String]) -> Pacer_Onnx_Graph {
    var graph = Pacer_Onnx_Graph()
    (graph.name, graph.node, graph.output) = ("body", nodes, outputs.map { port($0, []) })
    return graph
  }

  private func attribute(_ name: String, _ graph: Pacer_Onnx_Graph) -> Pacer_Onnx_Attribute {
    var attribute = Pacer_Onnx_Attribute()
    (attribute.name, attribute.g) = (name, graph)
    return attribute
  }

  private func choice(_ then: Pacer_Onnx_Graph, _ otherwise: Pacer_Onnx_Graph) -> Pacer_Onnx_Node {
    var node = node("If", ["c"], ["y"])
    node.attribute = [attribute("then_branch", then), attribute("else_branch", otherwise)]
    return node
  }

  private func read(_ nodes: [Pacer_Onnx_Node], shape: [Int64]? = nil) throws -> Graph {
    var model = Pacer_Onnx_Model()
    var opset = Pacer_Onnx_OperatorSet()
    opset.version = 17
    model.opsetImport = [opset]
    model.graph.node = nodes
    model.graph.input = [port("c", [], .bool), port("x", [4]), port("z", [4])]
    model.graph.output = [port("y", [])]
    if let shape {
      var tensor = Pacer_Onnx_Tensor()
      (tensor.name, tensor.dataType, tensor.dims, tensor.int64Data) = (
        "shape", DType.int64.onnx, [Int64(shape.count)], shape
      )
      model.graph.initializer = [tensor]
    }
    let graph = try ONNXFile("control.onnx", model.serializedData()).graph()
    try graph.verify()
    return graph
  }

  private func run(_ graph: Graph, _ condition: Bool) throws -> [Float] {
    try graph.evaluate([
      try Tensor([], elements: [condition]), try Tensor([4], [1, -2, 3, -4]), try Tensor([4], [9, 8, 7, 6]),
    ])[0].values
  }

  @Test func `a branch that cannot be at these shapes is an error when it is taken`() throws {
    let impossible = body([node("Reshape", ["x", "shape"], ["a"])], ["a"])
    let possible = body([node("Neg", ["x"], ["b"])], ["b"])
    let graph = try read([choice(impossible, possible)], shape: [3])
    #expect(try run(graph, false) == [-1, 2, -3, 4])
    #expect { try run(graph, true) } throws: { "\($0)".contains("a-node (Reshape)") }
    #expect(throws: BadFile.self) { try read([choice(impossible, impossible)], shape: [3]) }
  }

  @Test func `both branches read one list, whichever reads what first`() throws {
    let graph = try read([
      choice(body([node("Sub", ["x", "z"], ["a"])], ["a"]), body([node("Sub", ["z", "x"], ["b"])], ["b"]))
    ])
    #expect(try run(graph, true) == [-8, -10, -4, -10] && run(graph, false) == [8, 10, 4, 10])
    let only = try read([
      choice(body([node("Neg", ["x"], ["a"])], ["a"]), body([node("Neg", ["z"], ["b"])], ["b"]))
    ])
    #expect(try run(only, true) == [-1, 2, -3, 4] && run(only, false) == [-9, -8, -7, -6])
    #expect(only.nodes[0].inputs.count == 3)
  }

  @Test func `outer values are outputs, and extents that are known only at run time are captured`() throws {
    let handed = try read([choice(body([], ["x"]), body([], ["z"]))])
    #expect(try run(handed, true) == [1, -2, 3, -4] && run(handed, false) == [9, 8, 7, 6])
    // [1, count], as floats.
    let found = [
      node("Relu", ["x"], ["r"]), node("NonZero", ["r"], ["n"]), node("CastLike", ["n", "x"], ["f"]),
    ]
    let bounded = try read(
      found + [choice(body([node("Neg", ["f"], ["a"])], ["a"]), body([node("Abs", ["f"], ["b"])], ["b"]))])
    #expect(bounded[bounded.outputs[0]].type.isUpperBound)
    #expect(try run(bounded, true) == [0, -2] && run(bounded, false) == [0, 2])
  }

  @Test func `branches of other types are named`() throws {
    #expect {
      try read([choice(body([node("IsNaN", ["x"], ["a"])], ["a"]), body([node("Neg", ["z"], ["b"])], ["b"]))])
    } throws: {
      $0 is Unsupported && "\($0)".contains("y-node (If)") && "\($0)".contains("bool[4]")
    }
  }
}
