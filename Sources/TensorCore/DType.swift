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
}
extension Float16: TensorElement { public static var dtype: DType { .float16 } }
extension BFloat16: TensorElement { public static var dtype: DType { .bfloat16 } }
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
extension Bool: TensorElement { public static var dtype: DType { .bool } }
