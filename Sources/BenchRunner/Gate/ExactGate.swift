import BenchModel
import BenchProtocol
import Foundation

/// Tier 0: every metric that is the same in every run, held against the committed baseline. No statistics, no times.
public struct ExactGate: Sendable {
  public var catalog: Catalog
  public var workers: Workers
  public var suite: GateSuite
  public var progress: @Sendable (_ label: String, _ done: Int, _ of: Int) -> Void

  public init(
    catalog: Catalog, workers: Workers, suite: GateSuite,
    progress: @escaping @Sendable (_ label: String, _ done: Int, _ of: Int) -> Void
  ) {
    (self.catalog, self.workers, self.suite, self.progress) = (catalog, workers, suite, progress)
  }

  /// Inspects every row under `exact` and `instructions`.
  public func count() async throws -> [Row] {
    // Shown together, so labelled together.
    let all = try GateSuite.rows(suite.exact + suite.instructions, catalog)
    func rows(_ groups: [ConfigurationGroup]) throws -> [Row] {
      let ids = Set(try GateSuite.rows(groups, catalog).map(\.id))
      return all.filter { ids.contains($0.id) }
    }
    let (exact, instructions) = (try rows(suite.exact), try rows(suite.instructions))
    let total = exact.count + instructions.count
    let inspector = Inspector(catalog: catalog, workers: workers)
    var results: [Row] = []
    for row in exact where !Task.isCancelled {
      progress("\(row.configuration.model): \(row.label)", results.count, total)
      results.append(await inspector.inspect(row))
    }
    guard !instructions.isEmpty else { return results }
    do {
      guard workers.prefix.isEmpty else { throw UserError("instructions are not counted behind a worker prefix") }
      let count = try await InstructionCount(workers.own, folder: workers.cacheFolder)
      defer { count.close() }
      for (done, row) in instructions.enumerated() where !Task.isCancelled {
        progress("\(row.configuration.model): \(row.label), instructions", exact.count + done, total)
        Self.add(await count.count(row), to: &results)
      }
    } catch {
      try Task.checkCancellation()
      for var row in instructions {
        (row.status, row.reason) = (.unavailable, "\(error)")
        row.unavailableMetrics["instructions"] = "\(error)"
        Self.add(row, to: &results)
      }
    }
    return results
  }

  /// A row that is inspected both ways is one row, with both kinds of metrics.
  private static func add(_ counted: Row, to results: inout [Row]) {
    guard let index = results.firstIndex(where: { $0.id == counted.id }) else {
      return results.append(counted)
    }
    results[index].metrics.merge(counted.metrics) { $1 }
    results[index].unavailableMetrics.merge(counted.unavailableMetrics) { $1 }
  }
}
