import TensorCore

/// A recurrent layer whose products have exact sums: what it multiplies becomes uint8 over the range that it has in this very inference,
/// and weights are int8. PyTorch's `quantize_dynamic` is of this kind.
///
/// Inputs and outputs are those of ``Recurrent``, but for the weights: `w [directions · gates · hidden, width]` and `r [directions · gates
/// · hidden, hidden]` of int8 around zero. The input `x` has one range for all steps and sequences; a state has its own each time that it
/// is multiplied. Each product is computed as ``DynamicLinear`` says; everything else is float32.
public struct DynamicRecurrent: Op {
  public static let name = "dynamic_recurrent"

  /// What it would be of float32.
  public var layer: Recurrent

  public init(_ layer: Recurrent) { self.layer = layer }

  public var name: String { "dynamic_" + layer.name }
  public var attributes: [(String, String)] { layer.attributes }
  public var elementTypes: ElementTypes { .any }
  public var parameterInputs: Range<Int> { layer.parameterInputs }

  /// Types that the layer would have, of weights of three axes.
  private func plain(_ inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count > 2, "\(name) takes 3 inputs or more, not \(inputs.count)")
    var types = inputs
    for (index, type) in inputs.enumerated() {
      guard index == 1 || index == 2 else {
        try expect(
          type.dtype == .float32 && type.quantization == nil || index == layer.position(of: .lengths),
          "\(name) computes on f32, not on \(type)")
        continue
      }
      try DynamicLinear.expectWeight(type, name)
      let directions = layer.direction.count
      try expect(
        type.shape.rank == 2 && type.shape[0] % directions == 0,
        "\(name) in \(directions) directions: weights \(type.shape)")
      types[index] = TensorType([directions, type.shape[0] / directions, type.shape[1]])
    }
    return types
  }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try layer.outputTypes(for: plain(inputs))
  }

  public func cost(for inputs: [TensorType]) -> Cost { (try? layer.cost(for: plain(inputs))) ?? Cost() }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let results = try outputTypes(for: inputs.map(\.type)).map { try Tensor(zeros: $0) }
    let bias = layer.position(of: .bias).map { inputs[$0].values }
    let rows = inputs[1].shape[0] / layer.direction.count
    let (w, r) = (try DynamicWeight(inputs[1]), try DynamicWeight(inputs[2]))
    let (width, hidden) = (w.depth, r.depth)
    let x = DynamicNumbers(inputs[0].values)
    try layer.run(
      inputs, results,
      RecurrentProducts<Float>(
        ofInput: { d, place in
          w.products(of: x, from: place * width, (d * rows)..<((d + 1) * rows), bias, from: d * 2 * rows)
        },
        ofState: { d, state, gates in
          let (first, last) = (gates.lowerBound * hidden, gates.upperBound * hidden)
          return r.products(
            of: DynamicNumbers(state), from: 0, (d * rows + first)..<(d * rows + last), bias,
            from: (d * 2 + 1) * rows + first)
        }))
    return results
  }
}

/// A matrix of int8, by outputs, that stands for numbers.
struct DynamicWeight {
  let depth: Int
  private let integers: [Int64]
  private let scales: [Float]

  init(_ tensor: Tensor) throws {
    (depth, integers) = (tensor.shape[1], try tensor.allIntegers())
    scales = tensor.type.quantization!.scales
  }

  /// What some of its rows make of a vector, with their bias, which begins at a place of its own.
  func products(
    of numbers: DynamicNumbers, from start: Int, _ rows: Range<Int>, _ bias: [Float]?, from first: Int
  ) -> [Float] {
    rows.map { row in
      var sum: Int64 = 0
      for i in 0..<depth { sum += numbers.integers[start + i] * integers[row * depth + i] }
      let real = Float(Int32(truncatingIfNeeded: sum)) * (numbers.scale * scales[scales.count > 1 ? row : 0])
      return bias.map { real + $0[first + row - rows.lowerBound] } ?? real
    }
  }
}
