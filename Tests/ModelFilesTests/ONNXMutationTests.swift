import Foundation
import GraphCore
@testable import ModelFiles
import TensorCore
import Testing

/// Files that are wrong in one place: they are errors, or graphs that are right after all.
@Suite struct ONNXMutationTests {
  /// The same sequence each time.
  private struct Generator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state ^ state >> 29
    }
  }

  private static let numbers: [Int64] = [
    0, 1, -1, 2, 3, -2, 7, -100, 100, 1 << 31, 1 << 40, -(1 << 40), .max, .min, .max - 1, .min + 1,
  ]

  private func mutate(_ model: inout Pacer_Onnx_Model, _ generator: inout Generator) {
    func number() -> Int64 { Self.numbers.randomElement(using: &generator)! }
    guard let index = model.graph.node.indices.randomElement(using: &generator) else { return }
    switch Int.random(in: 0..<6, using: &generator) {
    case 0, 1:
      guard let place = model.graph.node[index].attribute.indices.randomElement(using: &generator) else { return }
      var attribute = model.graph.node[index].attribute[place]
      attribute.i = number()
      attribute.f = [0, -1, .infinity, .nan, 1e30].randomElement(using: &generator)!
      attribute.s = Data("x".utf8)
      if let entry = attribute.ints.indices.randomElement(using: &generator) { attribute.ints[entry] = number() }
      if Bool.random(using: &generator), !attribute.ints.isEmpty { attribute.ints.removeLast() }
      if !attribute.floats.isEmpty { attribute.floats.removeLast() }
      if !attribute.strings.isEmpty { attribute.strings.removeLast() }
      model.graph.node[index].attribute[place] = attribute
    case 2:
      if let place = model.graph.node[index].input.indices.randomElement(using: &generator) {
        let others = model.graph.node[index].input + [""]
        model.graph.node[index].input[place] = others.randomElement(using: &generator)!
      }
    default:
      guard let place = model.graph.initializer.indices.randomElement(using: &generator) else { return }
      var tensor = model.graph.initializer[place]
      let count = Int.random(in: 0...3, using: &generator)
      switch Int.random(in: 0..<3, using: &generator) {
      case 0 where tensor.dataType == 7:
        (tensor.int64Data, tensor.rawData, tensor.dims) = ((0..<count).map { _ in number() }, Data(), [Int64(count)])
      case 1:
        (tensor.int64Data, tensor.rawData, tensor.dims, tensor.dataType) = ([number()], Data(), [], 7)
      default: tensor.dims = tensor.dims.isEmpty ? [1] : tensor.dims.reversed() + [1]
      }
      model.graph.initializer[place] = tensor
    }
  }

  @Test(arguments: ONNXCase.all) func `what is wrong is an error`(_ given: ONNXCase) throws {
    var generator = Generator(state: given.testDescription.utf8.reduce(7) { $0 &* 31 &+ UInt64($1) })
    let whole = try Pacer_Onnx_Model(serializedBytes: given.model)
    for _ in 0..<12 {
      var model = whole
      mutate(&model, &generator)
      if Bool.random(using: &generator) { mutate(&model, &generator) }
      guard let file = try? ONNXFile("mutant.onnx", model.serializedData()) else { continue }
      var shapes = Dictionary(
        try zip(file.inputs, given.tensors(given.inputs)).map { ($0.name, $1.shape.extents) }
      ) { first, _ in first }
      if Int.random(in: 0..<4, using: &generator) == 0, let name = shapes.keys.sorted().first {
        shapes[name]!.append(Int.random(in: 0...3, using: &generator))
      }
      guard let graph = try? file.graph(shapes) else { continue }
      let count = graph.values.reduce(0) { $0 + $1.type.shape.count }
      // A loop may be as long as it likes.
      guard count < 1 << 20, graph.macs < 1 << 24, !graph.nodes.contains(where: { $0.op is Loop }) else { continue }
      let arguments = try graph.inputs.map { try Tensor(zeros: graph[$0].type) }
      for (tensor, old) in try zip(arguments, given.tensors(given.inputs)) {
        if tensor.type == old.type { tensor.write(old) }
        if !tensor.type.dtype.isFloat, Int.random(in: 0..<3, using: &generator) == 0 {
          let values = (0..<tensor.shape.count).map { _ in Self.numbers.randomElement(using: &generator)! }
          tensor.write(try Tensor(tensor.shape, values, tensor.type.dtype))
        }
      }
      _ = try? graph.evaluate(arguments)
    }
  }
}
