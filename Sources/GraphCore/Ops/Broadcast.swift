import TensorCore

/// How two tensors of different shapes meet: aligned at their last axis, an extent of 1 is repeated (ONNX, "Broadcasting").
enum Broadcast {
  /// The type of what is computed of each pair of elements.
  static func outputType(_ inputs: [TensorType], _ op: String) throws -> TensorType {
    try expect(inputs.count == 2, "\(op) takes 2 inputs, not \(inputs.count)")
    let (a, b) = (inputs[0], inputs[1])
    try expect(a.format == b.format, "\(op) needs one format: \(a) and \(b)")
    let rank = max(a.shape.rank, b.shape.rank)
    let (first, second) = (aligned(a.shape, rank), aligned(b.shape, rank))
    try expect(
      zip(first, second).allSatisfy { $0 == $1 || $0 == 1 || $1 == 1 }, "\(op) cannot broadcast \(a) and \(b)")
    return TensorType(Shape(zip(first, second).map { $0 == 1 ? $1 : $0 }), a.dtype, a.format)
  }

  private static func aligned(_ shape: Shape, _ rank: Int) -> [Int] {
    [Int](repeating: 1, count: rank - shape.rank) + shape.extents
  }

  /// `combine` of each pair of elements, in NCHW.
  static func evaluate(_ inputs: [Tensor], _ op: String, _ combine: (Float, Float) -> Float) throws -> Tensor {
    let result = try Tensor(uninitialized: outputType(inputs.map(\.type), op))
    let (a, b, out) = (inputs[0].floats.baseAddress!, inputs[1].floats.baseAddress!, result.floats.baseAddress!)
    defer { withExtendedLifetime(inputs) {} }
    if inputs[0].shape == inputs[1].shape {
      for i in 0..<result.shape.count { out[i] = combine(a[i], b[i]) }
      return result
    }
    let extents = result.shape.extents
    /// Elements from one index of each axis to the next; 0 where the tensor is repeated.
    func strides(_ shape: Shape) -> [Int] {
      var (stride, strides) = (1, [Int]())
      for extent in aligned(shape, extents.count).reversed() {
        strides.append(extent == 1 ? 0 : stride)
        stride *= extent
      }
      return strides.reversed()
    }
    let (firstStrides, secondStrides) = (strides(inputs[0].shape), strides(inputs[1].shape))
    var index = [Int](repeating: 0, count: extents.count)
    var (first, second) = (0, 0)
    for position in 0..<result.shape.count {
      out[position] = combine(a[first], b[second])
      for axis in extents.indices.reversed() {
        index[axis] += 1
        (first, second) = (first + firstStrides[axis], second + secondStrides[axis])
        if index[axis] < extents[axis] { break }
        (first, second) = (first - extents[axis] * firstStrides[axis], second - extents[axis] * secondStrides[axis])
        index[axis] = 0
      }
    }
    return result
  }
}
