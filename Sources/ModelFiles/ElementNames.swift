import TensorCore

/// What element types are called in files.
extension DType {
  /// Its number in ONNX (TensorProto.DataType).
  var onnx: Int32 {
    switch self {
    case .float32: 1
    case .uint8: 2
    case .int8: 3
    case .uint16: 4
    case .int16: 5
    case .int32: 6
    case .int64: 7
    case .bool: 9
    case .float16: 10
    case .float64: 11
    case .uint32: 12
    case .uint64: 13
    case .bfloat16: 16
    }
  }

  init?(onnx number: Int32) {
    guard let type = Self.allCases.first(where: { $0.onnx == number }) else { return nil }
    self = type
  }

  /// As NumPy spells it out: `float32`.
  public var longName: String {
    switch self {
    case .float16: "float16"
    case .bfloat16: "bfloat16"
    case .float32: "float32"
    case .float64: "float64"
    case .int8: "int8"
    case .int16: "int16"
    case .int32: "int32"
    case .int64: "int64"
    case .uint8: "uint8"
    case .uint16: "uint16"
    case .uint32: "uint32"
    case .uint64: "uint64"
    case .bool: "bool"
    }
  }

  public init?(longName: String) {
    guard let type = Self.allCases.first(where: { $0.longName == longName }) else { return nil }
    self = type
  }

  /// What NumPy calls it in a file's head, without the order of bytes; nil of what it does not know.
  var numpy: String? {
    switch self {
    case .float32: "f4"
    case .float16: "f2"
    case .float64: "f8"
    case .bool: "b1"
    case .uint8: "u1"
    case .int8: "i1"
    case .uint16: "u2"
    case .int16: "i2"
    case .int32: "i4"
    case .int64: "i8"
    case .uint32: "u4"
    case .uint64: "u8"
    case .bfloat16: nil
    }
  }
}
