import TensorCore

/// Where the elements of a tensor in NCHW lie that another shape reads: element `i` of `shape` is at `offset + Σ iₐ · stridesₐ`.
/// What moves elements and computes nothing is one of these: transpositions, slices, repetitions.
package struct StridedView: Sendable {
  package var shape: Shape
  package var offset = 0
  package var strides: [Int]

  package init(_ shape: Shape, offset: Int = 0, strides: [Int]) {
    (self.shape, self.offset, self.strides) = (shape, offset, strides)
  }

  /// A whole tensor, element by element.
  package init(of shape: Shape) { self.init(shape, strides: shape.strides) }

  /// A tensor repeated along the axes where it has an extent of 1, or none.
  package init(of shape: Shape, broadcastTo wanted: Shape) {
    let own = [Int](repeating: 0, count: wanted.rank - shape.rank) + shape.strides
    let extents = [Int](repeating: 1, count: wanted.rank - shape.rank) + shape.extents
    self.init(wanted, strides: zip(own, extents).map { $1 == 1 ? 0 : $0 })
  }

  /// Calls with the place of the first element of each line along the last axis, in order.
  @inline(__always)
  package func forEachLine(_ body: (_ place: Int) throws -> Void) rethrows {
    guard shape.count > 0 else { return }
    let axes = max(shape.rank - 1, 0)
    var index = [Int](repeating: 0, count: axes)
    var place = offset
    while true {
      try body(place)
      var axis = axes - 1
      while axis >= 0 {
        index[axis] += 1
        place += strides[axis]
        if index[axis] < shape[axis] { break }
        place -= strides[axis] * shape[axis]
        index[axis] = 0
        axis -= 1
      }
      if axis < 0 { return }
    }
  }
}

extension Shape {
  /// Elements from one index of each axis to the next.
  package var strides: [Int] {
    var (stride, strides) = (1, [Int]())
    for extent in extents.reversed() {
      strides.append(stride)
      stride *= extent
    }
    return strides.reversed()
  }

  /// An axis that may be counted from the last one.
  /// - Throws: ``GraphError``.
  package func axis(_ axis: Int, _ op: String) throws -> Int {
    try expect((-rank..<rank).contains(axis), "\(op): axis \(axis) of \(self)")
    return axis < 0 ? axis + rank : axis
  }

  /// Extents before an axis, and behind it, multiplied.
  package func around(_ axis: Int) -> (outer: Int, inner: Int) {
    (extents[..<axis].reduce(1, *), extents[(axis + 1)...].reduce(1, *))
  }
}

extension Tensor {
  /// The elements that a view reads, in order. Both are in NCHW.
  package func gathered(_ view: StridedView) throws -> Tensor {
    let result = try Tensor(
      uninitialized: TensorType(view.shape, type.dtype, quantization: type.quantization))
    func move<Element: BitwiseCopyable>(_: Element.Type) {
      let source = storage.pointer.assumingMemoryBound(to: Element.self)
      var target = result.storage.pointer.assumingMemoryBound(to: Element.self)
      let (count, stride) = (view.shape.extents.last ?? 1, view.strides.last ?? 1)
      view.forEachLine { place in
        if stride == 1 {
          target.update(from: source + place, count: count)
        } else {
          for i in 0..<count { target[i] = source[place + i * stride] }
        }
        target += count
      }
    }
    switch type.dtype.byteCount {
    case 1: move(UInt8.self)
    case 2: move(UInt16.self)
    case 4: move(UInt32.self)
    default: move(UInt64.self)
    }
    withExtendedLifetime(self) {}
    return result
  }

  /// The same elements under another shape of as many.
  package func reshaped(to shape: Shape) throws -> Tensor {
    precondition(shape.count == self.shape.count && format == .nchw, "\(type) as \(shape)")
    return Tensor(type: TensorType(shape, type.dtype, quantization: type.quantization), storage: storage)
  }

  /// The whole numbers of a tensor of integers.
  package var indices: [Int] {
    get throws {
      guard let integers else { throw GraphError("\(type) holds no integers") }
      return integers.map(Int.init)
    }
  }
}

/// Calls `body` with Swift's type for a tensor's elements. Bools are bytes.
package func withElements<Result>(
  of dtype: DType, _ body: (any TensorElement.Type) throws -> Result
) rethrows -> Result {
  try body(dtype == .bool ? UInt8.self : dtype.element)
}
