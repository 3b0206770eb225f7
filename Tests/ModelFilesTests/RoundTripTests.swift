import BackendCPU
import Foundation
import GraphCore
import GraphPasses
@testable import ModelFiles
import RuntimeCore
import TensorCore
import Testing

/// Models that are read, written and read again compute the same.
@Suite struct RoundTripTests {
  /// The largest difference of two lists of outputs over the largest value; a sentence where they are of other types.
  private func fault(_ found: [Tensor], _ expected: [Tensor], _ tolerance: Double) throws -> String? {
    let (found, expected) = try (
      found.map { try $0.actual.converted(to: .nchw) }, expected.map { try $0.actual.converted(to: .nchw) }
    )
    guard found.map(\.type) == expected.map(\.type) else { return "\(found.map(\.type)), not \(expected.map(\.type))" }
    for (index, (found, expected)) in zip(found, expected).enumerated() {
      let largest = expected.doubles.filter(\.isFinite).map(\.magnitude).max() ?? 0
      for (a, b) in zip(found.doubles, expected.doubles) {
        let isSame = a == b || a.isNaN && b.isNaN || (a - b).magnitude <= tolerance * largest
        if !isSame { return "output \(index): \(a), not \(b)" }
      }
    }
    return nil
  }

  private func written(_ graph: Graph) throws -> Graph {
    let again = try ONNXFile("again.onnx", ONNXWriter.write(graph)).graph()
    try again.verify()
    try again.verifyWeights()
    #expect(again.inputs.map { again[$0].name } == graph.inputs.map { graph[$0].name })
    return again
  }

  @Test(arguments: ONNXCase.all.filter { !$0.isUnsupported }) func oracle(_ given: ONNXCase) throws {
    let (graph, inputs) = (try given.graph(), try given.tensors(given.inputs))
    let expected = try graph.evaluate(inputs)
    #expect(try fault(written(graph).evaluate(inputs), expected, 1e-6) == nil)
  }

  /// Of what passes make of a graph, those for a target among them: ONNX has no memory formats, and everything else.
  @Test(arguments: ONNXCase.all.filter { !$0.isUnsupported }) func passes(_ given: ONNXCase) throws {
    let inputs = try given.tensors(given.inputs)
    let target = try CPUBackend().target(PrepareOptions())
    let graph = try Pipeline(standardPasses, checksNumbers: false).run(on: given.graph(), for: target).graph
    let expected = try graph.evaluate(inputs)
    #expect(try fault(written(graph).evaluate(inputs), expected, 1e-4) == nil)
  }
}
