import BackendCPU
import Foundation
import GraphCore
@testable import ModelFiles
import RuntimeCore
import TensorCore
import TestSupport
import Testing

/// Damaged ONNX files: each is an error that names the file or the node, or a graph that can be planned.
@Suite struct ONNXFuzzTests {
  /// Every so many cases one is damaged: all kinds of operators, attributes and bodies are among them.
  private static let models = ONNXCase.all.enumerated().filter { $0.offset % 23 == 0 }.map(\.element)

  @Test func `a damaged model is an error or a sound graph`() throws {
    let each = max(1, Mutations.count(600) / max(Self.models.count, 1))
    var (read, refused) = (0, 0)
    for (index, given) in Self.models.enumerated() {
      for mutation in Mutations(of: given.model, seed: UInt64(index + 1), count: each) {
        do {
          let file = try ONNXFile("damaged.onnx", mutation.data)
          // What the file leaves open may be anything that its inputs' ranks allow.
          let open = file.inputs.filter { !$0.isFixed }.map { port in
            (port.name, port.extents.map { if case .fixed(let extent) = $0 { extent } else { 2 } })
          }
          let graph = try file.graph(Dictionary(open) { first, _ in first })
          try graph.verify()
          // As the worker does before it plans.
          guard graph.largestByteCount <= 1 << 28 else { throw GraphError("more than a test may take") }
          let plan = try Placer(CPUBackend(), PrepareOptions()).plan(graph).plan
          #expect(plan.leastBytes >= 0, "\(given.testDescription), \(mutation.description)")
          read += 1
        } catch {
          let text = "\(error)"
          let isOwn = error is BadFile || error is Unsupported || error is GraphError || error is MissingWeight
          #expect(isOwn && !text.isEmpty, "\(given.testDescription), \(mutation.description): \(text)")
          refused += 1
        }
      }
    }
    // Some damage does no harm, and some does.
    #expect(read > 0 && refused > 0)
  }
}
