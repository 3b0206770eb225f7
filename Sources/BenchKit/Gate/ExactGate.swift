import Foundation

/// Tier 0: every figure that can be counted, held against the committed baseline. No statistics, no times.
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

  /// Counts every cell under `exact` and `instructions`.
  public func count() async throws -> [CellResult] {
    let exact = try GateSuite.cells(suite.exact, catalog)
    let instructions = try GateSuite.cells(suite.instructions, catalog)
    let total = exact.count + instructions.count
    let counter = CellCounter(catalog: catalog, workers: workers)
    var results: [CellResult] = []
    for cell in exact where !Task.isCancelled {
      progress("\(cell.cell.model): \(cell.label)", results.count, total)
      results.append(await counter.count(cell))
    }
    guard !instructions.isEmpty else { return results }
    do {
      let count = try await InstructionCount(workers.own.prefixed(workers.prefix), folder: workers.cacheFolder)
      defer { count.close() }
      for cell in instructions where !Task.isCancelled {
        progress("\(cell.cell.model): \(cell.label), instructions", results.count, total)
        results.append(await count.count(cell))
      }
    } catch {
      results += instructions.map { cell in
        var cell = cell
        (cell.status, cell.reason) = (.unavailable, "\(error)")
        return cell
      }
    }
    return results
  }
}
