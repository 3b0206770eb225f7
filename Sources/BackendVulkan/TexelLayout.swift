import TensorCore

/// A tensor as texels: four channels of one pixel each, the last quad of channels filled up with what is finite;
/// weights there are zero.
struct TexelLayout: Equatable {
  var images: Int
  var channels: Int
  var height: Int
  var width: Int
  /// Whether the quads of a pixel are neighbours (NHWC) or the pixels of a quad (NCHW).
  var isPixelMajor: Bool
  var quads: Int

  init(_ type: TensorType) {
    let shape = type.shape
    (images, channels) = (shape.rank > 0 ? shape[0] : 1, shape.rank > 1 ? shape[1] : 1)
    (height, width) = shape.rank == 4 ? (shape[2], shape[3]) : (1, shape.extents.dropFirst(2).reduce(1, *))
    isPixelMajor = type.format == .nhwc
    quads = (channels + 3) / 4
  }

  /// Elements in one row: what kernels see as a matrix of their own, such as a weight. Filled up to 8, because kernels
  /// of 8 outputs read their biases two texels at a time.
  init(dense count: Int) {
    (images, channels, height, width, isPixelMajor) = (1, count, 1, 1, false)
    quads = (count + 7) / 8 * 2
  }

  var pixels: Int { height * width }
  var texels: Int { images * quads * pixels }
  var quadStride: Int { isPixelMajor ? 1 : pixels }
  var pixelStride: Int { isPixelMajor ? quads : 1 }

  /// - Parameter stored: float32 or float16.
  func byteCount(_ stored: DType) -> Int { texels * texelByteCount(stored) }
}

func texelByteCount(_ stored: DType) -> Int { 4 * stored.byteCount }
