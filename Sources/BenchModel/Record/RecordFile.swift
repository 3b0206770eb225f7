import BenchProtocol
import Foundation

extension Record {
  /// The extension of files that hold records.
  package static let fileExtension = "jsonl"

  /// A record from a file: JSON lines, or the one JSON object that versions before 0.9 wrote.
  /// - Throws: ``UserError`` that names file and line.
  public static func read(_ url: URL, _ catalog: Catalog) throws -> Record {
    do { return try Record(lines: lines(readFile(url)), catalog) } catch let error as UserError {
      throw UserError("\(url.path) is not a record of Pacer: \(error)")
    }
  }

  /// - Throws: ``UserError`` that names the line.
  package init(lines: [RecordLine], _ catalog: Catalog) throws {
    guard case .start(let start) = lines.first else { throw UserError("it does not begin with its start") }
    try Self.check(start)
    self.init(start, catalog)
    for (number, line) in lines.enumerated().dropFirst() {
      do { try apply(line) } catch { throw UserError("line \(number + 1): \(error)") }
    }
    summarise()
  }

  /// The lines of a file, whichever version wrote it. What follows the last line's end was cut off while it was written.
  package static func lines(_ data: Data) throws -> [RecordLine] {
    struct Kind: Decodable { var kind: String }
    let first = data.firstIndex(of: UInt8(ascii: "\n")).map { data[data.startIndex..<$0] } ?? data
    guard (try? JSONDecoder().decode(Kind.self, from: first)) != nil else {
      return try LegacyRecord.read(data).lines()
    }
    let texts = data[data.startIndex..<data.startIndex + wholeLines(data)].split(separator: UInt8(ascii: "\n"))
    return try texts.enumerated().map { number, text in
      do { return try CheckedJSON.decode(RecordLine.self, from: Data(text)) } catch {
        throw UserError("line \(number + 1): \(error)")
      }
    }
  }

  static func check(_ start: RecordLine.Start) throws {
    try require(start.schema == schema, "schema", start.schema, "this version reads \(schema)")
    // Both become names of files.
    try require(YAMLFields.isName(start.suite), "suite", start.suite, "a name is letters, digits and hyphens")
    try require(
      Version.isVersion(start.version), "version", start.version, "a version is letters, digits, dots and hyphens")
    for (index, planned) in start.configurations.enumerated() {
      try require(
        planned.baseline.map(start.configurations.indices.contains) ?? true, "configurations[\(index)].baseline",
        planned.baseline ?? -1, "the record has \(start.configurations.count) rows")
    }
  }

  /// Bytes of whole lines at the beginning of a file that is to go on.
  package static func wholeLines(_ data: Data) -> Int {
    data.lastIndex(of: UInt8(ascii: "\n")).map { data.distance(from: data.startIndex, to: $0) + 1 } ?? 0
  }
}
