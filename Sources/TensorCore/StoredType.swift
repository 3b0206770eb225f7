/// What results that are computed in float32 are rounded to: narrower floats, or integers that stand for numbers.
public struct StoredType: Hashable, Sendable, CustomStringConvertible {
  public let dtype: DType
  /// Nil of floats.
  public let quantization: Quantization?

  public static let float16 = StoredType(dtype: .float16, quantization: nil)

  public init(dtype: DType, quantization: Quantization?) { (self.dtype, self.quantization) = (dtype, quantization) }

  /// uint8 or int8 of one scale.
  public init(_ dtype: DType, scale: Float, zeroPoint: Int32 = 0) {
    self.init(dtype: dtype, quantization: Quantization(scale: scale, zeroPoint: zeroPoint))
  }

  /// Of what float32 becomes.
  package func type(of type: TensorType) -> TensorType {
    var stored = type
    (stored.dtype, stored.quantization) = (dtype, quantization)
    return stored
  }

  /// Whether something computed can be rounded to it.
  package var isStorable: Bool { quantization == nil ? dtype.isStoredFloat : dtype.quantizedRange != nil }

  public var description: String { dtype.rawValue + (quantization.map { " (\($0))" } ?? "") }
}

extension StoredType: Codable {
  private enum CodingKeys: CodingKey { case dtype, quantization }

  /// Of floats the name alone.
  public init(from decoder: any Decoder) throws {
    if let name = try? decoder.singleValueContainer().decode(DType.self) {
      self.init(dtype: name, quantization: nil)
      return
    }
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      dtype: try container.decode(DType.self, forKey: .dtype),
      quantization: try container.decode(Quantization.self, forKey: .quantization))
  }

  public func encode(to encoder: any Encoder) throws {
    guard let quantization else {
      var container = encoder.singleValueContainer()
      return try container.encode(dtype)
    }
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(dtype, forKey: .dtype)
    try container.encode(quantization, forKey: .quantization)
  }
}

extension DType {
  /// What integers of this type there are, where numbers are rounded to them.
  package var quantizedRange: ClosedRange<Int>? {
    switch self {
    case .int8: -128...127
    case .uint8: 0...255
    case .int16: -32768...32767
    case .uint16: 0...65535
    default: nil
    }
  }

  /// The nearest integer, halves to the even one, moved by a zero point and held within the type. What is no number becomes the
  /// lowest one.
  /// - Precondition: it is one that numbers are rounded to.
  package func quantized(_ value: Float, zeroPoint: Int) -> Int64 {
    let range = quantizedRange!
    let rounded = value.rounded(.toNearestOrEven)
    let (low, high) = (Float(range.lowerBound - zeroPoint), Float(range.upperBound - zeroPoint))
    return Int64(rounded > low ? min(rounded, high) : low) + Int64(zeroPoint)
  }
}

extension Tensor {
  /// Integers that stand for the numbers of a float32 tensor: `saturate(round(x / scale) + zeroPoint)`, in NCHW.
  package func quantized(to stored: StoredType) throws -> Tensor {
    let quantization = stored.quantization!
    let (extent, inner) = quantization.grid(of: shape)
    let integers = values.enumerated().map { index, value in
      let place = index / inner % extent
      return stored.dtype.quantized(
        value / quantization.scales[place], zeroPoint: Int(quantization.zeroPoints[place]))
    }
    return try Tensor(quantized: shape, integers, stored)
  }

  /// Integers in NCHW order with what they stand for.
  package init(quantized shape: Shape, _ integers: [Int64], _ stored: StoredType) throws {
    let plain = try Tensor(shape, integers, stored.dtype)
    self.init(type: stored.type(of: plain.type), storage: plain.storage)
  }

  /// Its integers in NCHW order.
  /// - Precondition: it has such.
  package func allIntegers() throws -> [Int64] { try converted(to: .nchw).integers! }

  /// As ops that compute float32 read it: narrower floats and integers that stand for numbers as those numbers.
  package func widened() throws -> Tensor {
    type.quantization == nil ? try rounded(to: type.widened.dtype) : try Tensor(shape, values)
  }

  /// As it is stored behind such an op.
  package func stored(as stored: StoredType) throws -> Tensor {
    stored.quantization == nil ? try rounded(to: stored.dtype) : try quantized(to: stored)
  }
}
