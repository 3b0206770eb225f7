import Foundation
import GraphCore
import ModelFiles
import ModelZoo
import Pacer
import TensorCore
import Testing

@Suite struct ExplicitQuantizationTests {
  @Test func `a layer whose ranges are found as it runs is written as ONNX's own ops, to the bit`() throws {
    var graph = Graph(name: "dynamic")
    let x = graph.addInput("x", TensorType([2, 3, 4]))
    let scales = Quantization(scales: [0.01, 0.02, 0.005], axis: 0)
    let weight = try Tensor(
      quantized: [3, 4], (0..<12).map { Int64(($0 &* 53) % 255) - 127 }, StoredType(dtype: .int8, quantization: scales))
    let bias = graph.addConstant("b", try Tensor([3], [0.1, -0.2, 0.3] as [Float]))
    let first = try graph.addNode("first", DynamicLinear(epilogue: .relu), [x, graph.addConstant("w", weight), bias])
    let square = try Tensor(quantized: [2, 3], [127, -127, 5, 0, -1, 64], StoredType(.int8, scale: 0.03))
    graph.setOutputs([try graph.addNode("second", DynamicLinear(), [first, graph.addConstant("v", square)])])
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("dynamic-\(UUID()).onnx")
    defer { try? FileManager.default.removeItem(at: url) }
    try ONNXWriter.write(graph).write(to: url)
    let read = try ONNXFile(url.path).graph([:])
    #expect(read.nodes.count { $0.op is DynamicQuantizeLinear } == 2)
    #expect(read.nodes.count { $0.op is MatMulInteger } == 2)
    for scale in [1, -0.3, 1e-3] as [Float] {
      let input = try Tensor([2, 3, 4], (0..<24).map { Float(($0 &* 29) % 23 - 9) * scale })
      #expect(try read.evaluate([input])[0].digest == graph.evaluate([input])[0].digest)
    }
    // And is found again in the file.
    let target = try CPUBackend().target(PrepareOptions())
    let again = try Pipeline([RecogniseQuantised(), FuseActivation()]).run(on: read, for: target).graph
    #expect(again.nodes.map(\.op.name) == ["dynamic_linear", "dynamic_linear"], "\(again)")
    #expect(again.nodes.map { ($0.op as? DynamicLinear)?.epilogue } == [.relu, nil])
    #expect(again.nodes.map(\.name).last == "second" && read[read.outputs[0]].name == graph[graph.outputs[0]].name)
    #expect(again[again.nodes[0].inputs[1]].type.quantization?.scales.count == 3)
    let input = try Tensor([2, 3, 4], (0..<24).map { Float(($0 &* 29) % 23 - 9) })
    #expect(try again.evaluate([input])[0].digest == graph.evaluate([input])[0].digest)
  }

  @Test(arguments: [ModelDescription.mobileNetV2, .resNet18])
  func `a network in int8 comes back from ONNX with its integers`(_ model: ModelDescription) throws {
    let work = try ModelInput(model, shape: [1, 3, 32, 32])
    let target = try CPUBackend().target(PrepareOptions())
    let graph = try Pipeline(standardPasses.filter { !$0.isForTarget } + [QuantizeInt8()], checksNumbers: false)
      .run(on: work.graph, for: target, samples: [[work.input]]).graph
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("int8-\(UUID()).onnx")
    defer { try? FileManager.default.removeItem(at: url) }
    try ONNXWriter.write(graph).write(to: url)
    let read = try ONNXFile(url.path).graph([:])
    let products = graph.nodes.count { graph.cost(of: $0).macs > 0 }
    // A weight and a bias of each, and the tensors in between.
    #expect(read.nodes.count { $0.op is DequantizeLinear } > 2 * products)
    let narrow = graph.nodes.count { graph[$0.outputs[0]].type.quantization != nil }
    #expect(read.nodes.count { $0.op is QuantizeLinear } == narrow)
    // Sums are rounded there, and now and then an integer is the next one.
    let (found, expected) = (try read.evaluate([work.input])[0], try graph.evaluate([work.input])[0])
    #expect(found.relativeError(to: expected) < 0.05)
    // And is on integers again, all of it.
    let (again, reports) = try Pipeline([RecogniseQuantised()], checksNumbers: false).run(on: read, for: target)
    #expect(again.nodes.count { Node.sumsIntegers($0.op, again.inputTypes(of: $0)) } == products)
    #expect(!again.nodes.contains { $0.op is QuantizeLinear || $0.op is DequantizeLinear })
    #expect(reports[0].rewrites > products)
    #expect(try again.evaluate([work.input])[0].relativeError(to: expected) < 0.05)
  }
}
