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
    case .shape: return .text("\(try Shape(checking: text))")
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
