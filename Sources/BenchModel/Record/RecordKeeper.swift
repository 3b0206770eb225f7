import BenchProtocol
import BenchStatistics
import Foundation

/// Keeps a record under `<folder>/<version>/<host>/`, where git sees it: what its ratios and tables are made from, without
/// the single latencies.
public struct RecordKeeper: Sendable {
  /// Largest file that is kept, in bytes.
  public static let limit = 1 << 20

  public var folder: URL
  /// Stands for the machine; never its own name.
  public var host: String
  private let catalog: Catalog

  /// - Parameter host: nil for one made from the processor's name.
  /// - Throws: ``UserError`` where the alias has other than lower-case letters, digits and inner hyphens.
  public init(_ record: Record, folder: URL, host: String?, _ catalog: Catalog) throws {
    let alias = host ?? Self.slug(record.environment.processor)
    guard !alias.isEmpty, alias == Self.slug(alias) else {
      throw UserError("host alias \"\(alias)\": lower-case letters, digits and hyphens, such as \(Self.slug(alias))")
    }
    (self.folder, self.host, self.catalog) = (folder, alias, catalog)
  }

  /// Writes the record of a file in its compact form, and returns where it lies.
  /// - Throws: ``UserError`` where the run was interrupted, is kept already, or is too large, where the host stands for
  ///   another processor, or where it could not be read again.
  public func keep(_ url: URL) throws -> URL {
    let lines = try Record.lines(readFile(url))
    let record = try Record(lines: lines, catalog)
    guard record.isComplete else {
      let why = record.ending == .budget ? "spent its time before all of it was measured" : "was interrupted"
      throw UserError("the run of suite \(record.suite) \(why); finish it with `\(record.command) --resume`")
    }
    guard record.hasTimes else {
      throw UserError("the run of suite \(record.suite) timed nothing: there is nothing to keep")
    }
    let place = folder.appendingPathComponent("\(record.version)/\(host)/\(record.suite).\(Record.fileExtension)")
    guard !FileManager.default.fileExists(atPath: place.path) else {
      throw UserError("\(place.path) is kept already; records are never overwritten: give another --host")
    }
    let kept = try RecordLibrary(folder, catalog).entries.filter { $0.host == host }
    if let other = kept.map(\.file.environment.processor).first(where: { $0 != record.environment.processor }) {
      throw UserError(
        "host \(host) has records of \(other), and this one is of \(record.environment.processor): give another --host")
    }
    let data = try Self.compact(lines, record, catalog.axes).reduce(into: Data()) { $0 += try $1.data }
    guard data.count <= Self.limit else {
      throw UserError(
        "the record has \(Format.bytes(Double(data.count))), at most \(Format.bytes(Double(Self.limit))) are kept: "
          + "measure fewer configurations in one suite")
    }
    do { _ = try Record(lines: Record.lines(data), catalog) } catch {
      throw UserError("the record of suite \(record.suite) could not be read again once kept, so it is not: \(error)")
    }
    try writeFile(data, to: place)
    return place
  }

  /// The lines without what no table is made from: names in place of paths, the medians of slices, quantiles and medians
  /// in place of single readings.
  /// - Throws: ``UserError`` where two files of one name could no longer be told apart.
  package static func compact(_ lines: [RecordLine], _ record: Record, _ axes: AxisTable) throws -> [RecordLine] {
    var common = CommonFacts(axes)
    let tellers = Self.tellers(record)
    // Most rows cannot be measured in the same respects.
    var unavailable: [(rows: [Int], reasons: [String: String])] = []
    var result = try lines.compactMap { line -> RecordLine? in
      switch line {
      case .start(let start): return .start(try portable(start, axes))
      case .inspected(var inspected):
        inspected = common.without(inspected, record.rows[inspected.row].configuration)
        inspected.accuracy = inspected.accuracy.map(Self.short)
        // What only a run asks.
        inspected.metrics?["steady-latency"] = nil
        if !tellers.contains(inspected.row) { inspected.prepared?.passes = nil }
        inspected.unavailable = inspected.unavailable?.isEmpty == true ? nil : inspected.unavailable
        return .inspected(inspected)
      case .unavailable(let rows, let reasons):
        for row in rows {
          // What no other run could measure either.
          let reasons = reasons.filter { record.rows[row].unavailableMetrics[$0.key] == $0.value }
          if let place = unavailable.firstIndex(where: { $0.reasons == reasons }) {
            unavailable[place].rows.append(row)
          } else if !reasons.isEmpty {
            unavailable.append(([row], reasons))
          }
        }
        return nil
      case .run, .runs, .end, .summary, .partition: return nil
      default: return line
      }
    }
    result += unavailable.map { .unavailable(rows: $0.rows.sorted(), reasons: $0.reasons) }
    for (index, row) in record.rows.enumerated() where !row.runs.isEmpty {
      result.append(.runs(.init(index, row.runs)))
      let names = Set(row.runs.flatMap(\.metrics.keys) + row.medians.keys).subtracting(["other-load", "warm-up"])
      let metrics = names.compactMap { name in row.medianOfRuns(name).map { (name, Self.short($0)) } }
      let latencies = row.latenciesNs.isEmpty ? row.runs.map(\.medianNs) : row.latenciesNs
      let quantiles = row.quantilesNs ?? quantiles(of: latencies)
      result.append(
        .summary(
          .init(
            row: index, quantilesNs: quantiles.map { Int($0.rounded()) }, timed: row.timed,
            metrics: Dictionary(uniqueKeysWithValues: metrics))))
    }
    let environment = record.environment
    result.append(
      .end(
        .init(
          ending: record.ending, elapsed: Self.short(record.elapsed), steal: environment.steal,
          throttled: environment.throttled)))
    return result
  }

  /// File names in place of paths.
  private static func portable(_ start: RecordLine.Start, _ axes: AxisTable) throws -> RecordLine.Start {
    var start = start
    start.command = portable(start.command)
    start.configurations = start.configurations.map { planned in
      var planned = planned
      planned.configuration = axes.mappingPaths(of: planned.configuration) {
        URL(fileURLWithPath: $0).lastPathComponent
      }
      return planned
    }
    guard Set(start.configurations.map(\.configuration)).count == start.configurations.count else {
      throw UserError("two files of this run have one name, and records keep no paths: rename one and measure again")
    }
    return start
  }

  /// A command without where its record went on this machine, and with names in place of paths.
  package static func portable(_ command: String) -> String {
    guard let words = try? ShellWords.split(command) else { return command }
    var result: [String] = []
    for word in words {
      if result.last == "--output" {
        result.removeLast()
      } else if !word.hasPrefix("--output=") {
        // Of an option that is given with its value too.
        let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { part in
          part.hasPrefix("/") ? part.split(separator: "/").last ?? part : part
        }
        result.append(parts.joined(separator: "="))
      }
    }
    return ShellWords.join(result)
  }

  /// The rows whose rewrites a report tells of: of each model the one with most passes.
  private static func tellers(_ record: Record) -> Set<Int> {
    let prepared = record.rows.indices.filter { record.rows[$0].prepared?.passes != nil }
    return Set(
      Dictionary(grouping: prepared, by: { record.rows[$0].configuration.model }).compactMap { _, rows in
        rows.max { record.rows[$0][Axes.passes].count < record.rows[$1][Axes.passes].count }
      })
  }

  /// Five significant digits: no median over runs has more.
  private static func short(_ value: Double) -> Double { Double(String(format: "%.5g", value)) ?? value }

  private static func short(_ accuracy: Accuracy) -> Accuracy {
    var accuracy = accuracy
    (accuracy.absolute, accuracy.relative) = (short(accuracy.absolute), short(accuracy.relative))
    accuracy.cosine = (accuracy.cosine * 1e9).rounded() / 1e9
    return accuracy
  }

  private static func slug(_ text: String) -> String { hostAlias(text) }
}

/// "Intel(R) Xeon(R) Processor @ 2.50GHz" becomes "intel-xeon-processor-2-50ghz".
package func hostAlias(_ text: String) -> String {
  let plain = text.lowercased().replacingOccurrences(of: "(r)", with: " ").replacingOccurrences(of: "(tm)", with: " ")
  return plain.split { !($0.isASCII && ($0.isLetter || $0.isNumber)) }.joined(separator: "-")
}

extension Row {
  /// Work of others beside its runs.
  package struct OtherWork {
    /// Processors that others kept busy in a run from which on the run is remarked on.
    package static let least = 0.3

    /// The most processors they kept busy in a run.
    package var most = 0.0
    package var disturbed = 0
    package var runs = 0

    package init(most: Double = 0, disturbed: Int = 0, runs: Int = 0) {
      (self.most, self.disturbed, self.runs) = (most, disturbed, runs)
    }

    package mutating func add(_ other: OtherWork) {
      (most, disturbed, runs) = (max(most, other.most), disturbed + other.disturbed, runs + other.runs)
    }
    package var words: String {
      String(format: "other work kept up to %.1f processors busy during %d of ", most, disturbed)
        + Format.number(runs, "run")
    }
  }

  /// Nil where there was none to speak of.
  package var otherWork: OtherWork? {
    let loads = runs.compactMap { $0.metrics["other-load"] }.filter { $0 > OtherWork.least }
    return loads.isEmpty ? nil : OtherWork(most: loads.max()!, disturbed: loads.count, runs: runs.count)
  }

  /// What throws doubt on its times: what workers said, and other work beside its runs.
  package var remarks: [String] { notes + [otherWork?.words].compactMap { $0 } }
}
