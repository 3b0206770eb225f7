import TensorCore

/// What a file of weights says its elements are.
enum FileElement: Equatable, Sendable {
  case plain(DType)
  /// Eight bits that become float32: there is no such `DType`.
  case float8(Float8)
  /// One that is not read, by its name in the file.
  case unread(String)

  /// Bytes of an element in the file; nil where they are not known.
  var byteCount: Int? {
    switch self {
    case .plain(let dtype): dtype.byteCount
    case .float8: 1
    case .unread: nil
    }
  }

  /// Type of a tensor that is made of it without loss; nil where none is.
  var dtype: DType? {
    switch self {
    case .plain(let dtype): dtype
    case .float8: .float32
    case .unread: nil
    }
  }

  var description: String {
    switch self {
    case .plain(let dtype): dtype.rawValue
    case .float8(let kind): "f8_\(kind.rawValue)"
    case .unread(let name): FileText.name(name)
    }
  }

  /// Names in the safetensors format; F8_E4M3 is PyTorch's float8_e4m3fn.
  init(safetensors name: String) { self = Self.safetensors[name] ?? .unread(name) }

  /// A typed storage, such as `FloatStorage` in the module `torch`; nil where there is none of this name.
  init?(torchStorage name: String) {
    guard let type = Self.torchStorages[name] else { return nil }
    self = type
  }

  /// A `torch.dtype`, such as `float8_e5m2` in the module `torch`; nil where there is none of this name.
  init?(torch name: String) {
    guard let type = Self.torch[name] ?? (Self.unread.contains(name) ? .unread(name) : nil) else { return nil }
    self = type
  }

  private static let safetensors: [String: FileElement] = [
    "F64": .plain(.float64), "F32": .plain(.float32), "F16": .plain(.float16), "BF16": .plain(.bfloat16),
    "I64": .plain(.int64), "I32": .plain(.int32), "I16": .plain(.int16), "I8": .plain(.int8),
    "U64": .plain(.uint64), "U32": .plain(.uint32), "U16": .plain(.uint16), "U8": .plain(.uint8),
    "BOOL": .plain(.bool), "F8_E4M3": .float8(.e4m3fn), "F8_E5M2": .float8(.e5m2), "F8_E8M0": .float8(.e8m0fnu),
    "F8_E4M3FNUZ": .float8(.e4m3fnuz), "F8_E5M2FNUZ": .float8(.e5m2fnuz),
  ]

  private static let torchStorages: [String: FileElement] = [
    "DoubleStorage": .plain(.float64), "FloatStorage": .plain(.float32), "HalfStorage": .plain(.float16),
    "BFloat16Storage": .plain(.bfloat16), "LongStorage": .plain(.int64), "IntStorage": .plain(.int32),
    "ShortStorage": .plain(.int16), "CharStorage": .plain(.int8), "ByteStorage": .plain(.uint8),
    "BoolStorage": .plain(.bool), "ComplexFloatStorage": .unread("complex64"),
    "ComplexDoubleStorage": .unread("complex128"),
  ]

  private static let torch: [String: FileElement] = [
    "float64": .plain(.float64), "float32": .plain(.float32), "float16": .plain(.float16),
    "bfloat16": .plain(.bfloat16), "int64": .plain(.int64), "int32": .plain(.int32), "int16": .plain(.int16),
    "int8": .plain(.int8), "uint64": .plain(.uint64), "uint32": .plain(.uint32), "uint16": .plain(.uint16),
    "uint8": .plain(.uint8), "bool": .plain(.bool), "float8_e4m3fn": .float8(.e4m3fn), "float8_e5m2": .float8(.e5m2),
    "float8_e4m3fnuz": .float8(.e4m3fnuz), "float8_e5m2fnuz": .float8(.e5m2fnuz), "float8_e8m0fnu": .float8(.e8m0fnu),
  ]

  /// Types of PyTorch's that a tensor beside the weights may have: none is read.
  private static let unread: Set<String> = Set(
    ["complex32", "complex64", "complex128", "float4_e2m1fn_x2", "bits8", "bits16", "bits1x8", "bits2x4", "bits4x2"]
      + (1...7).flatMap { ["int\($0)", "uint\($0)"] })
}

/// Floats of eight bits, by the last part of PyTorch's names. Source: https://github.com/jax-ml/ml_dtypes, "Specifications".
enum Float8: String, Sendable {
  /// No infinity, and NaN where all bits but the sign are set.
  case e4m3fn
  /// As IEEE's would be.
  case e5m2
  /// No infinity and no -0, whose bits are NaN.
  case e4m3fnuz, e5m2fnuz
  /// No sign and no fraction: powers of two, for scales.
  case e8m0fnu

  /// What the 256 of them are, by their bits.
  var values: [Float] { (0...255).map(value) }

  private func value(_ bits: Int) -> Float {
    if self == .e8m0fnu {
      return bits == 255 ? .nan : Float(sign: .plus, exponent: bits - 127, significand: 1)
    }
    let fractionBits = self == .e4m3fn || self == .e4m3fnuz ? 3 : 2
    let bias =
      switch self {
      case .e4m3fn: 7
      case .e4m3fnuz: 8
      case .e5m2: 15
      default: 16
      }
    switch (self, bits & 0x7F) {
    case (.e4m3fn, 0x7F), (.e5m2, 0x7D...): return .nan
    case (.e5m2, 0x7C): return bits < 128 ? .infinity : -.infinity
    case (.e4m3fnuz, 0) where bits == 128, (.e5m2fnuz, 0) where bits == 128: return .nan
    default: break
    }
    let (exponent, fraction) = ((bits & 0x7F) >> fractionBits, bits & ((1 << fractionBits) - 1))
    let significand = exponent == 0 ? fraction : fraction + 1 << fractionBits
    let magnitude = Float(
      sign: .plus, exponent: max(exponent, 1) - bias - fractionBits, significand: Float(significand))
    return bits < 128 ? magnitude : -magnitude
  }
}
