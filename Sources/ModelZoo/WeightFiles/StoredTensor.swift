import GraphCore
import TensorCore

/// Where a tensor lies in a file, and how. Who makes one has seen to it that all of it lies inside.
struct StoredTensor: Equatable, Sendable {
  var type: FileElement
  var shape: Shape
  /// Of the first element, in bytes from the beginning of the file.
  var offset: Int
  /// In elements, for each axis; nil where the elements lie in order.
  var strides: [Int]?

  /// Elements from the first to the last in the file, both included; nil where no memory could hold so many.
  static func extent(_ shape: Shape, _ strides: [Int]) -> Int? {
    guard let count = shape.elementCount else { return nil }
    guard count > 0 else { return 0 }
    var last = 0
    for (extent, stride) in zip(shape.extents, strides) {
      let (steps, isTooLarge) = (extent - 1).multipliedReportingOverflow(by: stride)
      guard !isTooLarge, stride >= 0, steps < 1 << 40 else { return nil }
      last += steps
    }
    return last < 1 << 40 ? last + 1 : nil
  }

  /// The strides of elements in order.
  static func inOrder(_ shape: Shape) -> [Int] {
    var (strides, step) = ([Int](), 1)
    for extent in shape.extents.reversed() {
      strides.append(step)
      step *= extent
    }
    return strides.reversed()
  }

  /// Whether strides are those of elements in order; an axis of one element may have any.
  static func isInOrder(_ shape: Shape, _ strides: [Int]) -> Bool {
    shape.elementCount == 0
      || zip(shape.extents, zip(strides, inOrder(shape))).allSatisfy { $0 == 1 || $1.0 == $1.1 }
  }

  /// - Parameter wanted: the type it is to have; nil for what it has without loss, which is float32 of 8-bit floats.
  /// - Throws: ``Flaw`` where the type is not read, or floats are wanted and these are none, or the other way round.
  func dtype(_ wanted: DType?) throws -> DType {
    guard let own = type.dtype else { throw Flaw("is \(type.description), which is not supported") }
    guard let wanted, wanted != own else { return own }
    guard own.isFloat, wanted.isFloat else { throw Flaw("is \(type.description), the model needs \(wanted.rawValue)") }
    return wanted
  }

  /// Reads it. Floats become the nearest of the wanted type.
  /// - Throws: ``Flaw``, also where the file ended meanwhile, and `OutOfMemory`.
  func read(_ file: FileBytes, as wanted: DType? = nil) throws -> Tensor {
    let target = try dtype(wanted)
    guard let width = type.byteCount, let own = type.dtype else { throw Flaw("is \(type.description)") }
    if let fault = TensorType(shape, target).fault { throw Flaw("cannot be: \(fault)") }
    // To float32 on the way, in small pieces; nobody wants another type yet.
    let dtype = target == .float32 ? target : own
    let isWidened = type != .plain(dtype)
    let tensor = try Tensor(uninitialized: TensorType(shape, dtype))
    let bytes = UnsafeMutableRawBufferPointer(start: tensor.storage.pointer, count: tensor.type.byteCount)
    if let strides {
      try gather(file, width, strides) { packed in
        if isWidened {
          widen(packed, into: tensor.floats.baseAddress!, count: shape.count)
        } else {
          bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: packed[..<bytes.count]))
        }
      }
    } else if isWidened {
      try widen(file, width, into: tensor.floats)
    } else {
      // Straight to its place: what loading takes is what the tensors take, as with weights that are made.
      try file.read(into: bytes, at: offset)
    }
    // A byte that is neither 0 nor 1 is no Bool of Swift's.
    if own == .bool { for i in bytes.indices { bytes[i] = bytes[i] == 0 ? 0 : 1 } }
    return try tensor.rounded(to: target)
  }

  private func widen(_ file: FileBytes, _ width: Int, into floats: UnsafeMutableBufferPointer<Float>) throws {
    let some = UnsafeMutableRawBufferPointer.allocate(byteCount: width << 14, alignment: 8)
    defer { some.deallocate() }
    for first in stride(from: 0, to: floats.count, by: 1 << 14) {
      let count = min(1 << 14, floats.count - first)
      try file.read(into: UnsafeMutableRawBufferPointer(rebasing: some[..<(count * width)]), at: offset + first * width)
      widen(UnsafeRawBufferPointer(some), into: floats.baseAddress! + first, count: count)
    }
  }

  private func widen(_ bytes: UnsafeRawBufferPointer, into floats: UnsafeMutablePointer<Float>, count: Int) {
    guard count > 0, let start = bytes.baseAddress else { return }
    func each<Element: TensorElement>(_: Element.Type, _ value: (Element) -> Float) {
      let elements = start.assumingMemoryBound(to: Element.self)
      for i in 0..<count { floats[i] = value(elements[i]) }
    }
    switch type {
    case .plain(.float16):
      HalfConversion.widen(start.assumingMemoryBound(to: Float16.self), to: floats, count: count)
    case .plain(.bfloat16): each(BFloat16.self) { Float($0) }
    case .plain(.float64): each(Double.self) { Float($0) }
    case .float8(let kind):
      let values = kind.values
      each(UInt8.self) { values[Int($0)] }
    default: preconditionFailure("\(type) is not widened")
    }
  }

  /// The elements in order, of a view that is none: all that it spans is read, which is no more than the file, and is given
  /// back at once.
  private func gather(
    _ file: FileBytes, _ width: Int, _ strides: [Int], _ body: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    guard let extent = Self.extent(shape, strides) else { throw Flaw("is more than memory can hold") }
    let (count, spanned) = (shape.count, extent * width)
    guard file.has(spanned, at: offset) else { throw Flaw("lies beyond the end of the file") }
    let source = UnsafeMutableRawBufferPointer.allocate(byteCount: max(spanned, 1), alignment: 8)
    defer { source.deallocate() }
    try file.read(into: UnsafeMutableRawBufferPointer(rebasing: source[..<spanned]), at: offset)
    let packed = UnsafeMutableRawBufferPointer.allocate(byteCount: max(count * width, 1), alignment: 8)
    defer { packed.deallocate() }
    // Along an axis of one element nobody steps, and its stride may be anything.
    let steps = zip(shape.extents, strides).map { $0 == 1 ? 0 : $1 }
    func copy<Word: BitwiseCopyable>(_: Word.Type) {
      let (from, to) = (source.assumingMemoryBound(to: Word.self), packed.assumingMemoryBound(to: Word.self))
      var (index, position) = ([Int](repeating: 0, count: shape.rank), 0)
      for i in 0..<count {
        to[i] = from[position]
        for axis in index.indices.reversed() {
          index[axis] += 1
          position += steps[axis]
          if index[axis] < shape[axis] { break }
          position -= shape[axis] * steps[axis]
          index[axis] = 0
        }
      }
    }
    switch width {
    case 1: copy(UInt8.self)
    case 2: copy(UInt16.self)
    case 4: copy(UInt32.self)
    default: copy(UInt64.self)
    }
    try body(UnsafeRawBufferPointer(packed))
  }
}
