import BenchProtocol
import Foundation
import ModelFiles
import TensorCore

/// What may be chosen on an axis: what suggestions, help texts and schemas are made from.
public enum AxisValues: Sendable {
  case names([String])
  /// Names that the catalogue knows, and other spellings of them.
  case known(@Sendable (Catalog) -> [(name: String, aliases: [String])])
  /// The same, or nothing, which is called so.
  case optionalNames([String], none: String)
  case optionalKnown(@Sendable (Catalog) -> [(name: String, aliases: [String])], none: String)
  /// A model that the catalogue knows, or a file's path.
  case model
  /// Which output is right: a file's path, a folder's, or an engine's name.
  case expectation(none: String)
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
    case .shape: return .text("\(try InputShapes(checking: text))")
    case .model: return .text(try Self.model(text, key, catalog).text)
    case .text, .path:
      guard !text.isEmpty else { throw UserError("\(key) is empty") }
      return .text(text)
    case .expectation:
      guard !text.isEmpty else { throw UserError("\(key) is empty") }
      // What is there is a file, whatever it is called; engines have names without dots.
      let isPlain = !text.contains(where: { "/.".contains($0) })
      return .text(isPlain && FileManager.default.fileExists(atPath: text) ? "./\(text)" : text)
    }
  }

  /// A model by its name, or a file with what it holds now.
  private static func model(_ text: String, _ key: String, _ catalog: Catalog) throws -> ModelReference {
    if let known = catalog.models.first(where: { $0.name == text || $0.aliases.contains(text) }) {
      return .name(known.name)
    }
    var isFolder: ObjCBool = false
    let exists = FileManager.default.fileExists(atPath: text, isDirectory: &isFolder)
    guard exists || text.contains("/") || text.contains(".") else {
      throw UnknownName(kind: key, name: text, known: catalog.models.map(\.name))
    }
    guard exists, !isFolder.boolValue else {
      throw UserError("\(text) cannot be read: \(exists ? "it is a folder" : "no such file")")
    }
    guard ["onnx", PacerFile.nameExtension].contains((text as NSString).pathExtension.lowercased()) else {
      throw UserError(
        "\(text): a model is an ONNX file (.onnx), one that optimize wrote (.pacer), or one of "
          + catalog.models.map(\.name).joined(separator: ", "))
    }
    let path = URL(fileURLWithPath: text).standardizedFileURL.path
    do { return .file(path: path, digest: try ModelDigest.of(path)) } catch { throw UserError("\(error)") }
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
    case .optionalNames(_, let none), .optionalKnown(_, let none), .text(let none), .path(let none),
      .expectation(let none):
      none
    case .shape: "the model's own"
    case .model, .names, .known, .numbers, .flag: "none"
    }
  }

  /// Every value there is; nil where they cannot be listed.
  public func names(_ catalog: Catalog) -> [String]? {
    switch self {
    case .names(let names): names
    case .optionalNames(let names, let none): names + [none]
    case .known(let list): list(catalog).map(\.name)
    case .optionalKnown(let list, let none): list(catalog).map(\.name) + [none]
    case .model: catalog.models.map(\.name)
    case .flag: ["on", "off"]
    case .numbers, .shape, .text, .path, .expectation: nil
    }
  }

  /// Whether a comma divides values.
  public var isList: Bool {
    switch self {
    case .path, .expectation: false
    default: true
    }
  }

  /// The file or folder that a choice names, whose content counts rather than its name; nil for none.
  public func path(of choice: AxisValue) -> String? {
    switch self {
    case .path: choice.text
    case .model: ModelReference(choice.text).path
    case .expectation: choice.text.contains(where: { "/.".contains($0) }) ? choice.text : nil
    default: nil
    }
  }

  /// The choice with another path.
  func moving(_ choice: AxisValue, to path: String) -> AxisValue {
    if case .file(_, let digest) = ModelReference(choice.text) {
      return .text(ModelReference.file(path: path, digest: digest).text)
    }
    return .text(path)
  }
}
