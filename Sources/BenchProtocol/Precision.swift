import RuntimeCore

/// How an engine is asked to store and multiply numbers.
public enum Precision: String, Sendable, Codable, CaseIterable, CustomStringConvertible {
  case fp32
  /// Stored in 16 bits, multiplied and summed in 32: in Pacer the pass `to-float16`.
  case fp16
  /// Stored and multiplied in 16 bits; a few products are summed in 16 bits, those sums in 32: `float16-arithmetic` too.
  case fp16Arithmetic = "fp16-arithmetic"
  /// Stored as 8-bit integers, summed exactly: in Pacer the pass `quantize-int8`.
  case int8

  public var description: String { rawValue }
}
