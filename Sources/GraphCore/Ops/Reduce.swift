import TensorCore

/// One number of all elements along some axes (ONNX, ReduceSum and its like).
public struct Reduce: Op {
  public static let name = "reduce"

  public enum Function: String, Sendable, Codable, CaseIterable {
    case sum, mean, maximum, minimum, product
    /// Of absolute values.
    case l1
    /// The root of the sum of squares.
    case l2
    case logSum = "log_sum"
    case logSumExp = "log_sum_exp"
    case sumSquare = "sum_square"
  }

  public var function: Function
  /// Each once, in order; none leaves every element alone.
  public var axes: [Int]
  /// Whether the axes stay, with an extent of 1.
  public var keepsAxes: Bool

  public init(_ function: Function, axes: [Int], keepsAxes: Bool = true) {
    (self.function, self.axes, self.keepsAxes) = (function, axes, keepsAxes)
  }

  public var name: String { "reduce_\(function.rawValue)" }
  public var attributes: [(String, String)] {
    [("axes", axes.map(String.init).joined(separator: ","))] + (keepsAxes ? [] : [("keep", "false")])
  }
  public var elementTypes: ElementTypes { .numbers }
  public var formatRule: FormatRule { keepsAxes ? .follows : .needsNCHW }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "\(name) takes 1 input, not \(inputs.count)")
    let input = inputs[0]
    try expect(
      axes == Set(axes).sorted() && axes.allSatisfy((0..<input.shape.rank).contains),
      "\(name): axes \(axes) of \(input)")
    try expect(
      input.dtype != .bool || function == .maximum || function == .minimum, "\(name) does not work on bool")
    let extents = input.shape.extents.enumerated().compactMap { axis, extent in
      axes.contains(axis) ? (keepsAxes ? 1 : nil) : extent
    }
    return [TensorType(Shape(extents), input.dtype, keepsAxes ? input.format : .nchw)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let (input, result) = (inputs[0], try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0]))
    let strides = input.shape.strides
    let kept = input.shape.extents.indices.filter { !axes.contains($0) }
    func view(_ axes: [Int]) -> StridedView {
      StridedView(Shape(axes.map { input.shape[$0] }), strides: axes.map { strides[$0] })
    }
    var inner: [Int] = []
    let (line, step) = (axes.last.map { input.shape[$0] } ?? 1, axes.last.map { strides[$0] } ?? 0)
    view(axes).forEachLine { place in for i in 0..<line { inner.append(place + i * step) } }
    var outer: [Int] = []
    let (keptLine, keptStep) = (kept.last.map { input.shape[$0] } ?? 1, kept.last.map { strides[$0] } ?? 0)
    view(kept).forEachLine { place in for i in 0..<keptLine { outer.append(place + i * keptStep) } }
    func reduce<Element: TensorElement>(_: Element.Type) {
      let source = input.storage.pointer.assumingMemoryBound(to: Element.self)
      let target = result.storage.pointer.assumingMemoryBound(to: Element.self)
      for (index, first) in outer.enumerated() {
        if source[0].integer != nil, let whole = function.whole {
          var sum = whole.start
          for place in inner { sum = whole.step(sum, source[first + place].integer!) }
          if function == .mean { sum /= Int64(max(inner.count, 1)) }
          target[index] = Element(integer: sum)
        } else {
          target[index] = Element(nearest: function.real(inner.lazy.map { source[first + $0].double }, inner.count))
        }
      }
    }
    guard result.shape.count > 0 else { return [result] }
    guard input.shape.count > 0 else {
      func fill<Element: TensorElement>(_: Element.Type) {
        let value = Element(nearest: function.real([].lazy.map { (x: Double) in x }, 0))
        result.storage.pointer.assumingMemoryBound(to: Element.self).update(
          repeating: value, count: result.shape.count)
      }
      withElements(of: input.type.dtype) { fill($0) }
      return [result]
    }
    withElements(of: input.type.dtype) { reduce($0) }
    withExtendedLifetime(inputs) {}
    return [result]
  }
}

extension Reduce.Function {
  /// Of integers, without the detour that would lose bits.
  fileprivate var whole: (start: Int64, step: (Int64, Int64) -> Int64)? {
    switch self {
    case .sum, .mean: (0, { $0 &+ $1 })
    case .product: (1, { $0 &* $1 })
    case .maximum: (.min, { Swift.max($0, $1) })
    case .minimum: (.max, { Swift.min($0, $1) })
    case .l1: (0, { $0 &+ ($1 < 0 ? 0 &- $1 : $1) })
    case .sumSquare: (0, { $0 &+ $1 &* $1 })
    case .l2, .logSum, .logSumExp: nil
    }
  }

  /// In double precision.
  fileprivate func real(_ values: some Sequence<Double>, _ count: Int) -> Double {
    let (exp, log) = (Double.call(.exp), Double.call(.log))
    switch self {
    case .sum: return values.reduce(0, +)
    case .mean: return values.reduce(0, +) / Double(count)
    case .product: return values.reduce(1, *)
    case .maximum: return values.reduce(-.infinity) { $0 > $1 || $0.isNaN ? $0 : $1 }
    case .minimum: return values.reduce(.infinity) { $0 < $1 || $0.isNaN ? $0 : $1 }
    case .l1: return values.reduce(0) { $0 + $1.magnitude }
    case .l2: return values.reduce(0) { $0 + $1 * $1 }.squareRoot()
    case .sumSquare: return values.reduce(0) { $0 + $1 * $1 }
    case .logSum: return log(values.reduce(0, +))
    case .logSumExp:
      let largest = values.reduce(-.infinity, Swift.max)
      guard largest.isFinite else { return largest }
      return largest + log(values.reduce(0) { $0 + exp($1 - largest) })
    }
  }
}
