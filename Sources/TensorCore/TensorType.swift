/// Shape, element type, what integers stand for, and memory format: all that is known of a tensor before it has data.
public struct TensorType: Hashable, Sendable, CustomStringConvertible {
  /// Of more axes no tensor is.
  public static let highestRank = 8

  public var shape: Shape
  public var dtype: DType
  public var format: MemoryFormat
  /// Nil where the elements are the values.
  public var quantization: Quantization?
  /// Whether `shape` says only how large the tensor can be: how large it is is known when it has been computed, and lies behind
  /// the elements.
  public var isUpperBound = false

  public init(
    _ shape: Shape, _ dtype: DType = .float32, _ format: MemoryFormat = .nchw, quantization: Quantization? = nil
  ) {
    self.shape = shape
    self.dtype = dtype
    self.format = format
    self.quantization = quantization
  }

  public var byteCount: Int {
    switch format {
    case .nchw, .nhwc: shape.count * dtype.byteCount
    case .panels(let layout): layout.elementCount(for: shape) * dtype.byteCount
    case .winograd(let layout): layout.elementCount(for: shape) * dtype.byteCount
    case .dots(let layout): layout.byteCount(for: shape)
    }
  }

  /// Bytes of a tensor with what lies behind its elements: of an upper bound, the true extents.
  public var storageByteCount: Int { isUpperBound ? extentsOffset + 8 * shape.rank : byteCount }
  var extentsOffset: Int { (byteCount + 7) / 8 * 8 }

  /// The same with elements of float32, where it is stored in a narrower float or as integers that stand for numbers.
  package var widened: TensorType {
    var type = self
    if dtype.isStoredFloat || quantization != nil { (type.dtype, type.quantization) = (.float32, nil) }
    return type
  }

  /// Whether the elements lie in the same order in NCHW and NHWC: of an image, or of what is broadcast to one, there is one channel
  /// or one pixel.
  package var liesAlike: Bool {
    guard shape.rank <= 4, format == .nchw || format == .nhwc else { return false }
    let extents = [Int](repeating: 1, count: 4 - shape.rank) + shape.extents
    return extents[1] == 1 || extents[2] == 1 && extents[3] == 1
  }

  /// What is wrong with it; nil where a tensor can be of this type.
  public var fault: String? {
    if shape.rank > Self.highestRank { return "rank \(shape.rank) is over \(Self.highestRank)" }
    if isUpperBound, format != .nchw && format != .nhwc { return "an upper bound has no \(format)" }
    if shape.elementCount == nil { return "\(shape) is more than memory can hold" }
    return formatFault ?? quantization?.fault(for: shape, dtype)
  }

  private var formatFault: String? {
    switch format {
    case .nchw: return nil
    case .nhwc: return shape.rank == 4 ? nil : "nhwc needs rank 4, not \(shape)"
    case .panels(let layout): return layout.fault(for: shape)
    case .dots(let layout): return layout.fault(for: shape, dtype)
    case .winograd(let layout):
      guard shape.rank == 4, shape[2] == 3, shape[3] == 3 else { return "winograd needs 3×3 filters, not \(shape)" }
      if dtype != .float32 { return "winograd weights are float32, not \(dtype.rawValue)" }
      return (1...1 << 16).contains(layout.width) ? nil : "\(layout.width) outputs are no panel"
    }
  }

  public var description: String {
    "\(dtype.rawValue)[\(isUpperBound ? "≤" : "")\(shape)]" + (format == .nchw ? "" : " \(format)")
      + (quantization.map { " (\($0))" } ?? "")
  }
}
