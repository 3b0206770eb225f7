import TensorCore

/// The places of a grid over images, moved by a matrix: what ``GridSample`` reads.
///
/// Input: `theta [N, axes, axes + 1]` of two axes or three. Output: `[N, …, axes]`, the last axis of the image first; −1 is the
/// beginning of the image and 1 its end.
public struct AffineGrid: Op {
  public static let name = "affine_grid"

  /// Extents of the grid.
  public var extents: [Int]
  /// Whether the beginning of an image is the middle of its first element; else it is half an element before that.
  public var alignsCorners: Bool

  public init(_ extents: [Int], alignsCorners: Bool = false) {
    (self.extents, self.alignsCorners) = (extents, alignsCorners)
  }

  public var attributes: [(String, String)] {
    [("extents", listed(extents))] + (alignsCorners ? [("corners", "aligned")] : [])
  }
  public var elementTypes: ElementTypes { .numbers }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "\(name) takes 1 input, not \(inputs.count)")
    try expectReals(inputs, name)
    let (theta, axes) = (inputs[0].shape, extents.count)
    try expect(
      (2...3).contains(axes) && theta.rank == 3 && theta[1] == axes && theta[2] == axes + 1,
      "\(name): places of \(extents) moved by \(theta)")
    return [try TensorType(Shape([theta[0]] + extents + [axes]), inputs[0].dtype).checked(name)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    withReals(of: result.type.dtype) { compute($0, inputs[0], result) }
    return [result]
  }

  private func compute<Real: LibraryReal>(_: Real.Type, _ input: Tensor, _ result: Tensor) {
    let (theta, out) = (input.pointer(to: Real.self), result.pointer(to: Real.self))
    let (image, axes) = (Shape(extents), extents.count)
    for n in 0..<result.shape[0] {
      forEachIndex(of: image) { place, index in
        let point = (0..<axes).reversed().map { axis in
          let extent = extents[axis]
          guard alignsCorners else { return Real(2 * index[axis] + 1) / Real(extent) - 1 }
          // One element lies at the end, as in ONNX Runtime.
          return extent == 1 ? 1 : Real(2 * index[axis]) / Real(extent - 1) - 1
        }
        for row in 0..<axes {
          let matrix = theta + (n * axes + row) * (axes + 1)
          out[(n * image.count + place) * axes + row] = point.enumerated().reduce(matrix[axes]) {
            $0 + matrix[$1.offset] * $1.element
          }
        }
      }
    }
    withExtendedLifetime((input, result)) {}
  }
}
