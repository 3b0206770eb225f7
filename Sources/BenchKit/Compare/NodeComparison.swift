import Foundation

/// The op-level difference: single nodes, timed in pairs that take turns like whole cells.
extension VersionSession {
  private static let profiledPairs = 6
  private static let profiledTurns = 6

  /// Times the nodes of at most three cells whose time changed, in both versions.
  func profile(_ counted: Counted, _ comparison: inout Comparison) async {
    let timed = timed(counted)
    let changed = comparison.times.indices.filter {
      !comparison.times[$0].isLayout && [.regression, .improvement].contains(comparison.times[$0].decision.verdict)
    }
    var places = Array(changed.prefix(3))
    if places.isEmpty && profilesUnchanged {
      let models = comparison.times.map(\.series.model)
      places = models.uniqued().compactMap { models.firstIndex(of: $0) }
    }
    for place in places where counted.base[timed[place]].hello?.takesTurns == true {
      let cell = counted.head[timed[place]]
      progress(.profiling(label: "\(cell.cell.model): \(cell.label)"))
      comparison.nodes += await nodes(of: cell)
    }
  }

  /// Every node of a cell in both versions, joined by name, in head's order.
  private func nodes(of cell: CellResult) async -> [Comparison.NodeDifference] {
    var profiles: [(base: [[WorkerLine.NodeTime]], head: [[WorkerLine.NodeTime]])] = []
    for pair in 0..<Self.profiledPairs where !Task.isCancelled {
      var job = Job(.profile, cell.cell)
      (job.iterations, job.warmup) = (1, 3)
      job.processors = Processors.choose(cell.cell.threads)
      guard let a = try? base.workers.resolve(cell.cell, job), let b = try? head.workers.resolve(cell.cell, job) else {
        return []
      }
      let baseFirst = pair % 2 == 0
      let (left, right) = await WorkerCommand.pair(
        a, b, aFirst: baseFirst, turns: Turns(least: Self.profiledTurns), timeout: base.workers.timeout)
      guard left.failure == nil, right.failure == nil, !left.profiles.isEmpty, !right.profiles.isEmpty else {
        return []
      }
      profiles.append((left.profiles, right.profiles))
    }
    guard let first = profiles.first else { return [] }
    var names = first.head[0].map(\.node)
    names += first.base[0].map(\.node).filter { !names.contains($0) }
    // Views are no work.
    let views = (first.head[0] + first.base[0]).filter { $0.time == 0 }.map(\.node)
    names.removeAll(where: views.contains)
    return names.map { name in
      func find(_ profile: [WorkerLine.NodeTime]) -> WorkerLine.NodeTime? { profile.first { $0.node == name } }
      let (a, b) = (find(first.base[0]), find(first.head[0]))
      var row = Comparison.NodeDifference(
        model: cell.cell.model, cell: cell.label, node: name, op: (b ?? a)?.op ?? "", baseKernel: a?.kernel,
        headKernel: b?.kernel)
      let times = profiles.map { profile in
        zip(profile.base, profile.head).map { (find($0).map { Double($0.time) }, find($1).map { Double($0.time) }) }
      }
      let (lefts, rights) = (times.flatMap { $0.compactMap(\.0) }, times.flatMap { $0.compactMap(\.1) })
      if !lefts.isEmpty { row.base = median(lefts) }
      if !rights.isEmpty { row.head = median(rights) }
      if a != nil && b != nil {
        row.ratio = MedianInterval(
          times.map { turns in exp(median(turns.compactMap { a, b in a.flatMap { a in b.map { log($0 / a) } } })) })
      }
      return row
    }
  }
}
