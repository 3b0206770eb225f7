import Foundation
import GraphCore
import ModelFiles
import ModelZoo
import Pacer
import TensorCore
import Testing

@Suite struct ExplicitQuantizationTests {
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
