import TensorCore

/// One number of the values under each window position, over images of any number of axes and of every type that pools take in
/// ONNX: `[N, C, …]`. What is plain in two of them is ``MaxPool2D``'s and ``AveragePool2D``'s.
public struct PoolND: Op {
  public static let name = "pool"

  public enum Function: Hashable, Sendable, Codable {
    /// Padding never wins.
    case maximum
    /// With `countsPadding` padding counts as zeros.
    case average(countsPadding: Bool)
    /// `(Σ |x|ᵖ)^(1/p)`.
    case norm(p: Int)
  }

  /// In which order a second output numbers the elements of an image, where the largest came from.
  public enum Order: String, Sendable, Codable {
    case rows
    case columns
  }

  public var function: Function
  public var window: WindowND
  /// How far behind the padding the last windows reach (ONNX, `ceil_mode`); nothing is there to be counted.
  public var overhang: [Int]
  /// Of maxima: whether there is a second output, of places in the whole tensor as int64.
  public var indices: Order?

  public init(_ function: Function, _ window: WindowND, overhang: [Int]? = nil, indices: Order? = nil) {
    (self.function, self.window, self.indices) = (function, window, indices)
    self.overhang = overhang ?? window.kernel.map { _ in 0 }
  }

  public var name: String {
    switch function {
    case .maximum: "max_pool"
    case .average: "avg_pool"
    case .norm: "lp_pool"
    }
  }
  public var attributes: [(String, String)] {
    var list = window.attributes
    if overhang.contains(where: { $0 != 0 }) { list.append(("overhang", listed(overhang))) }
    switch function {
    case .maximum: break
    case .average(let countsPadding): if countsPadding { list.append(("counts", "padding")) }
    case .norm(let p): list.append(("p", "\(p)"))
    }
    return list + (indices.map { [("indices", $0.rawValue)] } ?? [])
  }
  public var elementTypes: ElementTypes { .numbers }

  /// The window with what it reaches behind its padding.
  private var whole: WindowND {
    var whole = window
    whole.after = zip(window.after, overhang).map { $0 + $1 }
    return whole
  }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1 && inputs[0].shape.rank > 2, "\(name) takes one input of images")
    let (x, dtype) = (inputs[0].shape, inputs[0].dtype)
    if case .maximum = function {
      try expect(dtype.isFloat || dtype.byteCount < 8 && dtype != .bool, "\(name) does not work on \(dtype.rawValue)")
    } else {
      try expectReals(inputs, name)
      try expect(indices == nil, "\(name) has no indices")
    }
    if case .norm(let p) = function { try expect(p > 0, "\(name): p is \(p)") }
    try window.check(axes: x.rank - 2, name)
    try expect(
      overhang.count == x.rank - 2 && overhang.allSatisfy { (0...1 << 28).contains($0) },
      "\(name): overhang \(overhang)")
    let shape = Shape([x[0], x[1]] + (try whole.positions(on: Array(x.extents[2...]), name)))
    let type = try TensorType(shape, dtype).checked(name)
    return indices == nil ? [type] : [type, TensorType(shape, .int64)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let results = try outputTypes(for: inputs.map(\.type)).map { try Tensor(uninitialized: $0) }
    switch function {
    case .maximum:
      func maximum<Element: TensorElement>(_: Element.Type) { largest(Element.self, inputs[0], results) }
      withElements(of: inputs[0].type.dtype) { maximum($0) }
    case .average, .norm: withReals(of: inputs[0].type.dtype) { sum($0, inputs[0], results[0]) }
    }
    return results
  }

  private func largest<Element: TensorElement>(_: Element.Type, _ input: Tensor, _ results: [Tensor]) {
    let (x, out) = (input.pointer(to: Element.self), results[0].pointer(to: Element.self))
    let places = indices == nil ? nil : results[1].pointer(to: Int64.self)
    let (image, positions) = (Array(input.shape.extents[2...]), Array(results[0].shape.extents[2...]))
    let (pixels, count) = (Shape(image).count, Shape(positions).count)
    whole.forEachPosition(positions, on: image) { position, taps in
      for plane in 0..<input.shape[0] * input.shape[1] {
        let values = x + plane * pixels
        var best: (value: Double, place: Int)?
        for (_, place) in taps {
          let value = values[place].double
          if best.map({ value > $0.value }) ?? true { best = (value, place) }
        }
        out[plane * count + position] = best.map { values[$0.place] } ?? Element(nearest: -.infinity)
        places?[plane * count + position] =
          best.map { Int64(plane * pixels + (indices == .columns ? byColumns($0.place, of: image) : $0.place)) } ?? -1
      }
    }
    withExtendedLifetime((input, results)) {}
  }

  /// The number of an element where the first axis runs fastest.
  private func byColumns(_ place: Int, of image: [Int]) -> Int {
    var (rest, index) = (place, [Int]())
    for extent in image.reversed() {
      index.insert(rest % extent, at: 0)
      rest /= extent
    }
    return zip(image, index).reversed().reduce(0) { $0 * $1.0 + $1.1 }
  }

  private func sum<Real: LibraryReal>(_: Real.Type, _ input: Tensor, _ result: Tensor) {
    let (x, out) = (input.pointer(to: Real.self), result.pointer(to: Real.self))
    let (image, positions) = (Array(input.shape.extents[2...]), Array(result.shape.extents[2...]))
    let (pixels, count) = (Shape(image).count, Shape(positions).count)
    // Positions come in the same order; what counts of a window is what lies on the image with its padding.
    var divisors: [Int] = []
    if case .average(countsPadding: true) = function {
      let padded = image.indices.map { image[$0] + window.before[$0] + window.after[$0] }
      forEachIndex(of: Shape(positions)) { _, index in
        divisors.append(
          image.indices.reduce(1) { product, axis in
            product
              * validTaps(
                index[axis] * window.strides[axis], window.dilations[axis], window.kernel[axis], padded[axis]
              ).count
          })
      }
    }
    whole.forEachPosition(positions, on: image) { position, taps in
      for plane in 0..<input.shape[0] * input.shape[1] {
        let values = x + plane * pixels
        var sum: Real = 0
        switch function {
        case .maximum, .average:
          for (_, place) in taps { sum += values[place] }
          let divisor = divisors.isEmpty ? taps.count : divisors[position]
          sum = divisor == 0 ? 0 : sum / Real(divisor)
        case .norm(let p):
          for (_, place) in taps { sum += Real.power(values[place].magnitude, Real(p)) }
          sum = Real.power(sum, 1 / Real(p))
        }
        out[plane * count + position] = sum
      }
    }
    withExtendedLifetime((input, result)) {}
  }
}
