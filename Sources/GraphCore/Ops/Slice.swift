import TensorCore

/// A part of a tensor: along each named axis every `step`th element from `start` to before `end`. Negative places count from the
/// end, and what lies outside is cut off (ONNX, Slice).
public struct Slice: Op {
  public static let name = "slice"

  public struct Cut: Hashable, Sendable, Codable {
    public var axis: Int
    public var start: Int
    public var end: Int
    public var step: Int

    public init(axis: Int, start: Int, end: Int, step: Int = 1) {
      (self.axis, self.start, self.end, self.step) = (axis, start, end, step)
    }

    /// Where its first element lies along the axis.
    package func firstPlace(of extent: Int) -> Int { places(of: extent).first }

    /// The first place, and how many there are.
    func places(of extent: Int) -> (first: Int, count: Int) {
      func place(_ bound: Int) -> Int { bound < 0 ? bound.addingReportingOverflow(extent).partialValue : bound }
      if step > 0 {
        let (first, last) = (min(max(place(start), 0), extent), min(max(place(end), 0), extent))
        return (first, last > first ? (last - first - 1) / step + 1 : 0)
      }
      let first = min(max(place(start), -1), extent - 1)
      // The lowest integer means before the first element, and must not come round to the end.
      let last = end < -extent ? -1 : min(max(place(end), -1), extent - 1)
      return (first, first > last ? (first - last - 1) / step.magnitude.clamped + 1 : 0)
    }
  }

  /// Each for another axis.
  public var cuts: [Cut]

  public init(_ cuts: [Cut]) { self.cuts = cuts }

  public var attributes: [(String, String)] {
    cuts.map { cut in
      ("axis\(cut.axis)", "\(cut.start)..<\(cut.end)" + (cut.step == 1 ? "" : " by \(cut.step)"))
    }
  }
  public var elementTypes: ElementTypes { .any }
  public var formatRule: FormatRule { .follows }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "slice takes 1 input, not \(inputs.count)")
    var type = inputs[0]
    try expect(Set(cuts.map(\.axis)).count == cuts.count, "slice: an axis is cut twice")
    for cut in cuts {
      try expect((0..<type.shape.rank).contains(cut.axis), "slice: axis \(cut.axis) of \(type)")
      try expect(cut.step != 0, "slice: a step is 0")
      try expect(type.quantization?.axis != cut.axis, "slice would cut the scales of \(type)")
      type.shape.extents[cut.axis] = cut.places(of: type.shape[cut.axis]).count
    }
    return [type]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    var view = StridedView(of: inputs[0].shape)
    view.shape = try outputTypes(for: inputs.map(\.type))[0].shape
    for cut in cuts {
      view.offset += cut.places(of: inputs[0].shape[cut.axis]).first * view.strides[cut.axis]
      view.strides[cut.axis] *= view.shape[cut.axis] > 1 ? cut.step : 1
    }
    return [try inputs[0].gathered(view)]
  }
}

extension UInt {
  fileprivate var clamped: Int { Int(Swift.min(self, UInt(Int.max))) }
}
