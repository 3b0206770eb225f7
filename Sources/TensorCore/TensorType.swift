/// Shape, element type and memory format: all that is known of a tensor before it has data.
public struct TensorType: Hashable, Sendable, CustomStringConvertible {
  public var shape: Shape
  public var dtype: DType
  public var format: MemoryFormat

  public init(_ shape: Shape, _ dtype: DType = .float32, _ format: MemoryFormat = .nchw) {
    self.shape = shape
    self.dtype = dtype
    self.format = format
  }

  public var byteCount: Int {
    switch format {
    case .nchw, .nhwc: shape.count * dtype.byteCount
    case .panels(let layout): layout.elementCount(for: shape) * dtype.byteCount
    case .winograd(let layout): layout.elementCount(for: shape) * dtype.byteCount
    }
  }

  public var description: String {
    "\(dtype.rawValue)[\(shape)]" + (format == .nchw ? "" : " \(format)")
  }
}
