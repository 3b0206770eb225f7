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
    var count = 1
    for extent in extents {
      let (product, overflow) = count.multipliedReportingOverflow(by: extent)
      guard extent >= 0, !overflow, product < 1 << 40 else { return nil }
      count = product
    }
    return count
  }
  public subscript(axis: Int) -> Int { extents[axis] }
  public var description: String { extents.map(String.init).joined(separator: "x") }
}
