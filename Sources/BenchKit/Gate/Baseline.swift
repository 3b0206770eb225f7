import Foundation

/// The exact figures that the repository promises: `Suites/baselines/<suite>.json`. No times: those do not travel.
public struct Baseline: Codable, Sendable, Equatable {
  public static let schema = "pacer-baseline-1"
  /// What a cell without any baseline is listed under.
  static let allFigures = "all figures"

  public struct Entry: Codable, Sendable, Equatable {
    /// Figures that every compiler and C library must give.
    public var figures: [String: Double] = [:]
    public var identities: [String: String] = [:]
    /// Figures by compiler and C library.
    public var toolchains: [String: [String: Double]] = [:]
  }

  public var schema = Baseline.schema
  /// By the cell's id.
  public var cells: [String: Entry] = [:]

  public init() {}

  public static func read(_ url: URL) throws -> Baseline? {
    guard FileManager.default.fileExists(atPath: url.path) else { return nil }
    do {
      let baseline = try CheckedJSON.decode(Baseline.self, from: Data(contentsOf: url))
      guard baseline.schema == schema else {
        throw UserError("schema \(baseline.schema), this version reads \(schema)")
      }
      return baseline
    } catch {
      throw UserError("\(url.path) is no baseline: \(reason(error)); `gate --accept` writes a new one once it is gone")
    }
  }

  public func write(to url: URL) throws { try writeFile(data, to: url) }

  private var data: Data { get throws { try JSONEncoder.readable.encode(self) + Data("\n".utf8) } }

  /// What differs from the promise.
  /// - Parameter toolchain: compiler and C library, as ``MachineDescription/toolchain`` has them.
  public func differences(
    to results: [CellResult], toolchain: String, metrics: [Metric]
  ) -> [ExactComparison.Difference] {
    var list: [ExactComparison.Difference] = []
    for result in results {
      func add(_ metric: String, _ base: String, _ head: String, _ verdict: ExactComparison.Verdict) {
        list.append(
          .init(
            model: result.cell.model, cell: result.label, metric: metric, base: base, head: head, verdict: verdict,
            id: result.cell.id))
      }
      guard let entry = cells[result.cell.id] else {
        add(Self.allFigures, "not in the baseline", result.state, .noData)
        continue
      }
      guard result.hasFigures else {
        // A cell that this machine cannot run is no fault of the version; one that fails is.
        add("status", "measured", result.state, result.status == .unavailable ? .noData : .regression)
        continue
      }
      for metric in metrics {
        let head = metric.value(result)
        let base = (metric.dependsOnToolchain ? entry.toolchains[toolchain] : entry.figures)?[metric.name]
        if base == nil && head == nil { continue }
        if let base, let head, !metric.differs(base, head) { continue }
        let known = metric.dependsOnToolchain && entry.toolchains[toolchain] == nil
        let missing = known ? "no baseline for \(toolchain)" : "–"
        let unavailable = result.unavailableFigures[metric.name].map { "unavailable: \($0)" }
        add(
          metric.name, base.map { Format.exact($0, metric.unit) } ?? missing,
          head.map { Format.exact($0, metric.unit) } ?? unavailable ?? "–",
          base == nil || head == nil ? .noData : ExactComparison.verdict(base, head, metric))
      }
      let identities = result.identities
      for (name, base) in entry.identities.sorted(by: { $0.key < $1.key }) where identities[name] != base {
        add(name, base, identities[name] ?? "–", .changed)
      }
    }
    let known = Set(results.map(\.cell.id))
    for id in cells.keys.sorted() where !known.contains(id) {
      let parts = id.split(separator: "/")
      list.append(
        .init(
          model: parts.count > 1 ? String(parts[1]) : "", cell: id, metric: "configuration", base: "in the baseline",
          head: "no longer in the suite", verdict: .changed, id: id))
    }
    return list
  }

  /// The baseline that these results would make: cells that are no longer counted are dropped, figures of other
  /// toolchains are kept as long as nothing that this one shows has changed.
  public func accepting(_ results: [CellResult], toolchain: String, metrics: [Metric]) -> Baseline {
    var accepted = Baseline()
    for result in results {
      let old = cells[result.cell.id]
      guard result.hasFigures else {
        accepted.cells[result.cell.id] = old
        continue
      }
      var entry = Entry()
      entry.identities = result.identities
      var own: [String: Double] = [:]
      for metric in metrics {
        guard let value = metric.value(result) else { continue }
        if metric.dependsOnToolchain {
          // Within its band a figure is the same: the file stays as it is.
          let before = old?.toolchains[toolchain]?[metric.name]
          own[metric.name] = before.map { metric.differs($0, value) ? value : $0 } ?? value
        } else {
          entry.figures[metric.name] = value
        }
      }
      let before = old?.toolchains[toolchain]
      let isSame = before == nil || before!.allSatisfy { own[$0.key] == nil || own[$0.key] == $0.value }
      if isSame { entry.toolchains = old?.toolchains ?? [:] }
      // What cannot be counted here and now keeps its figure.
      entry.toolchains[toolchain] = (before ?? [:]).merging(own) { _, new in new }
      accepted.cells[result.cell.id] = entry
    }
    return accepted
  }

  /// The patch that turns the file at `url` into this baseline, as git applies it.
  public func patch(of url: URL, named path: String) async throws -> String {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID())")
    defer { try? FileManager.default.removeItem(at: folder) }
    let (old, new) = (folder.appendingPathComponent("a/\(path)"), folder.appendingPathComponent("b/\(path)"))
    let before = try? Data(contentsOf: url)
    if let before { try writeFile(before, to: old) }
    try writeFile(data, to: new)
    // Status 1 says that there are differences.
    return try await Git.run(
      Git.diff + ["--no-index", "-U1", "--no-prefix", before == nil ? "/dev/null" : "a/\(path)", "b/\(path)"],
      in: folder,
      statuses: [0, 1])
  }
}

extension MachineDescription {
  /// What figures that depend on compiler and C library are keyed by.
  public var toolchain: String { "\(compiler), \(libc)" }
}
