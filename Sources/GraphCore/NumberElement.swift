import TensorCore

/// Elements that are compared, added and multiplied as what they are. Integers wrap around.
package protocol NumberElement: TensorElement, Comparable, ExpressibleByIntegerLiteral {
  static func sum(_ a: Self, _ b: Self) -> Self
  static func product(_ a: Self, _ b: Self) -> Self
  /// Whether it is no number at all.
  var isUndefined: Bool { get }
}

extension NumberElement where Self: FixedWidthInteger {
  package static func sum(_ a: Self, _ b: Self) -> Self { a &+ b }
  package static func product(_ a: Self, _ b: Self) -> Self { a &* b }
  package var isUndefined: Bool { false }
}

extension NumberElement where Self: BinaryFloatingPoint {
  package static func sum(_ a: Self, _ b: Self) -> Self { a + b }
  package static func product(_ a: Self, _ b: Self) -> Self { a * b }
  package var isUndefined: Bool { isNaN }
}

extension NumberElement {
  /// An order of all of them: what is no number comes last.
  package static func isOrdered(_ a: Self, before b: Self) -> Bool { a < b || b.isUndefined && !a.isUndefined }
  /// The larger one; what is no number where either is none.
  package static func larger(_ a: Self, _ b: Self) -> Self { a > b || a.isUndefined ? a : b }
  package static func smaller(_ a: Self, _ b: Self) -> Self { a < b || a.isUndefined ? a : b }
}

extension Float: NumberElement {}
extension Double: NumberElement {}
extension Int8: NumberElement {}
extension Int16: NumberElement {}
extension Int32: NumberElement {}
extension Int64: NumberElement {}
extension UInt8: NumberElement {}
extension UInt16: NumberElement {}
extension UInt32: NumberElement {}
extension UInt64: NumberElement {}

/// Calls `body` with Swift's type for elements that are computed with. Bools are bytes.
/// - Throws: ``GraphError`` of narrow floats, which are widened before, and what `body` throws.
package func withNumbers<Result>(
  of dtype: DType, _ body: (any NumberElement.Type) throws -> Result
) throws -> Result {
  switch dtype {
  case .float32: try body(Float.self)
  case .float64: try body(Double.self)
  case .int8: try body(Int8.self)
  case .int16: try body(Int16.self)
  case .int32: try body(Int32.self)
  case .int64: try body(Int64.self)
  case .uint8, .bool: try body(UInt8.self)
  case .uint16: try body(UInt16.self)
  case .uint32: try body(UInt32.self)
  case .uint64: try body(UInt64.self)
  case .float16, .bfloat16: throw GraphError("\(dtype.rawValue) is widened before")
  }
}

extension Tensor {
  /// The elements, of whatever type of Swift's has their size.
  package func pointer<Element: BitwiseCopyable>(to: Element.Type) -> UnsafeMutablePointer<Element> {
    storage.pointer.assumingMemoryBound(to: Element.self)
  }
}
