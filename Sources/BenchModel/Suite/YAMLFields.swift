import BenchProtocol
import Foundation
import TensorCore
import Yams

/// A mapping whose mistakes are reported with file and line.
struct YAMLFields {
  let file: String
  private let values: [String: Node]

  /// - Parameter former: other names of some keys.
  init(_ node: Node, file: String, known: [String], former: [(key: String, former: String?)] = []) throws {
    self.file = file
    guard let mapping = node.mapping else { throw UserError("\(Self.place(node, file)): expected key: value pairs") }
    var values: [String: Node] = [:]
    for (key, value) in mapping {
      let written = key.string ?? ""
      let name = former.first { $0.former == written }?.key ?? written
      guard known.contains(name) else {
        throw UserError("\(Self.place(key, file)): \(UnknownName(kind: "key", name: name, known: known))")
      }
      guard values.updateValue(value, forKey: name) == nil else {
        throw UserError("\(Self.place(key, file)): \(name) is there twice")
      }
    }
    self.values = values
  }

  subscript(key: String) -> Node? { values[key] }
  func place(_ node: Node) -> String { Self.place(node, file) }
  static func place(_ node: Node, _ file: String) -> String { "\(file):\(node.mark?.line ?? 1)" }

  func double(_ key: String) throws -> Double? {
    guard let node = values[key] else { return nil }
    guard let value = node.float ?? node.int.map(Double.init), Limits.seconds.contains(value) else {
      throw UserError(
        "\(place(node)): \(key) must be a positive number of at most \(Int(Limits.seconds.upperBound)), not "
          + "\"\(node.string ?? "")\"")
    }
    return value
  }

  func int(_ key: String, _ range: ClosedRange<Int>) throws -> Int? {
    guard let node = values[key] else { return nil }
    guard let value = node.int, range.contains(value) else {
      throw UserError(
        "\(place(node)): \(key) must be a whole number from \(range.lowerBound) to \(range.upperBound), not "
          + "\"\(node.string ?? "")\"")
    }
    return value
  }

  func flag(_ key: String) throws -> Bool? {
    guard let node = values[key] else { return nil }
    guard let value = node.bool else {
      throw UserError("\(place(node)): \(key) is true or false, not \"\(node.string ?? "")\"")
    }
    return value
  }

  func text(_ key: String) throws -> String? {
    guard let node = values[key] else { return nil }
    guard let text = node.string else { throw UserError("\(place(node)): \(key) must be a text") }
    return text
  }

  /// The name under which results are kept: what `name:` says, or what the file is called.
  func name() throws -> String {
    guard let node = values["name"] else {
      let stem = (file as NSString).deletingPathExtension
      let plain = stem.split { !Self.isPartOfName($0) }.joined(separator: "-")
      return plain.isEmpty ? "suite" : plain
    }
    guard let name = node.string, Self.isName(name) else {
      throw UserError(
        "\(place(node)): a name is letters, digits and hyphens, such as my-suite, not \"\(node.string ?? "")\"")
    }
    return name
  }

  /// Whether a name can be that of a file, and of nothing else.
  static func isName(_ text: String) -> Bool {
    !text.isEmpty && text.count <= 100 && text.allSatisfy(isPartOfName) && text.first != "-"
  }
  private static func isPartOfName(_ character: Character) -> Bool {
    character.isASCII && (character.isLetter || character.isNumber || character == "-" || character == "_")
  }

  /// A list; nil where the key is not there.
  /// - Throws: ``UserError`` where it is there and no list, or an empty one: what it should name would be left out.
  func list(_ key: String) throws -> [Node]? {
    guard let node = values[key] else { return nil }
    guard let list = node.sequence else {
      throw UserError("\(place(node)): \(key) must be a list of configurations, each behind a dash")
    }
    guard !list.isEmpty else { throw UserError("\(place(node)): \(key) is an empty list") }
    return Array(list)
  }

  /// One value or a list of them.
  func strings(_ key: String) throws -> [String]? {
    guard let node = values[key] else { return nil }
    let nodes = node.sequence.map(Array.init) ?? [node]
    guard !nodes.isEmpty else { throw UserError("\(place(node)): \(key) is an empty list: name a value") }
    return try nodes.map { item in
      guard let text = item.string, !text.isEmpty else {
        throw UserError("\(place(item)): \(key) must be a name or a list of names")
      }
      return text
    }
  }
}
