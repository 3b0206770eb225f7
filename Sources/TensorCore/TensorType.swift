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
    if case .panels(let layout) = format { return layout.elementCount(for: shape) * dtype.byteCount }
    return shape.count * dtype.byteCount
  }

  public var description: String {
    "\(dtype.rawValue)[\(shape)]" + (format == .nchw ? "" : " \(format)")
  }
}
