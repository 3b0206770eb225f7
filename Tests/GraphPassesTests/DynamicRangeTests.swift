import GraphCore
@testable import ModelFiles
import Pacer
import TensorCore
import Testing

/// int8 with ranges that each inference finds.
@Suite struct DynamicRangeTests {
  /// Two linear layers of three rows, with a SiLU and a clamp, behind a convolution.
  private func rows() throws -> (graph: Graph, input: Tensor) {
    var graph = Graph(name: "rows")
    let x = graph.addInput("x", TensorType([1, 1, 3, 4]))
    let filter = graph.addConstant("w0", try Tensor([1, 1, 1, 1], [0.7] as [Float]))
    let image = try graph.addNode("conv", Conv2D(), [x, filter])
    let rows = try graph.addNode("reshape", Reshape([.fixed(3), .fixed(4)]), [image])
    func weight(_ name: String, _ shape: Shape) throws -> ValueID {
      graph.addConstant(name, try Tensor(shape, (0..<shape.count).map { Float(($0 &* 37) % 19) / 19 - 0.5 }))
    }
    let wide = try graph.addNode(
      "wide", Linear(epilogue: .silu), [rows, weight("w1", [6, 4]), weight("b1", [6])])
    graph.setOutputs([try graph.addNode("narrow", Linear(epilogue: .relu), [wide, weight("w2", [5, 6])])])
    return (graph, try Tensor([1, 1, 3, 4], (0..<12).map { Float($0) / 3 - 1.5 }))
  }

  @Test func `ranges that each inference finds need no samples, and are of linear layers`() throws {
    let (plain, input) = try rows()
    var options = QuantizeInt8.Options()
    options.observer = .dynamic
    struct Asked: Error {}
    let pass = QuantizeInt8(options, observing: Observation(samples: { _ in throw Asked() }))
    let target = try CPUBackend().target(PrepareOptions())
    let (graph, reports) = try Pipeline([pass]).run(on: plain, for: target)
    #expect(reports[0].rewrites == 2)
    #expect(
      graph.nodes.map { "\($0.name) \($0.op.name)" } == [
        "conv conv2d", "reshape reshape", "wide dynamic_linear", "narrow dynamic_linear",
      ])
    #expect(graph[graph.nodes[2].inputs[1]].type.dtype == .int8)
    #expect(graph[graph.nodes[2].inputs[2]].type.dtype == .float32)
    let (found, expected) = (try graph.evaluate([input])[0], try plain.evaluate([input])[0])
    #expect(found.relativeError(to: expected) < 0.02)
    #expect(found.values != expected.values)
    // The float32 weights are gone.
    #expect(!graph.values.contains { $0.type == TensorType([6, 4]) || $0.type == TensorType([5, 6]) })
    #expect(graph.weightBytes < plain.weightBytes)
    options.kept = ["narrow"]
    let kept = try Pipeline([QuantizeInt8(options)]).run(on: plain, for: target).graph
    #expect(kept.nodes.last?.op is Linear && kept.nodes[2].op is DynamicLinear)
    options.activationBits = 7
    #expect(throws: Unsupported.self) { try Pipeline([QuantizeInt8(options)]).run(on: plain, for: target) }
  }

  @Test func `a weight that two layers read is one in integers too`() throws {
    var graph = Graph(name: "shared")
    let x = graph.addInput("x", TensorType([2, 4]))
    let weight = graph.addConstant("w", try Tensor([4, 4], (0..<16).map { Float(($0 &* 7) % 11) / 11 - 0.5 }))
    let y = try graph.addNode("a", Linear(), [x, weight])
    graph.setOutputs([try graph.addNode("b", Linear(), [y, weight])])
    var options = QuantizeInt8.Options()
    options.observer = .dynamic
    let found = try Pipeline([QuantizeInt8(options)]).run(on: graph, for: CPUBackend().target(PrepareOptions())).graph
    #expect(found.nodes[0].inputs[1] == found.nodes[1].inputs[1] && found.weightBytes < graph.weightBytes)
  }

  @Test func `recurrent layers find the ranges of their input and of each state`() throws {
    var options = QuantizeInt8.Options()
    options.observer = .dynamic
    for kind in [Recurrent.Kind.lstm(couplesGates: false), .gru(resetsProduct: true), .rnn] {
      var graph = Graph(name: "recurrent")
      func weight(_ name: String, _ shape: Shape) throws -> ValueID {
        graph.addConstant(name, try Tensor(shape, (0..<shape.count).map { Float(($0 &* 37) % 19) / 19 - 0.5 }))
      }
      let x = graph.addInput("x", TensorType([4, 1, 6]))
      let op = Recurrent(kind, direction: .bidirectional, given: .bias)
      let rows = kind.gates * 5
      graph.setOutputs(
        try graph.addNodes(
          "layer", op, [x, weight("w", [2, rows, 6]), weight("r", [2, rows, 5]), weight("b", [2, 2 * rows])],
          stored: nil))
      let target = try CPUBackend().target(PrepareOptions())
      let found = try Pipeline([QuantizeInt8(options)]).run(on: graph, for: target).graph
      #expect(found.nodes.map(\.op.name) == ["dynamic_" + op.name])
      #expect(found[found.nodes[0].inputs[1]].type.shape == [2 * rows, 6])
      let input = try Tensor([4, 1, 6], (0..<24).map { Float(($0 &* 29) % 23) / 10 - 1 })
      let expected = try graph.evaluate([input])
      for (a, b) in zip(try found.evaluate([input]), expected) { #expect(a.relativeError(to: b) < 0.03) }
      // ONNX has no such layer: its weights stay integers there.
      let read = try ONNXFile("again.onnx", ONNXWriter.write(found)).graph()
      #expect(read.nodes.contains { $0.op is Recurrent } && read.nodes.count { $0.op is DequantizeLinear } == 2)
      for (a, b) in zip(try read.evaluate([input]), expected) { #expect(a.relativeError(to: b) < 0.03) }
    }
  }
}
