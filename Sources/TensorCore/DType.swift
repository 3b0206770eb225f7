/// Element type of a tensor: all of ONNX's numeric ones. Every type can be stored and runs on the ops' own loops where an op
/// takes it; fast kernels exist for a few.
public enum DType: String, Hashable, Sendable, Codable, CaseIterable {
  case float16 = "f16"
  case bfloat16 = "bf16"
  case float32 = "f32"
  case float64 = "f64"
  case int8 = "i8"
  case int16 = "i16"
  case int32 = "i32"
  case int64 = "i64"
  case uint8 = "u8"
  case uint16 = "u16"
  case uint32 = "u32"
  case uint64 = "u64"
  /// One byte: 0 or 1.
  case bool = "bool"

  /// Bytes of one element.
  public var byteCount: Int {
    switch self {
    case .int8, .uint8, .bool: 1
    case .float16, .bfloat16, .int16, .uint16: 2
    case .float32, .int32, .uint32: 4
    case .float64, .int64, .uint64: 8
    }
  }

  public var isFloat: Bool {
    switch self {
    case .float16, .bfloat16, .float32, .float64: true
    default: false
    }
  }
}

extension DType {
  /// Whether float32 computations may read and write it: what is narrower is widened and rounded.
  package var isStoredFloat: Bool { self == .float32 || self == .float16 || self == .bfloat16 }
}

/// Google's 16-bit float: the upper half of a float32.
public struct BFloat16: Hashable, Sendable, BitwiseCopyable {
  public var bitPattern: UInt16
  public init(bitPattern: UInt16) { self.bitPattern = bitPattern }

  /// Rounds to the nearest, ties to even; NaN stays NaN.
  public init(_ value: Float) {
    guard !value.isNaN else {
      bitPattern = UInt16(value.bitPattern >> 16) | 0x40
      return
    }
    bitPattern = UInt16(truncatingIfNeeded: (value.bitPattern &+ 0x7FFF &+ (value.bitPattern >> 16 & 1)) >> 16)
  }
}

extension BFloat16 {
  /// Rounds once: what is cut off on the way to float32 is kept as a last bit that is odd.
  public init(_ value: Double) {
    var nearest = Float(value)
    if value.isFinite, nearest.isFinite, Double(nearest) != value {
      if Double(nearest).magnitude > value.magnitude {
        nearest = value < 0 ? nearest.nextUp : nearest.nextDown
      }
      nearest = Float(bitPattern: nearest.bitPattern | 1)
    }
    self.init(nearest)
  }
}

extension Float {
  public init(_ value: BFloat16) { self.init(bitPattern: UInt32(value.bitPattern) << 16) }
}

/// A type of Swift's whose values are a tensor's elements as they lie in memory.
public protocol TensorElement: BitwiseCopyable, Sendable {
  static var dtype: DType { get }
  /// The nearest there is: towards zero in integers, limits for what is beyond them, 0 for NaN.
  init(nearest value: Double)
  /// Of an integer that is too large the lower bits.
  init(integer value: Int64)
  var double: Double { get }
  /// Nil of a float; the upper half of unsigned 64-bit numbers is negative.
  var integer: Int64? { get }
}

extension TensorElement where Self: FixedWidthInteger {
  public init(nearest value: Double) {
    self = value.isNaN ? 0 : Self(exactly: value.rounded(.towardZero)) ?? (value < 0 ? .min : .max)
  }
  public init(integer value: Int64) { self.init(truncatingIfNeeded: value) }
  public var double: Double { Double(self) }
  public var integer: Int64? { Int64(truncatingIfNeeded: self) }
}

extension TensorElement where Self: BinaryFloatingPoint {
  public init(nearest value: Double) { self.init(value) }
  public init(integer value: Int64) { self.init(value) }
  public var double: Double { Double(self) }
  public var integer: Int64? { nil }
}

extension Float16: TensorElement { public static var dtype: DType { .float16 } }
extension Float: TensorElement { public static var dtype: DType { .float32 } }
extension Double: TensorElement { public static var dtype: DType { .float64 } }
extension Int8: TensorElement { public static var dtype: DType { .int8 } }
extension Int16: TensorElement { public static var dtype: DType { .int16 } }
extension Int32: TensorElement { public static var dtype: DType { .int32 } }
extension Int64: TensorElement { public static var dtype: DType { .int64 } }
extension UInt8: TensorElement { public static var dtype: DType { .uint8 } }
extension UInt16: TensorElement { public static var dtype: DType { .uint16 } }
extension UInt32: TensorElement { public static var dtype: DType { .uint32 } }
extension UInt64: TensorElement { public static var dtype: DType { .uint64 } }

extension BFloat16: TensorElement {
  public static var dtype: DType { .bfloat16 }
  public init(nearest value: Double) { self.init(value) }
  public init(integer value: Int64) {
    // Rounded once: of what a double has no room for, whether there was anything is kept as its last bit.
    let magnitude = value.magnitude
    let kept =
      magnitude < 1 << 53 ? Double(magnitude) : Double(magnitude >> 11 | (magnitude & 0x7FF != 0 ? 1 : 0)) * 2048
    self.init(value < 0 ? -kept : kept)
  }
  public var double: Double { Double(Float(self)) }
  public var integer: Int64? { nil }
}

extension Bool: TensorElement {
  public static var dtype: DType { .bool }
  public init(nearest value: Double) { self = value != 0 }
  public init(integer value: Int64) { self = value != 0 }
  public var double: Double { self ? 1 : 0 }
  public var integer: Int64? { self ? 1 : 0 }
}

extension DType {
  /// The type of Swift's that has the elements.
  package var element: any TensorElement.Type {
    switch self {
    case .float16: Float16.self
    case .bfloat16: BFloat16.self
    case .float32: Float.self
    case .float64: Double.self
    case .int8: Int8.self
    case .int16: Int16.self
    case .int32: Int32.self
    case .int64: Int64.self
    case .uint8: UInt8.self
    case .uint16: UInt16.self
    case .uint32: UInt32.self
    case .uint64: UInt64.self
    case .bool: Bool.self
    }
  }
}
