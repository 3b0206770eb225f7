import BackendCPU
import Foundation
import GraphCore
import GraphPasses
@testable import ModelFiles
import RuntimeCore
import TensorCore
import Testing

/// A model of one operator at one version, with inputs and what another engine computes of them; see `Cases/README.md`.
struct ONNXCase: Decodable, Sendable, CustomTestStringConvertible {
  let op: String
  let opset: Int
  let `case`: String
  let model: Data
  let inputs: [Data]
  let outputs: [Data]
  let rtol: Double?
  let atol: Double?
  let from: String

  var testDescription: String { "\(op) \(opset): \(`case`)" }

  /// In the order of the file.
  static let all: [ONNXCase] = {
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Cases/ops.jsonl")
    let path = ProcessInfo.processInfo.environment["PACER_ONNX_CASES"] ?? url.path
    guard let data = FileManager.default.contents(atPath: path) else { return [] }
    let all = data.split(separator: UInt8(ascii: "\n")).map { line in
      do { return try JSONDecoder().decode(ONNXCase.self, from: Data(line)) } catch { fatalError("\(error)") }
    }
    // No tensor of Pacer's is of four bits, and what a mask of dropout is where nothing is dropped changed in ONNX Runtime.
    return all.filter {
      !["int4", "uint4"].contains($0.case) && !($0.op == "Dropout" && $0.opset == 10 && $0.case == "mask")
    }
  }()

  /// At the inputs' shapes.
  func graph() throws -> Graph {
    let file = try ONNXFile("\(op)-\(opset).onnx", model)
    let shapes = try zip(file.inputs, tensors(inputs)).map { ($0.name, $1.shape.extents) }
    return try file.graph(Dictionary(uniqueKeysWithValues: shapes))
  }

  /// What Pacer says it does not do: training, and shapes that are known only when something has run.
  var isUnsupported: Bool {
    ["shape as input", "starts as input", "sizes as input"].contains { `case`.hasSuffix($0) }
      || op == "Range" && `case` != "initialisers"
  }

  func tensors(_ list: [Data]) throws -> [Tensor] { try list.map { try Tensor(TensorFile(onnx: $0)) } }

  /// What is wrong with outputs; nil where nothing is.
  func fault(_ found: [Tensor]) throws -> String? {
    let expected = try tensors(outputs)
    guard found.count == expected.count else { return "\(found.count) outputs of \(expected.count)" }
    for (index, (found, expected)) in zip(found, expected).enumerated() {
      guard found.type == expected.type else { return "output \(index) is \(found.type), not \(expected.type)" }
      let (a, b) = (found.doubles, expected.doubles)
      let largest = b.filter(\.isFinite).map(\.magnitude).max() ?? 0
      let allowed = expected.type.dtype.isFloat ? (rtol ?? 1e-5) * largest + (atol ?? 1e-7) : 0
      for (place, (x, y)) in zip(a, b).enumerated() {
        let isSame = x.isNaN && y.isNaN || x == y || (x - y).magnitude <= allowed
        if !isSame { return "output \(index) at \(place): \(x), not \(y)" }
      }
    }
    return nil
  }
}

@Suite struct ONNXCaseTests {
  @Test func casesAreThere() { #expect(ONNXCase.all.count > 400) }

  @Test(arguments: ONNXCase.all.filter(\.isUnsupported)) func unsupported(_ given: ONNXCase) throws {
    #expect(throws: Unsupported.self) { try given.graph() }
  }

  @Test(arguments: ONNXCase.all.filter { !$0.isUnsupported }) func oracle(_ given: ONNXCase) throws {
    let graph = try given.graph()
    try graph.verify()
    try graph.verifyWeights()
    let results = try graph.evaluate(given.tensors(given.inputs)).map { try $0.actual.converted(to: .nchw) }
    #expect(try given.fault(results) == nil)
  }

  /// Through every pass, on the kernels of this machine.
  @Test(arguments: ONNXCase.all.filter { !$0.isUnsupported }) func kernels(_ given: ONNXCase) throws {
    let backend = CPUBackend()
    let options = PrepareOptions(allocator: .arena)
    let graph = try Pipeline(standardPasses).run(on: given.graph(), for: backend.target(options)).graph
    let session = try backend.prepare(graph, options).makeSession()
    for _ in 0..<2 {
      for (input, tensor) in try zip(session.inputs, given.tensors(given.inputs)) { input.write(tensor) }
      try session.run()
    }
    #expect(try given.fault(session.outputs.map { try $0.actual.converted(to: .nchw) }) == nil)
  }
}
