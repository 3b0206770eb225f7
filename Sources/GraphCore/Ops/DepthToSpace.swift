import TensorCore

/// Channels spread over the pixels of blocks, as PyTorch's `pixel_shuffle`: `[N, b·b·C, H, W]` to `[N, C, b·H, b·W]` (ONNX,
/// DepthToSpace).
public struct DepthToSpace: Op {
  public static let name = "depth_to_space"

  /// Pixels that each pixel becomes.
  public var block: Pair
  /// Whether the channels of one pixel of a block are neighbours (ONNX's DCR), or the pixels of one channel (CRD).
  public var isBlockMajor: Bool

  public init(block: Pair, isBlockMajor: Bool) { (self.block, self.isBlockMajor) = (block, isBlockMajor) }

  public var attributes: [(String, String)] {
    [("block", "\(block)")] + (isBlockMajor ? [] : [("order", "channels")])
  }
  public var elementTypes: ElementTypes { .any }
  public var formatRule: FormatRule { .follows }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1 && inputs[0].shape.rank == 4, "depth_to_space takes one rank 4 input")
    var type = inputs[0]
    try expect(
      (1...1 << 15).contains(block.h) && (1...1 << 15).contains(block.w) && type.shape[1] % (block.h * block.w) == 0,
      "depth_to_space: \(type) in blocks of \(block)")
    try expect(type.quantization?.axis == nil, "depth_to_space would lose the axis of \(type)")
    type.shape = [
      type.shape[0], type.shape[1] / (block.h * block.w), type.shape[2] * block.h, type.shape[3] * block.w,
    ]
    return [type]
  }

  /// Extents of the loops over batch, rows, rows of a block, columns, columns of a block, and channels, and what each of them steps
  /// over in the channels of the input.
  package func loops(_ input: Shape) -> (extents: [Int], channelSteps: [Int]) {
    let channels = input[1] / (block.h * block.w)
    let steps = isBlockMajor ? [block.w * channels, channels, 1] : [block.w, 1, block.h * block.w]
    return ([input[0], input[2], block.h, input[3], block.w, channels], [0, 0, steps[0], 0, steps[1], steps[2]])
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let type = try outputTypes(for: inputs.map(\.type))[0]
    let (extents, steps) = loops(inputs[0].shape)
    let s = inputs[0].shape.strides
    // The result's own order: batch, channels, rows and their blocks, columns and theirs.
    let order = [0, 5, 1, 2, 3, 4]
    let strides = [s[0], s[2], 0, s[3], 0, 0]
    let view = StridedView(
      Shape(order.map { extents[$0] }), strides: order.map { strides[$0] + steps[$0] * s[1] })
    return [try inputs[0].gathered(view).reshaped(to: type.shape)]
  }
}
