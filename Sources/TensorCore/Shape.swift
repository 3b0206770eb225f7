/// The extents of a tensor, outermost first. Images are `[batch, channels, height, width]`
/// whatever their memory format: the format says how the elements lie, the shape what they are.
public struct Shape: Hashable, Sendable, Codable, ExpressibleByArrayLiteral, CustomStringConvertible {
  public var extents: [Int]

  public init(_ extents: [Int]) { self.extents = extents }
  public init(arrayLiteral extents: Int...) { self.extents = extents }

  public init(from decoder: any Decoder) throws { extents = try [Int](from: decoder) }
  public func encode(to encoder: any Encoder) throws { try extents.encode(to: encoder) }

  public var rank: Int { extents.count }
  /// Number of elements; 1 for a scalar.
  public var count: Int { extents.reduce(1, *) }
  /// The same, or nil where an extent is negative or no memory could hold so many elements: for shapes from outside.
  public var elementCount: Int? {
    // Beside an extent of 0 the others are limited too: their products are strides.
    var (count, isEmpty) = (1, false)
    for extent in extents {
      let (product, overflow) = count.multipliedReportingOverflow(by: max(extent, 1))
      guard extent >= 0, !overflow, product < 1 << 40 else { return nil }
      count = product
      if extent == 0 { isEmpty = true }
    }
    return isEmpty ? 0 : count
  }
  public subscript(axis: Int) -> Int { extents[axis] }
  public var description: String { extents.map(String.init).joined(separator: "x") }
}
