import TensorCore

#if canImport(Glibc)
  import Glibc
#else
  import Foundation
#endif

/// A function of each pair of elements of two tensors of one element type and format, broadcast where their shapes differ.
public struct Binary: FusingOp {
  public static let name = "binary"

  public enum Function: String, Sendable, Codable, CaseIterable {
    case add, subtract, multiply
    /// Of integers towards zero; by zero 0.
    case divide
    /// NaN where either is.
    case minimum, maximum
    case power
    /// The remainder with the sign of the divisor (ONNX, Mod), and with that of the dividend (its `fmod`).
    case modulo, remainder
    /// `a` where it is not below 0, else `a · b`.
    case prelu
    case equal, less
    case lessOrEqual = "less_or_equal"
    case greater
    case greaterOrEqual = "greater_or_equal"
    /// Of bools, and of the bits of integers.
    case and, or, xor
    case shiftLeft = "shift_left"
    case shiftRight = "shift_right"

    /// Whether it answers with bools.
    public var compares: Bool {
      switch self {
      case .equal, .less, .lessOrEqual, .greater, .greaterOrEqual: true
      default: false
      }
    }
  }

  public var function: Function
  /// Of additions of float32 alone.
  public var epilogue: Epilogue?

  public init(_ function: Function, epilogue: Epilogue? = nil) { (self.function, self.epilogue) = (function, epilogue) }

  public var name: String { function.rawValue }
  public var attributes: [(String, String)] { epilogueAttribute }
  public var elementTypes: ElementTypes { .numbers }
  public var formatRule: FormatRule { .broadcasts }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 2, "\(name) takes 2 inputs, not \(inputs.count)")
    let (a, b) = (inputs[0], inputs[1])
    try expect(a.dtype == b.dtype, "\(name) needs one element type: \(a) and \(b)")
    let takes =
      switch function {
      case .equal: true
      case .and, .or, .xor: !a.dtype.isFloat
      case .shiftLeft, .shiftRight: !a.dtype.isFloat && a.dtype != .bool
      default: a.dtype != .bool
      }
    try expect(takes, "\(name) does not work on \(a.dtype.rawValue)")
    let shape = try Broadcast.shape([a.shape, b.shape], name)
    try epilogue?.check(channels: shape.rank > 1 ? shape[1] : 1, name)
    try expect(
      epilogue == nil || function == .add && a.dtype == .float32,
      "an addition of f32 may end with an activation, not \(name) of \(a.dtype.rawValue)")
    let formats = Set(inputs.filter { !$0.liesAlike }.map(\.format))
    try expect(formats.count <= 1, "\(name) needs one format: \(a) and \(b)")
    let format = formats.first ?? (inputs.contains { $0.format == .nhwc } ? .nhwc : .nchw)
    return [TensorType(shape, function.compares ? .bool : a.dtype, format)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    switch inputs[0].type.dtype {
    case .float32: float(Float.self, inputs, result)
    case .float64: float(Double.self, inputs, result)
    case .int8: integer(Int8.self, inputs, result)
    case .int16: integer(Int16.self, inputs, result)
    case .int32: integer(Int32.self, inputs, result)
    case .int64: integer(Int64.self, inputs, result)
    case .uint8, .bool: integer(UInt8.self, inputs, result)
    case .uint16: integer(UInt16.self, inputs, result)
    case .uint32: integer(UInt32.self, inputs, result)
    case .uint64: integer(UInt64.self, inputs, result)
    case .float16, .bfloat16: preconditionFailure("narrow floats are widened before")
    }
    if let epilogue { result.apply(epilogue) }
    return [result]
  }

  private func compare<Element: Comparable & BitwiseCopyable>(
    _: Element.Type, _ inputs: [Tensor], _ result: Tensor
  ) -> Bool {
    func each(_ function: (Element, Element) -> Bool) -> Bool {
      Broadcast.combine(inputs[0], inputs[1], into: result) { (a: Element, b: Element) in
        function(a, b) ? 1 as UInt8 : 0
      }
      return true
    }
    return switch function {
    case .equal: each { $0 == $1 }
    case .less: each { $0 < $1 }
    case .lessOrEqual: each { $0 <= $1 }
    case .greater: each { $0 > $1 }
    case .greaterOrEqual: each { $0 >= $1 }
    default: false
    }
  }

  private func float<Real: LibraryReal>(_ kind: Real.Type, _ inputs: [Tensor], _ result: Tensor) {
    func each(_ function: (Real, Real) -> Real) { Broadcast.combine(inputs[0], inputs[1], into: result, function) }
    switch function {
    case .add: each { $0 + $1 }
    case .subtract: each { $0 - $1 }
    case .multiply: each { $0 * $1 }
    case .divide: each { $0 / $1 }
    case .power: each { Real.power($0, $1) }
    case .modulo:
      each { a, b in
        let remainder = a.truncatingRemainder(dividingBy: b)
        return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder
      }
    case .remainder: each { $0.truncatingRemainder(dividingBy: $1) }
    case .minimum: each { $0 < $1 || $0.isNaN ? $0 : $1 }
    case .maximum: each { $0 > $1 || $0.isNaN ? $0 : $1 }
    case .prelu: each { $0 < 0 ? $0 * $1 : $0 }
    default: _ = compare(kind, inputs, result)
    }
  }

  private func integer<Whole: FixedWidthInteger & BitwiseCopyable>(
    _ kind: Whole.Type, _ inputs: [Tensor], _ result: Tensor
  ) {
    func each(_ function: (Whole, Whole) -> Whole) { Broadcast.combine(inputs[0], inputs[1], into: result, function) }
    switch function {
    case .add: each { $0 &+ $1 }
    case .subtract: each { $0 &- $1 }
    case .multiply: each { $0 &* $1 }
    case .divide: each { $1 == 0 ? 0 : $0.dividedReportingOverflow(by: $1).partialValue }
    case .power: each { Self.power($0, $1) }
    case .modulo:
      each { a, b in
        let remainder = b == 0 ? 0 : a.remainderReportingOverflow(dividingBy: b).partialValue
        return remainder != 0 && (remainder < 0) != (b < 0) ? remainder &+ b : remainder
      }
    case .remainder: each { $1 == 0 ? 0 : $0.remainderReportingOverflow(dividingBy: $1).partialValue }
    case .minimum: each { min($0, $1) }
    case .maximum: each { max($0, $1) }
    case .prelu: each { $0 < 0 ? $0 &* $1 : $0 }
    case .and: each { $0 & $1 }
    case .or: each { $0 | $1 }
    case .xor: each { $0 ^ $1 }
    // By a negative count as by one that is too large: nothing is left but the sign.
    case .shiftLeft: each { $1 < 0 ? 0 : $0 << $1 }
    case .shiftRight: each { $1 < 0 ? ($0 < 0 ? 0 &- 1 : 0) : $0 >> $1 }
    default: _ = compare(kind, inputs, result)
    }
  }

  private static func power<Whole: FixedWidthInteger>(_ base: Whole, _ exponent: Whole) -> Whole {
    // Of a number's inverse nothing is left but of 1 and −1.
    guard exponent >= 0 else { return base == 1 || base &+ 1 == 0 && exponent % 2 == 0 ? 1 : base &+ 1 == 0 ? base : 0 }
    var (result, square, rest) = (1 as Whole, base, exponent)
    while rest > 0 {
      if rest & 1 == 1 { result = result &* square }
      square = square &* square
      rest >>= 1
    }
    return result
  }
}

extension Binary {
  /// Whether an op is this function of two tensors.
  package static func computes(_ function: Function, _ op: any Op) -> Bool { (op as? Binary)?.function == function }
}
