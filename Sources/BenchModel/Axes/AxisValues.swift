import BenchProtocol
import TensorCore

/// What may be chosen on an axis: what suggestions, help texts and schemas are made from.
public enum AxisValues: Sendable {
  case names([String])
  /// Names that the catalogue knows, and other spellings of them.
  case known(@Sendable (Catalog) -> [(name: String, aliases: [String])])
  /// The same, or nothing, which is called so.
  case optionalNames([String], none: String)
  case optionalKnown(@Sendable (Catalog) -> [(name: String, aliases: [String])], none: String)
  case numbers(ClosedRange<Int>)
  case flag
  case shape
  /// Any text; none is called so.
  case text(none: String)
  /// A file's path; none is called so. Paths may contain commas: there is one.
  case path(none: String)

  /// The value that a text means; nil for none.
  /// - Throws: ``UserError`` or ``UnknownName``.
  func parse(_ text: String, _ key: String, _ catalog: Catalog) throws -> AxisValue? {
    switch self {
    case .names(let names): return try Self.choose(text, names.map { ($0, []) }, key)
    case .known(let list): return try Self.choose(text, list(catalog), key)
    case .optionalNames(let names, let none):
      return text == none ? nil : try Self.choose(text, names.map { ($0, []) } + [(none, [])], key)
    case .optionalKnown(let list, let none):
      return text == none ? nil : try Self.choose(text, list(catalog) + [(none, [])], key)
    case .numbers(let range):
      guard let number = Int(text), range.contains(number) else {
        throw UserError("\(key) is a whole number from \(range.lowerBound) to \(range.upperBound), not \"\(text)\"")
      }
      return .number(number)
    case .flag:
      guard ["on", "off", "true", "false"].contains(text) else {
        throw UserError("\(key) is on or off, not \"\(text)\"")
      }
      return .flag(["on", "true"].contains(text))
    case .shape: return .text("\(try Self.shape(text))")
    case .text, .path:
      guard !text.isEmpty else { throw UserError("\(key) is empty") }
      return .text(text)
    }
  }

  private static func choose(_ text: String, _ known: [(name: String, aliases: [String])], _ key: String) throws
    -> AxisValue
  {
    if let found = known.first(where: { $0.name == text || $0.aliases.contains(text) }) { return .text(found.name) }
    throw UnknownName(kind: key, name: text, known: known.map(\.name))
  }

  /// A shape as it is written, such as 1x3x224x224.
  /// - Throws: ``UserError`` where it is none, or too large.
  static func shape(_ text: String) throws -> Shape {
    let parts = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
    guard !parts.isEmpty, parts.allSatisfy({ $0.map { (1...65536).contains($0) } ?? false }) else {
      throw UserError("shape must look like 1x3x224x224, not \"\(text)\"")
    }
    let shape = Shape(parts.compactMap { $0 })
    guard shape.elementCount.map({ $0 <= 1 << 30 }) == true else {
      throw UserError("shape \(text) is larger than 4 GiB")
    }
    return shape
  }

  /// What the absence of a choice is called.
  var nameOfNone: String {
    switch self {
    case .optionalNames(_, let none), .optionalKnown(_, let none), .text(let none), .path(let none): none
    case .shape: "the model's own"
    case .names, .known, .numbers, .flag: "none"
    }
  }

  /// Every value there is; nil where they cannot be listed.
  public func names(_ catalog: Catalog) -> [String]? {
    switch self {
    case .names(let names): names
    case .optionalNames(let names, let none): names + [none]
    case .known(let list): list(catalog).map(\.name)
    case .optionalKnown(let list, let none): list(catalog).map(\.name) + [none]
    case .flag: ["on", "off"]
    case .numbers, .shape, .text, .path: nil
    }
  }

  /// Whether a comma divides values.
  public var isList: Bool { if case .path = self { false } else { true } }

  /// Whether a value is the path of a file, whose content counts rather than its name.
  public var isPath: Bool { if case .path = self { true } else { false } }
}

extension Shape: AxisRepresentable {
  public init?(axisValue: AxisValue?) {
    guard case .text(let text) = axisValue, let shape = try? AxisValues.shape(text) else { return nil }
    self = shape
  }
  public var axisValue: AxisValue? { .text("\(self)") }
}
