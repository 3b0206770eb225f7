import GraphCore
import TensorCore

/// What the weights and the bias of a convolution or linear layer become as integers.
struct IntegerWeights {
  /// int8 around zero.
  let weight: Tensor
  /// Scales of the sums of products, one for each output or one for all.
  let products: [Float]

  /// - Parameters:
  ///   - input: of what the weights multiply, one scale.
  ///   - bits: 8, or 7 for weights within ±64.
  /// - Returns: nil where its products have no scale.
  /// - Throws: ``GraphError`` where a weight is no finite number.
  init?(_ node: Node, _ weight: Tensor, bias: Tensor?, input: Quantization, bits: Int, scalesChannels: Bool) throws {
    let numbers = weight.values
    let outputs = weight.shape[0]
    let depth = numbers.count / max(outputs, 1)
    let biases = bias?.values ?? [Float](repeating: 0, count: outputs)
    guard (numbers + biases).allSatisfy(\.isFinite) else {
      throw GraphError("\(node.name): its weights have NaN or infinity, which no integer stands for")
    }
    let scales = (0..<(scalesChannels ? outputs : 1)).map { output -> Float in
      let own = scalesChannels ? numbers[output * depth..<(output + 1) * depth] : numbers[...]
      let added = scalesChannels ? biases[output...output] : biases[...]
      func largest(_ values: ArraySlice<Float>) -> Float { values.reduce(0) { max($0, $1.magnitude) } }
      // No finer than a bias of 30 bits can be told in: weights that are next to nothing would make it overflow.
      let scale = max(
        largest(own) / (bits == 7 ? Float(DotLayout.limit) : 127), largest(added) / 0x1p30 / input.scales[0])
      return scale >= .leastNormalMagnitude && scale.isFinite ? scale : 1
    }
    let quantization =
      scalesChannels ? Quantization(scales: scales, axis: 0) : Quantization(scale: scales[0], zeroPoint: 0)
    products = Node.scales(input, quantization, outputs: scales.count)
    guard products.allSatisfy({ $0 >= .leastNormalMagnitude && $0.isFinite }) else { return nil }
    self.weight = try weight.quantized(to: StoredType(dtype: .int8, quantization: quantization))
  }

  /// Weights that are integers already.
  /// - Returns: nil where its products have no scale.
  init?(_ weight: Tensor, input: Quantization) {
    let quantization = weight.type.quantization!
    self.weight = weight
    products = Node.scales(input, quantization, outputs: quantization.scales.count)
    guard products.allSatisfy({ $0 >= .leastNormalMagnitude && $0.isFinite }) else { return nil }
  }

  /// Whether there are integers for a bias of no more than 30 bits, so that sums with it stay within int32.
  func holds(_ bias: [Float]) -> Bool {
    bias.enumerated().allSatisfy { index, value in
      (Double(value) / Double(products[products.count > 1 ? index : 0])).magnitude <= 0x1p30
    }
  }

  /// A bias that is added to such sums, in int32.
  func bias(_ values: [Float]) throws -> Tensor {
    try bias(
      values.enumerated().map { index, value in
        let exact = (Double(value) / Double(products[products.count > 1 ? index : 0])).rounded(.toNearestOrEven)
        return Int64(min(max(exact, Double(Int32.min)), Double(Int32.max)))
      })
  }

  /// One that is such integers already.
  func bias(_ integers: [Int64]) throws -> Tensor {
    let scale = StoredType(
      dtype: .int32,
      quantization: products.count > 1 || weight.type.quantization?.axis != nil
        ? Quantization(scales: products, axis: 0) : Quantization(scale: products[0], zeroPoint: 0))
    return try Tensor(quantized: Shape([integers.count]), integers, scale)
  }
}
