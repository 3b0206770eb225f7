import BenchStatistics
import GraphCore
import TensorCore
import Testing

/// Ops on integers that stand for numbers: to the bit where sums are exact, by the numbers elsewhere.
@Suite struct QuantisedGraphTests {
  private func integers(_ shape: Shape, _ stored: StoredType, _ draw: inout SeededGenerator) throws -> Tensor {
    let range: ClosedRange<Int64> =
      stored.dtype == .uint8 ? 0...255 : stored.dtype == .int8 ? -127...127 : -3000...3000
    return try Tensor(
      quantized: shape, (0..<shape.count).map { _ in Int64.random(in: range, using: &draw) }, stored)
  }

  /// What a convolution of quantised tensors is, written out again: with loops over everything.
  private func expected(
    _ x: Tensor, _ weight: Tensor, _ bias: Tensor?, _ op: Conv2D, _ stored: StoredType
  ) throws -> [Int64] {
    let (input, filter, result) = (x.type.quantization!, weight.type.quantization!, stored.quantization!)
    let (xs, ws, bs) = (try x.allIntegers(), try weight.allIntegers(), try bias?.allIntegers())
    let (size, kernel) = (x.shape, weight.shape)
    let height = (size[2] + 2 * op.padding.top - kernel[2]) / op.stride.h + 1
    let width = (size[3] + 2 * op.padding.left - kernel[3]) / op.stride.w + 1
    let perGroup = kernel[0] / op.groups
    var integers: [Int64] = []
    for n in 0..<size[0] {
      for o in 0..<kernel[0] {
        let own = filter.axis == nil ? 0 : o
        let multiplier = input.scales[0] * filter.scales[own] / result.scales[0]
        for y in 0..<height {
          for z in 0..<width {
            var sum = bs?[o] ?? 0
            for c in 0..<kernel[1] {
              for ky in 0..<kernel[2] {
                for kx in 0..<kernel[3] {
                  let (iy, ix) = (y * op.stride.h + ky - op.padding.top, z * op.stride.w + kx - op.padding.left)
                  guard (0..<size[2]).contains(iy), (0..<size[3]).contains(ix) else { continue }
                  let channel = o / perGroup * kernel[1] + c
                  let a = xs[((n * size[1] + channel) * size[2] + iy) * size[3] + ix] - Int64(input.zeroPoints[0])
                  let b = ws[((o * kernel[1] + c) * kernel[2] + ky) * kernel[3] + kx] - Int64(filter.zeroPoints[own])
                  sum += a * b
                }
              }
            }
            let zero = Float(result.zeroPoints[0])
            var real = (Float(sum) * multiplier).rounded(.toNearestOrEven) + zero
            let limits: (Float, Float) = stored.dtype == .uint8 ? (0, 255) : (-128, 127)
            real = min(max(real, limits.0), limits.1)
            if op.epilogue == .relu6 {
              real = min(max(real, zero), min(limits.1, (6 / result.scales[0]).rounded(.toNearestOrEven) + zero))
            }
            integers.append(Int64(real))
          }
        }
      }
    }
    return integers
  }

  @Test func `a convolution of integers is exact, then rounded once`() throws {
    var draw = SeededGenerator(seed: 9)
    for round in 0..<60 {
      let groups = [1, 1, 2, 4][round % 4]
      let (channels, outputs, side) = (4, 8, 3 + round % 5)
      let kernel = round % 3 == 0 ? 1 : 3
      let isPerChannel = round % 2 == 0
      let op = Conv2D(
        stride: Pair(1 + round % 2, 1), padding: kernel == 3 ? 1 : 0, groups: groups,
        epilogue: round % 5 == 0 ? .relu6 : nil)
      let input = StoredType(round % 3 == 1 ? .int8 : .uint8, scale: 0.037, zeroPoint: round % 3 == 1 ? -5 : 113)
      let scales = (0..<outputs).map { 0.003 + 0.001 * Float($0) }
      let filter =
        isPerChannel
        ? StoredType(dtype: .int8, quantization: Quantization(scales: scales, axis: 0))
        : StoredType(.int8, scale: 0.004)
      let x = try integers([2, channels, side, side + 1], input, &draw)
      let weight = try integers([outputs, channels / groups, kernel, kernel], filter, &draw)
      let products = Node.scales(input.quantization!, filter.quantization!, outputs: outputs)
      let bias =
        round % 4 == 3
        ? nil
        : try integers(
          [outputs], StoredType(dtype: .int32, quantization: Quantization(scales: products, axis: 0)), &draw)
      let stored = StoredType(round % 2 == 0 ? .uint8 : .int8, scale: 0.11, zeroPoint: round % 2 == 0 ? 61 : -9)

      var graph = Graph(name: "quantised")
      let id = graph.addInput("x", x.type)
      var inputs = [id, graph.addConstant("w", weight)]
      if let bias { inputs.append(graph.addConstant("b", bias)) }
      graph.setOutputs([try graph.addNode("y", op, inputs, stored: stored)])
      let found = try graph.evaluate([x])[0]
      #expect(found.type == stored.type(of: TensorType(found.shape)))
      #expect(try found.allIntegers() == expected(x, weight, bias, op, stored), "\(round)")
    }
  }

  @Test func `other activations, residuals and results in float go by the numbers of exact sums`() throws {
    var draw = SeededGenerator(seed: 4)
    let (input, filter) = (StoredType(.uint8, scale: 0.05, zeroPoint: 99), StoredType(.int8, scale: 0.02))
    let (x, weight) = (try integers([1, 3, 4, 4], input, &draw), try integers([5, 3, 1, 1], filter, &draw))
    let added = StoredType(.uint8, scale: 0.3, zeroPoint: 100)
    let residual = try integers([1, 5, 4, 4], added, &draw)
    let bias = try Tensor(
      quantized: [5], [-3, 0, 7, 900, -41],
      StoredType(dtype: .int32, quantization: Quantization(scale: Float(0.05) * Float(0.02))))
    let sums = try Conv2D().evaluate([x.widened(), weight.widened(), bias.widened()])[0].values
    func run(_ epilogue: Epilogue?, _ stored: StoredType?, adds: Bool) throws -> [Float] {
      var graph = Graph(name: "quantised")
      let inputs = [graph.addInput("x", x.type), graph.addConstant("w", weight), graph.addConstant("b", bias)]
      let more = adds ? [graph.addConstant("r", residual)] : []
      // A residual has the output's type.
      let op = Conv2D(epilogue: epilogue)
      graph.setOutputs([try graph.addNode("y", op, inputs + more, stored: stored)])
      return try graph.evaluate([x])[0].widened().values
    }
    let plain = try run(nil, nil, adds: false)
    for (a, b) in zip(plain, sums) { #expect((a - b).magnitude < 1e-4) }
    for epilogue in [Epilogue.hardSwish, .silu, .relu, .hardSigmoid] {
      for adds in [false, true] {
        let stored = StoredType(.uint8, scale: 0.3, zeroPoint: 100)
        let found = try run(epilogue, stored, adds: adds)
        let finish = epilogue.function(channel: 0)
        for (index, value) in found.enumerated() {
          let real = finish(sums[index] + (adds ? residual.values[index] : 0))
          let held = min(max(real, -30), Float(255 - 100) * 0.3)
          #expect((value - held).magnitude <= 0.151, "\(epilogue) \(adds) \(index): \(value) for \(real)")
        }
      }
    }
  }

  @Test func `rows of a linear layer, and ops that only know numbers`() throws {
    var draw = SeededGenerator(seed: 2)
    let input = StoredType(.int8, scale: 0.1, zeroPoint: 3)
    let filter = StoredType(dtype: .int8, quantization: Quantization(scales: [0.01, 0.02, 0.03], axis: 0))
    let (x, weight) = (try integers([2, 7], input, &draw), try integers([3, 7], filter, &draw))
    var graph = Graph(name: "rows")
    let id = graph.addInput("x", x.type)
    let row = try graph.addNode("rows", Linear(), [id, graph.addConstant("w", weight)], stored: input)
    let sum = try graph.addNode("sum", Binary(.add), [row, row], stored: StoredType(.uint8, scale: 0.25))
    let soft = try graph.addNode("soft", Softmax(axis: 1), [sum])
    graph.setOutputs([row, sum, soft])
    #expect(graph[row].type == TensorType([2, 3], .int8, quantization: input.quantization))
    #expect(graph[soft].type == TensorType([2, 3]))
    let found = try graph.evaluate([x])
    let (xs, ws) = (try x.allIntegers(), try weight.allIntegers())
    let rows: [Int64] = (0..<6).map { index in
      let (n, o) = (index / 3, index % 3)
      let sum = (0..<7).reduce(0) { $0 + (xs[n * 7 + $1] - 3) * ws[o * 7 + $1] }
      let multiplier = Float(0.1) * filter.quantization!.scales[o] / Float(0.1)
      return Int64(min(max((Float(sum) * multiplier).rounded(.toNearestOrEven) + 3, -128), 127))
    }
    #expect(try found[0].allIntegers() == rows)
    let sums = rows.map { row -> Int64 in
      let real = Float(row - 3) * 0.1 + Float(row - 3) * 0.1
      return Int64(min(max((real / 0.25).rounded(.toNearestOrEven), 0), 255))
    }
    #expect(try found[1].allIntegers() == sums)
  }

  @Test func `what cannot be stored is refused`() throws {
    var graph = Graph(name: "wrong")
    let x = graph.addInput("x", TensorType([1, 4]))
    for stored in [
      StoredType(.int64, scale: 1), StoredType(.uint8, scale: 0), StoredType(.uint8, scale: 1, zeroPoint: 256),
      StoredType(dtype: .int8, quantization: Quantization(scales: [1, 2], axis: 1)),
      StoredType(dtype: .int8, quantization: nil),
    ] {
      #expect(throws: GraphError.self) { try graph.addNode("y", Activation(.relu), [x], stored: stored) }
    }
  }
}
