import TensorCore

#if canImport(Glibc)
  import Glibc
#else
  import Foundation
#endif

/// The C library's functions of one real number.
package enum RealFunction: Sendable {
  case exp, log, sin, cos, tan, asin, acos, atan, sinh, cosh, tanh, asinh, acosh, atanh, erf, expm1, log1p
}

/// A real type that the C library computes on.
package protocol LibraryReal: BinaryFloatingPoint, TensorElement {
  static func power(_ base: Self, _ exponent: Self) -> Self
  static func call(_ function: RealFunction) -> (Self) -> Self
}

extension Float: LibraryReal {
  package static func power(_ base: Float, _ exponent: Float) -> Float { powf(base, exponent) }
  package static func call(_ function: RealFunction) -> (Float) -> Float {
    switch function {
    case .exp: expf
    case .log: logf
    case .sin: sinf
    case .cos: cosf
    case .tan: tanf
    case .asin: asinf
    case .acos: acosf
    case .atan: atanf
    case .sinh: sinhf
    case .cosh: coshf
    case .tanh: tanhf
    case .asinh: asinhf
    case .acosh: acoshf
    case .atanh: atanhf
    case .erf: erff
    case .expm1: expm1f
    case .log1p: log1pf
    }
  }
}

extension Double: LibraryReal {
  package static func power(_ base: Double, _ exponent: Double) -> Double { pow(base, exponent) }
  package static func call(_ name: RealFunction) -> (Double) -> Double {
    switch name {
    case .exp: { exp($0) }
    case .log: { log($0) }
    case .sin: { sin($0) }
    case .cos: { cos($0) }
    case .tan: { tan($0) }
    case .asin: { asin($0) }
    case .acos: { acos($0) }
    case .atan: { atan($0) }
    case .sinh: { sinh($0) }
    case .cosh: { cosh($0) }
    case .tanh: { tanh($0) }
    case .asinh: { asinh($0) }
    case .acosh: { acosh($0) }
    case .atanh: { atanh($0) }
    case .erf: { erf($0) }
    case .expm1: { expm1($0) }
    case .log1p: { log1p($0) }
    }
  }
}
