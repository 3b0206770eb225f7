import BenchModel
import BenchStatistics
import Foundation
import RuntimeCore

/// The performance recipe: what each option is, how to switch it on, and its effect where it was measured.
/// Every number comes from a result, kept or named; the same results give the same bytes.
public struct Recipe: Sendable {
  let library: RecordLibrary
  /// Records with rows that hand graphs on to drivers.
  let delegations: RecordLibrary
  let catalog: Catalog
  /// Release whose records are current; those of another say which.
  let release: String
  /// Whether it is of records that somebody named, and of the models in them, and not of all that is kept.
  let isOfRecords: Bool

  /// Suites whose configurations are the models as they are used; those of others are tiny, or of other engines.
  static let suites = ["default", "ablation", "attribution", "full", "allocators"]

  public init(_ library: RecordLibrary, catalog: Catalog, release: String) {
    self.library = RecordLibrary(entries: library.entries.filter { Self.suites.contains($0.file.suite) })
    delegations = RecordLibrary(entries: library.entries.filter { $0.file.suite == Self.delegationSuite })
    (self.catalog, self.release, isOfRecords) = (catalog, release, false)
  }

  /// What some records say, of models of whatever kind.
  public init(of records: [Record], catalog: Catalog, release: String) {
    let entries = records.map {
      RecordLibrary.Entry(version: $0.version, host: hostAlias($0.environment.processor), file: $0)
    }
    library = RecordLibrary(entries: entries.sorted { $0.file.started < $1.file.started })
    delegations = RecordLibrary(
      entries: library.entries.filter { $0.file.rows.contains { $0[Axes.backend] == "nnapi" } })
    (self.catalog, self.release, isOfRecords) = (catalog, release, true)
  }

  /// A section of which nothing is measured, and what would give it some.
  public struct Gap: Sendable {
    public var section: String
    public var suite: String
    var command: String { Recipe.command(suite) }
  }

  /// Measures a suite and keeps the result.
  static func command(_ suite: String) -> String {
    "bench-suite run \(suite) && bench-suite record --suite \(suite) --host HOST"
  }

  /// Suites that would fill what is missing.
  public var gaps: [Gap] {
    guard !isOfRecords else { return [] }
    var gaps: [Gap] = []
    let suites = Set(library.entries.map(\.file.suite))
    if suites.isDisjoint(with: ["default", "ablation"]) { gaps.append(Gap(section: "Passes", suite: "ablation")) }
    if !suites.contains("attribution") {
      gaps.append(Gap(section: "Passes that change each other's effect", suite: "attribution"))
    }
    return gaps
  }

  // MARK: Reading results

  /// The records of a host that count, oldest first.
  func entries(on host: String) -> [RecordLibrary.Entry] {
    isOfRecords ? library.entries.filter { $0.host == host } : library.newest(on: host)
  }

  /// A value of one host: of the newest result that has it.
  func find<Value>(_ host: String, _ pick: (RecordLibrary.Entry) -> Value?) -> (Value, RecordLibrary.Entry)? {
    for entry in entries(on: host).reversed() { if let value = pick(entry) { return (value, entry) } }
    return nil
  }

  /// Words about a value, with the version where that is not this one.
  func column<Value>(
    _ host: String, _ pick: (RecordLibrary.Entry) -> Value?, _ words: (Value) -> String
  ) -> String {
    guard let (value, entry) = find(host, pick) else { return "–" }
    let isOlder = !(entry.version == release || entry.version.hasPrefix(release + "-"))
    let text = words(value)
    return isOlder && text != "–" ? "\(text) (\(entry.version))" : text
  }

  func attribution(_ entry: RecordLibrary.Entry, _ model: String) -> Attribution {
    Attribution(entry.file, model: model, catalog: catalog)
  }

  var hosts: [String] { library.hosts }
  var models: [String] { shownModels.map(\.name) }
  /// Those of the records; of all that is kept, the built-in ones, those that only run where they are named where somebody did.
  var shownModels: [(name: String, character: String)] {
    let measured = library.entries.flatMap { $0.file.rows.map(\.configuration.model) }.uniqued()
    guard !isOfRecords else {
      return measured.map { name in
        (name, catalog.models.first { $0.name == name }?.character() ?? "what its file holds")
      }
    }
    return catalog.models.filter { !$0.isOptional || measured.contains($0.name) }.compactMap { model in
      model.character().map { (model.name, $0) }
    }
  }
}
