import TensorCore

/// A tensor with elements added before and behind it along each axis, or cut off where a number is negative (ONNX, Pad).
///
/// Inputs: `data`, and optionally the value that is added, of the same element type and one element; without it that is 0.
public struct Pad: Op {
  public static let name = "pad"

  public enum Mode: String, Hashable, Sendable, Codable {
    case constant
    /// Mirrored at the outermost elements, which are not repeated; to and fro where more are added than there are.
    case reflect
    /// The outermost element again.
    case edge
    /// From the other end.
    case wrap
  }

  public var mode: Mode
  /// Elements before each axis, in the order of the shape.
  public var before: [Int]
  /// Elements behind each axis.
  public var after: [Int]

  public init(_ mode: Mode = .constant, before: [Int], after: [Int]) {
    (self.mode, self.before, self.after) = (mode, before, after)
  }

  public var attributes: [(String, String)] {
    func text(_ list: [Int]) -> String { list.map(String.init).joined(separator: ",") }
    return (mode == .constant ? [] : [("mode", mode.rawValue)]) + [("before", text(before)), ("after", text(after))]
  }
  public var elementTypes: ElementTypes { .any }
  public var formatRule: FormatRule { .follows }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect((1...2).contains(inputs.count), "pad takes 1 or 2 inputs, not \(inputs.count)")
    var type = inputs[0]
    try expect(
      before.count == type.shape.rank && after.count == type.shape.rank,
      "pad: \(before) before and \(after) behind \(type)")
    // Of quantised ones a zero would be the zero point.
    try expect(type.quantization == nil || mode != .constant || inputs.count > 1, "pad of \(type) needs a value")
    try expect(type.quantization?.axis == nil, "pad would lose the axis of \(type)")
    if inputs.count > 1 {
      try expect(
        inputs[1].dtype == type.dtype && inputs[1].shape.count == 1, "pad: \(inputs[1]) is no value for \(type)")
    }
    for axis in before.indices {
      let limit = 1 << 40
      try expect(
        abs(before[axis].clamped(limit)) < limit && abs(after[axis].clamped(limit)) < limit,
        "pad: \(before) before and \(after) behind \(type)")
      let extent = type.shape[axis] + before[axis] + after[axis]
      let kept = type.shape[axis] + min(before[axis], 0) + min(after[axis], 0)
      try expect(
        extent >= 0 && kept >= 0 && (kept > 0 || extent == 0 || mode == .constant),
        "pad: \(before) before and \(after) behind \(type)")
      type.shape.extents[axis] = extent
    }
    return [type]
  }

  /// For each index along an axis the one it is taken from; −1 where that is none.
  package func sources(_ axis: Int, _ extent: Int) -> [Int] {
    // What is cut off goes first.
    let first = max(0, -before[axis])
    let kept = extent + min(before[axis], 0) + min(after[axis], 0)
    return (0..<(extent + before[axis] + after[axis])).map { index in
      let place = index - max(before[axis], 0)
      if (0..<kept).contains(place) { return first + place }
      switch mode {
      case .constant: return -1
      case .edge: return first + min(max(place, 0), kept - 1)
      case .wrap: return first + (place % kept + kept) % kept
      case .reflect:
        let period = max(2 * (kept - 1), 1)
        let turned = (place % period + period) % period
        return first + (turned < kept ? turned : period - turned)
      }
    }
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let (data, type) = (inputs[0], try outputTypes(for: inputs.map(\.type))[0])
    let result = try Tensor(zeros: type)
    guard type.shape.count > 0 else { return [result] }
    let strides = data.shape.strides
    // Places of elements along each axis; a scalar has one.
    let steps: [[Int?]] =
      type.shape.rank == 0
      ? [[0]]
      : strides.indices.map { axis in
        sources(axis, data.shape[axis]).map { $0 < 0 ? nil : $0 * strides[axis] }
      }
    func fill<Element: BitwiseCopyable>(_: Element.Type) {
      var target = result.pointer(to: Element.self)
      let source = data.pointer(to: Element.self)
      if inputs.count > 1 {
        target.update(repeating: inputs[1].pointer(to: Element.self)[0], count: type.shape.count)
      }
      StridedView(of: Shape(type.shape.extents.dropLast() + [1])).forEachLine { line in
        // Of a line its index along each axis but the last.
        var (place, rest) = (0 as Int?, line)
        for axis in steps.indices.dropLast().reversed() {
          let extent = type.shape[axis]
          place = steps[axis][rest % extent].flatMap { step in place.map { $0 + step } }
          rest /= extent
        }
        if let place {
          for (i, step) in steps.last!.enumerated() { if let step { target[i] = source[place + step] } }
        }
        target += steps.last!.count
      }
    }
    switch type.dtype.byteCount {
    case 1: fill(UInt8.self)
    case 2: fill(UInt16.self)
    case 4: fill(UInt32.self)
    default: fill(UInt64.self)
    }
    withExtendedLifetime(inputs) {}
    return [result]
  }
}

extension Int {
  /// Within ± a limit.
  fileprivate func clamped(_ limit: Int) -> Int { Swift.min(Swift.max(self, -limit), limit) }
}
