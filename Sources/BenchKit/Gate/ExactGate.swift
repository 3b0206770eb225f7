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
    // Shown together, so labelled together.
    let all = try GateSuite.cells(suite.exact + suite.instructions, catalog)
    func cells(_ groups: [CellGroup]) throws -> [CellResult] {
      let ids = Set(try GateSuite.cells(groups, catalog).map(\.cell.id))
      return all.filter { ids.contains($0.cell.id) }
    }
    let (exact, instructions) = (try cells(suite.exact), try cells(suite.instructions))
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
      for (done, cell) in instructions.enumerated() where !Task.isCancelled {
        progress("\(cell.cell.model): \(cell.label), instructions", exact.count + done, total)
        Self.add(await count.count(cell), to: &results)
      }
    } catch {
      try Task.checkCancellation()
      for var cell in instructions {
        (cell.status, cell.reason) = (.unavailable, "\(error)")
        cell.unavailableFigures["instructions"] = "\(error)"
        Self.add(cell, to: &results)
      }
    }
    return results
  }

  /// A cell that is counted both ways is one cell, with both kinds of figures.
  private static func add(_ counted: CellResult, to results: inout [CellResult]) {
    guard let index = results.firstIndex(where: { $0.cell.id == counted.cell.id }) else {
      return results.append(counted)
    }
    results[index].figures.merge(counted.figures) { $1 }
    results[index].unavailableFigures.merge(counted.unavailableFigures) { $1 }
  }
}
