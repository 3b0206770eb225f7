import TensorCore

/// Types of NNAPI's operands, by the numbers of `NeuralNetworks.h` (API level 30).
public enum OperandType: Int32, NamedNumber, CodingKeyRepresentable {
  case float32 = 0
  case int32 = 1
  case uint32 = 2
  case tensorFloat32 = 3
  case tensorInt32 = 4
  case tensorQuant8Asymm = 5
  case bool = 6
  case tensorQuant16Symm = 7
  case tensorFloat16 = 8
  case tensorBool8 = 9
  case float16 = 10
  case tensorQuant8SymmPerChannel = 11
  case tensorQuant16Asymm = 12
  case tensorQuant8Symm = 13
  case tensorQuant8AsymmSigned = 14
  case model = 15

  public static let names = [
    "FLOAT32", "INT32", "UINT32", "TENSOR_FLOAT32", "TENSOR_INT32", "TENSOR_QUANT8_ASYMM", "BOOL",
    "TENSOR_QUANT16_SYMM", "TENSOR_FLOAT16", "TENSOR_BOOL8", "FLOAT16", "TENSOR_QUANT8_SYMM_PER_CHANNEL",
    "TENSOR_QUANT16_ASYMM", "TENSOR_QUANT8_SYMM", "TENSOR_QUANT8_ASYMM_SIGNED", "MODEL",
  ]

  public var codingKey: any CodingKey { Name(stringValue: description)! }
  public init?<Key: CodingKey>(codingKey: Key) { self.init(name: codingKey.stringValue) }

  private struct Name: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  /// The type that a tensor has as an operand; nil where NNAPI has none.
  public init?(_ type: TensorType) {
    let quantization = type.quantization
    let isSymmetric = quantization?.zeroPoints.allSatisfy { $0 == 0 } ?? true
    switch (type.dtype, quantization) {
    case (.float32, nil): self = .tensorFloat32
    case (.float16, nil): self = .tensorFloat16
    case (.int32, _): self = .tensorInt32
    case (.bool, nil): self = .tensorBool8
    case (.uint8, let quantization?) where quantization.axis == nil: self = .tensorQuant8Asymm
    case (.int8, let quantization?) where quantization.axis == nil: self = .tensorQuant8AsymmSigned
    case (.int8, _?) where isSymmetric: self = .tensorQuant8SymmPerChannel
    case (.uint16, let quantization?) where quantization.axis == nil: self = .tensorQuant16Asymm
    case (.int16, let quantization?) where quantization.axis == nil && isSymmetric: self = .tensorQuant16Symm
    default: return nil
    }
  }
}
