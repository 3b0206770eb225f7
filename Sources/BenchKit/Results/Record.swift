import Foundation

/// Keeps a result under `<folder>/<version>/<host>/`, where git sees it.
public struct Record: Sendable {
  /// Largest file that is kept, in bytes.
  public static let limit = 1 << 20

  /// Latencies that are kept of a process, evenly spread over it.
  static let latencies = 2_000

  public var folder: URL
  /// Stands for the machine; never its own name.
  public var host: String

  /// - Parameter host: nil for one made from the processor's name.
  /// - Throws: ``UserError`` where the alias has other than lower-case letters, digits and inner hyphens.
  public init(_ result: ResultFile, folder: URL, host: String?) throws {
    let alias = host ?? Self.slug(result.environment.processor)
    guard !alias.isEmpty, alias == Self.slug(alias) else {
      throw UserError("host alias \"\(alias)\": lower-case letters, digits and hyphens, such as \(Self.slug(alias))")
    }
    self.folder = folder
    self.host = alias
  }

  /// Writes the result without white space, with file names in place of paths, and returns where it lies.
  /// - Throws: ``UserError`` where the run was interrupted, is kept already, or is too large.
  public func keep(_ result: ResultFile) throws -> URL {
    guard result.isComplete else {
      let why = result.ending == .budget ? "spent its time before all of it was measured" : "was interrupted"
      throw UserError("the run of suite \(result.suite) \(why); finish it with `\(result.command) --resume`")
    }
    guard result.hasTimes else {
      throw UserError("the run of suite \(result.suite) timed nothing: there is nothing to keep")
    }
    let url = folder.appendingPathComponent("\(result.version)/\(host)/\(result.suite).json")
    guard !FileManager.default.fileExists(atPath: url.path) else {
      throw UserError("\(url.path) is kept already; records are never overwritten: give another --host")
    }
    var portable = result
    // Ids hold paths: what is joined by them follows.
    var ids: [String: String] = [:]
    for index in portable.cells.indices {
      let id = portable.cells[index].cell.id
      portable.cells[index].cell.weights = portable.cells[index].cell.weights.map(Self.name)
      portable.cells[index].cell.input = portable.cells[index].cell.input.map(Self.name)
      ids[id] = portable.cells[index].cell.id
    }
    guard Set(ids.values).count == ids.count else {
      throw UserError("two files of this run have one name, and records keep no paths: rename one and measure again")
    }
    for index in portable.cells.indices {
      portable.cells[index].baseline = portable.cells[index].baseline.map { ids[$0] ?? $0 }
      portable.cells[index].sameAs = portable.cells[index].sameAs.map { ids[$0] ?? $0 }
      // What was prepared is said once for the cell; a visit keeps its times.
      for visit in portable.cells[index].visits.indices {
        let prepared = portable.cells[index].visits[visit].prepared
        portable.cells[index].visits[visit].sample.keep(atMost: Self.latencies)
        portable.cells[index].visits[visit].prepared = .init(
          loadTime: prepared.loadTime, optimiseTime: prepared.optimiseTime, prepareTime: prepared.prepareTime)
      }
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let data = try encoder.encode(portable)
    guard data.count <= Self.limit else {
      throw UserError(
        "the result has \(Format.bytes(Double(data.count))), at most \(Format.bytes(Double(Self.limit))) are kept: "
          + "shorten the suite's min-time")
    }
    try writeFile(data, to: url)
    return url
  }

  private static func name(_ path: String) -> String { URL(fileURLWithPath: path).lastPathComponent }

  /// "Intel(R) Xeon(R) Processor @ 2.50GHz" becomes "intel-xeon-processor-2-50ghz".
  static func slug(_ text: String) -> String {
    let plain = text.lowercased().replacingOccurrences(of: "(r)", with: " ").replacingOccurrences(of: "(tm)", with: " ")
    return plain.split { !($0.isASCII && ($0.isLetter || $0.isNumber)) }.joined(separator: "-")
  }
}
