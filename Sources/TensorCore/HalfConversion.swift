/// Conversion between 16- and 32-bit floats for many numbers at once: whole numbers' arithmetic alone, so that the compiler makes
/// vectors of it on any processor. The bits are those of Swift's own conversions.
package enum HalfConversion {
  package static func widen(
    _ source: UnsafePointer<Float16>, to target: UnsafeMutablePointer<Float>, count: Int
  ) {
    for i in 0..<count {
      let half = UInt32(source[i].bitPattern)
      // Its exponent is 112 less than it should be: a product mends that, of numbers without a leading one too.
      let scaled = (Float(bitPattern: (half & 0x7FFF) &<< 13) * 0x1p112).bitPattern
      let special: UInt32 = half & 0x7C00 == 0x7C00 ? 0x7F80_0000 : 0
      // Of what is no number, the bit that keeps it quiet.
      let quiet: UInt32 = half & 0x7FFF > 0x7C00 ? 0x40_0000 : 0
      target[i] = Float(bitPattern: scaled | special | quiet | (half & 0x8000) &<< 16)
    }
  }

  /// Rounds to the nearest, ties to even; beyond the largest lies infinity.
  package static func narrow(
    _ source: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float16>, count: Int
  ) {
    for i in 0..<count {
      let bits = source[i].bitPattern
      let magnitude = bits & 0x7FFF_FFFF
      let normal = (magnitude &+ 0xC800_0FFF &+ (magnitude &>> 13 & 1)) &>> 13
      // Added to a half, what is too small for a leading one is rounded by the addition, in the last bits.
      let small = (Float(bitPattern: magnitude) + 0.5).bitPattern &- 0x3F00_0000
      let special: UInt32 = magnitude > 0x7F80_0000 ? 0x7E00 | (magnitude &>> 13 & 0x3FF) : 0x7C00
      let finite = magnitude < 0x3880_0000 ? small : normal
      let half = magnitude >= 0x4780_0000 ? special : finite
      target[i] = Float16(bitPattern: UInt16(truncatingIfNeeded: half | (bits &>> 16 & 0x8000)))
    }
  }
}
