import Foundation

/// All results kept under `Results/<version>/<host>/`.
public struct RecordLibrary: Sendable {
  public struct Entry: Sendable {
    public var version: String
    public var host: String
    public var file: Record

    package init(version: String, host: String, file: Record) {
      (self.version, self.host, self.file) = (version, host, file)
    }
  }

  /// Oldest first.
  public var entries: [Entry]

  /// - Throws: ``UserError`` for a file there that is no result.
  public init(_ folder: URL, _ catalog: Catalog) throws {
    entries = []
    let manager = FileManager.default
    func names(_ url: URL) -> [String] { ((try? manager.contentsOfDirectory(atPath: url.path)) ?? []).sorted() }
    for version in names(folder) where !["local", "compare"].contains(version) {
      for host in names(folder.appendingPathComponent(version)) {
        let place = folder.appendingPathComponent("\(version)/\(host)")
        for name in names(place) where name.hasSuffix(".json") || name.hasSuffix(".\(Record.fileExtension)") {
          let file = try Record.read(place.appendingPathComponent(name), catalog)
          entries.append(Entry(version: version, host: host, file: file))
        }
      }
    }
    entries.sort { ($0.file.started, $0.version, $0.host) < ($1.file.started, $1.version, $1.host) }
  }

  public init(entries: [Entry]) { self.entries = entries }

  public var hosts: [String] { Set(entries.map(\.host)).sorted() }

  /// The newest run of every suite on a host, oldest first.
  package func newest(on host: String) -> [Entry] {
    let mine = entries.filter { $0.host == host }
    return mine.indices.filter { index in
      !mine[(index + 1)...].contains { $0.file.suite == mine[index].file.suite }
    }.map { mine[$0] }
  }
}
