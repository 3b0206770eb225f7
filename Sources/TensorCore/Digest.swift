/// FNV-1a, 64 bits. Bytes one at a time for text; eight at a time for data, where speed matters more than
/// agreement with the published test vectors. Not cryptographic: it tells results apart, it does not protect them.
public struct Digest: Sendable, Equatable {
  public private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

  public init() {}

  /// Of the values' bytes.
  public init(of values: [Float]) {
    values.withUnsafeBytes { combine($0) }
  }

  public mutating func combine(_ text: String) {
    for byte in text.utf8 { step(UInt64(byte)) }
  }

  public mutating func combine(_ bytes: UnsafeRawBufferPointer) {
    let words = bytes.count / 8
    for i in 0..<words { step(bytes.loadUnaligned(fromByteOffset: i * 8, as: UInt64.self)) }
    for i in (words * 8)..<bytes.count { step(UInt64(bytes[i])) }
  }

  public mutating func combine(_ word: UInt64) { step(word) }

  @inline(__always) private mutating func step(_ word: UInt64) {
    value = (value ^ word) &* 0x100_0000_01b3
    value ^= value >> 29
  }

  /// Sixteen hexadecimal digits.
  public var hex: String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
