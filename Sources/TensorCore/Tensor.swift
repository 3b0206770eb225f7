/// A typed view of a ``Storage``. Copying a tensor shares its memory, as a view does.
public struct Tensor: Sendable {
  public let type: TensorType
  public let storage: Storage

  public var shape: Shape { type.shape }
  public var format: MemoryFormat { type.format }

  package init(type: TensorType, storage: Storage) {
    self.type = type
    self.storage = storage
  }

  /// Memory for `type` with undefined contents, from the allocator of the innermost ``AllocationScope``.
  public init(uninitialized type: TensorType, allocator: any Allocator = AllocationScope.current) throws {
    self.type = type
    self.storage = try Storage(byteCount: type.byteCount, allocator: allocator)
  }

  /// A tensor of zeros.
  public init(zeros type: TensorType, allocator: any Allocator = AllocationScope.current) throws {
    try self.init(uninitialized: type, allocator: allocator)
    storage.pointer.initializeMemory(as: UInt8.self, repeating: 0, count: storage.byteCount)
  }

  /// A float32 tensor in NCHW order.
  /// - Precondition: `values.count == shape.count`.
  public init(_ shape: Shape, _ values: [Float], allocator: any Allocator = AllocationScope.current) throws {
    precondition(values.count == shape.count, "\(values.count) values for shape \(shape)")
    try self.init(uninitialized: TensorType(shape), allocator: allocator)
    write(values)
  }

  /// The elements of a float32 tensor as they lie in memory. The buffer lives as long as the storage: keep the tensor
  /// for as long as the buffer is used.
  public var floats: UnsafeMutableBufferPointer<Float> {
    precondition(type.dtype == .float32, "\(type) holds no float32")
    return UnsafeMutableBufferPointer(
      start: storage.pointer.assumingMemoryBound(to: Float.self), count: type.byteCount / 4)
  }

  /// The elements in NCHW order, whatever the memory format.
  public var values: [Float] {
    [Float](unsafeUninitializedCapacity: shape.count) { buffer, count in
      withExtendedLifetime(self) {
        FormatConversion.convert(from: type, floats.baseAddress!, to: .nchw, buffer.baseAddress!)
      }
      count = shape.count
    }
  }

  /// Overwrites the elements, given as they lie in memory.
  public func write(_ values: [Float]) {
    precondition(values.count == floats.count, "\(values.count) values for \(type)")
    values.withUnsafeBufferPointer { _ = floats.update(fromContentsOf: $0) }
  }

  /// Overwrites the elements with those of a tensor of the same type.
  public func write(_ other: Tensor) {
    precondition(other.type == type, "\(other.type) into \(type)")
    storage.pointer.copyMemory(from: other.storage.pointer, byteCount: storage.byteCount)
  }

  /// Digest of type and bytes (FNV-1a over 64-bit words), for telling tensors apart in results.
  public var digest: Digest {
    var hash = Digest()
    hash.combine(type.description)
    hash.combine(UnsafeRawBufferPointer(start: storage.pointer, count: storage.byteCount))
    return hash
  }
}
