import BenchModel
import Foundation

/// What a report says, free of any markup: one content that is written as Markdown or as HTML.
///
/// Texts may hold `code` between backticks; nothing else in them is markup.
public struct Document: Sendable {
  public enum Block: Sendable {
    case heading(String, level: Int)
    case text(String)
    /// What throws doubt on numbers.
    case note(String)
    case code(String)
    case table(Table)
    /// Drawn where the markup can; the tables hold the same numbers.
    case chart(Chart)
    /// Where the parts of the document are.
    case contents
    /// What a reader opens who wants to know more.
    case folded(String, [Block])
  }

  public var title: String
  public var blocks: [Block] = []

  public init(_ title: String) { self.title = title }

  /// A part that is folded where the markup can; nothing where it has nothing.
  mutating func folded(_ title: String, _ write: (inout Document) -> Void) {
    var part = Document(title)
    write(&part)
    if !part.blocks.isEmpty { blocks.append(.folded(title, part.blocks)) }
  }

  /// Titles of the parts on the first level, folded ones included.
  var parts: [String] {
    blocks.compactMap { block in
      switch block {
      case .heading(let text, let level) where level == 2: text
      case .folded(let title, _): title
      default: nil
      }
    }
  }

  /// What links go to.
  static func anchor(_ title: String) -> String {
    title.lowercased().map {
      $0.isLetter || $0.isNumber ? String($0) : $0 == " " || $0 == "-" ? "-" : $0 == "_" ? "_" : ""
    }.joined()
  }

  mutating func heading(_ text: String, level: Int = 2) { blocks.append(.heading(text, level: level)) }
  mutating func text(_ text: String) { blocks.append(.text(text)) }
  mutating func note(_ text: String) { blocks.append(.note(text)) }
  mutating func code(_ text: String) { blocks.append(.code(text)) }
  mutating func table(_ table: Table) { if !table.rows.isEmpty { blocks.append(.table(table)) } }
  mutating func chart(_ chart: Chart) { if !chart.isEmpty { blocks.append(.chart(chart)) } }

  /// Writes it as a page where the file's name ends in `.html`, otherwise as Markdown.
  public func write(to url: URL) throws {
    try writeFile(Data((url.pathExtension == "html" ? html : markdown).utf8), to: url)
  }

  /// Another document as a part of this one, a level deeper.
  mutating func append(_ part: Document) {
    heading(part.title)
    blocks += part.blocks.map { block in
      Self.deeper(block)
    }
  }
}

extension Document {
  fileprivate static func deeper(_ block: Block) -> Block {
    switch block {
    case .heading(let text, let level): .heading(text, level: level + 1)
    case .folded(let title, let blocks): .folded(title, blocks.map(deeper))
    default: block
    }
  }
}

public struct Table: Sendable {
  public struct Field: Sendable, ExpressibleByStringInterpolation {
    public var text: String
    /// What it is sorted by; nil for its text.
    public var key: Double?
    public init(_ text: String, key: Double? = nil) { (self.text, self.key) = (text, key) }
    public init(stringLiteral text: String) { self.init(text) }
  }
  public struct Row: Sendable {
    /// Where there are fewer than headings, the last is a sentence that takes the rest.
    public var fields: [Field]
    /// What rows are chosen by, such as `model`; several words mean each of them.
    public var tags: [String: String]
    public init(_ fields: [Field], tags: [String: String] = [:]) { (self.fields, self.tags) = (fields, tags) }
  }

  public var headings: [String]
  /// What a heading means, by heading.
  public var help: [String: String] = [:]
  /// How many columns hold words; the others hold numbers and are set to the right.
  public var left: Int
  public var rows: [Row]

  public init(_ headings: [String], left: Int, _ rows: [Row]) {
    (self.headings, self.left, self.rows) = (headings, left, rows)
  }
  public init(_ headings: [String], left: Int, _ rows: [[String]]) {
    self.init(headings, left: left, rows.map { Row($0.map { Field($0) }) })
  }
}
