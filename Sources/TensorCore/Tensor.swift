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
    self.storage = try Storage(byteCount: type.storageByteCount, allocator: allocator)
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

  /// A tensor of any element type, in NCHW order.
  /// - Precondition: `elements.count == shape.count`.
  public init<Element: TensorElement>(
    _ shape: Shape, elements: [Element], quantization: Quantization? = nil,
    allocator: any Allocator = AllocationScope.current
  ) throws {
    precondition(elements.count == shape.count, "\(elements.count) elements for shape \(shape)")
    let type = TensorType(shape, Element.dtype, quantization: quantization)
    if let fault = type.fault { throw ImpossibleType(description: "\(type): \(fault)") }
    try self.init(uninitialized: type, allocator: allocator)
    _ = self.elements(as: Element.self).update(fromContentsOf: elements)
  }

  /// The elements as they lie in memory. The buffer lives as long as the storage: keep the tensor for as long as the buffer is
  /// used.
  /// - Precondition: `Element.dtype` is the tensor's.
  public func elements<Element: TensorElement>(as: Element.Type) -> UnsafeMutableBufferPointer<Element> {
    precondition(type.dtype == Element.dtype, "\(type) holds no \(Element.self)")
    return UnsafeMutableBufferPointer(
      start: storage.pointer.assumingMemoryBound(to: Element.self), count: type.byteCount / type.dtype.byteCount)
  }

  /// The elements of a float32 tensor as they lie in memory; see ``elements(as:)``.
  public var floats: UnsafeMutableBufferPointer<Float> { elements(as: Float.self) }

  /// The elements in NCHW order, whatever the memory format: those of another type than float32 as the nearest float32, and
  /// quantised ones as what they stand for.
  public var values: [Float] {
    if type.dtype != .float32 { return doubles.map(Float.init) }
    return [Float](unsafeUninitializedCapacity: shape.count) { buffer, count in
      withExtendedLifetime(self) {
        FormatConversion.convert(from: type, floats.baseAddress!, to: .nchw, buffer.baseAddress!)
      }
      count = shape.count
    }
  }

  /// The same in double precision, which holds every type but integers beyond 2⁵³.
  public var doubles: [Double] {
    guard type.format == .nchw else {
      do { return try converted(to: .nchw).doubles } catch { preconditionFailure("\(type): \(error)") }
    }
    defer { withExtendedLifetime(self) {} }
    func all<Element: TensorElement>(_: Element.Type) -> [Double] { elements(as: Element.self).map(\.double) }
    let kind = type.dtype.element
    let stored: [Double]
    if let bytes { stored = bytes.map { $0 == 0 ? 0 : 1 } } else { stored = all(kind) }
    guard let quantization = type.quantization else { return stored }
    let (extent, inner) = quantization.grid(of: shape)
    return stored.enumerated().map { index, value in
      let channel = index / inner % extent
      return Double(quantization.scales[channel]) * (value - Double(quantization.zeroPoints[channel]))
    }
  }

  /// The elements of an integer tensor in NCHW order, the upper half of unsigned 64-bit ones as negative; nil for floats.
  package var integers: [Int64]? {
    guard !type.dtype.isFloat, type.format == .nchw else { return nil }
    defer { withExtendedLifetime(self) {} }
    func all<Element: TensorElement>(_: Element.Type) -> [Int64] { elements(as: Element.self).compactMap(\.integer) }
    let kind = type.dtype.element
    if let bytes { return bytes.map { $0 == 0 ? 0 : 1 } }
    return all(kind)
  }

  /// Of bools: one that is neither 0 nor 1 is no Bool of Swift's.
  private var bytes: UnsafeRawBufferPointer? {
    type.dtype == .bool ? UnsafeRawBufferPointer(start: storage.pointer, count: shape.count) : nil
  }

  /// A tensor of these numbers in an element type: see `TensorElement.init(nearest:)`.
  package init(_ shape: Shape, _ values: [Double], _ dtype: DType) throws {
    func make<Element: TensorElement>(_: Element.Type) throws -> Tensor {
      try Tensor(shape, elements: values.map { Element(nearest: $0) })
    }
    self = try make(dtype.element)
  }

  /// The same of integers, which a double would not hold: see `TensorElement.init(integer:)`.
  package init(_ shape: Shape, _ values: [Int64], _ dtype: DType) throws {
    func make<Element: TensorElement>(_: Element.Type) throws -> Tensor {
      try Tensor(shape, elements: values.map { Element(integer: $0) })
    }
    self = try make(dtype.element)
  }

  /// The same numbers, each the nearest of another element type; the tensor itself where it has that type. In its own format.
  package func rounded(to dtype: DType) throws -> Tensor {
    if dtype == type.dtype { return self }
    var wanted = type
    wanted.dtype = dtype
    let result = try Tensor(uninitialized: wanted)
    func convert<From: TensorElement, To: TensorElement>(_: From.Type, _: To.Type) {
      let (source, target) = (elements(as: From.self), result.elements(as: To.self))
      for i in source.indices { target[i] = To(nearest: source[i].double) }
    }
    switch (type.dtype, dtype) {
    // Those that networks are stored in, without the detour.
    case (.float32, .float16):
      HalfConversion.narrow(
        floats.baseAddress!, to: result.elements(as: Float16.self).baseAddress!, count: floats.count)
    case (.float16, .float32):
      HalfConversion.widen(
        elements(as: Float16.self).baseAddress!, to: result.floats.baseAddress!, count: result.floats.count)
    default:
      let (from, to) = (type.dtype.element, dtype.element)
      convert(from, to)
    }
    withExtendedLifetime(self) {}
    return result
  }

  /// Itself, or of a part of a file a copy in memory of its own.
  package func copiedFromFile() throws -> Tensor {
    guard storage.isMapped else { return self }
    let copy = try Tensor(uninitialized: type)
    copy.write(self)
    return copy
  }

  /// Overwrites the elements, given as they lie in memory.
  public func write(_ values: [Float]) {
    precondition(values.count == floats.count, "\(values.count) values for \(type)")
    values.withUnsafeBufferPointer { _ = floats.update(fromContentsOf: $0) }
  }

  /// Overwrites the elements with those of a tensor of the same type.
  public func write(_ other: Tensor) {
    precondition(other.type == type, "\(other.type) into \(type)")
    storage.pointer.copyMemory(from: other.storage.pointer, byteCount: type.storageByteCount)
  }

  /// The tensor as large as it came out, in the same memory; itself where its type says how large that is.
  public var actual: Tensor {
    guard type.isUpperBound else { return self }
    let extents = (storage.pointer + type.extentsOffset).assumingMemoryBound(to: Int.self)
    var type = type
    (type.shape, type.isUpperBound) = (Shape((0..<type.shape.rank).map { extents[$0] }), false)
    defer { withExtendedLifetime(self) {} }
    return Tensor(type: type, storage: storage)
  }

  /// Overwrites the elements with those of a tensor that is as large as this one or, of an upper bound, smaller.
  /// - Throws: ``ImpossibleType`` where it does not fit.
  package func fill(_ other: Tensor) throws {
    var wanted = other.type
    (wanted.shape, wanted.isUpperBound) = (type.shape, type.isUpperBound)
    let fits =
      type.isUpperBound
      ? other.shape.rank == shape.rank && zip(other.shape.extents, shape.extents).allSatisfy { $0 <= $1 }
      : other.shape == shape
    guard wanted == type, fits else { throw ImpossibleType(description: "\(other.type) does not fit \(type)") }
    storage.pointer.copyMemory(from: other.storage.pointer, byteCount: other.type.byteCount)
    if type.isUpperBound {
      let extents = (storage.pointer + type.extentsOffset).assumingMemoryBound(to: Int.self)
      for (axis, extent) in other.shape.extents.enumerated() { extents[axis] = extent }
    }
    withExtendedLifetime(other) {}
  }

  /// Digest of type and bytes (FNV-1a over 64-bit words), for telling tensors apart in results.
  public var digest: Digest {
    var hash = Digest()
    hash.combine(type.description)
    if let quantization = type.quantization { hash.combine(quantization.whole) }
    hash.combine(UnsafeRawBufferPointer(start: storage.pointer, count: type.byteCount))
    return hash
  }
}
