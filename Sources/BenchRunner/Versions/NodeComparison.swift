import BenchModel
import BenchProtocol
import BenchStatistics
import Foundation

/// The op-level difference: single nodes, timed in interleaved pairs like whole networks.
extension SideBySide {
  private static let profiledPairs = 6
  private static let profiledSlices = 6

  /// Times the nodes of at most three rows whose time changed, in both versions.
  func profile(_ inspected: Inspected, _ comparison: inout Comparison) async {
    let timed = timed(inspected)
    let latencies = comparison.times.filter { $0.metric == latencyMetric.name }
    let changed = latencies.indices.filter { [.regression, .improvement].contains(latencies[$0].verdict) }
    var places = Array(changed.prefix(3))
    if places.isEmpty && profilesUnchanged {
      let models = latencies.map(\.series.model)
      places = models.uniqued().compactMap { models.firstIndex(of: $0) }
    }
    for place in places where inspected.base[timed[place]].hello?.interleaves == true {
      let row = inspected.head[timed[place]]
      progress(.profiling(label: "\(row.configuration.model): \(row.label)"))
      comparison.nodes += await nodes(of: row)
    }
  }

  /// Every node of a configuration in both versions, joined by name, in head's order.
  private func nodes(of row: Row) async -> [Comparison.NodeDifference] {
    var profiles: [(base: [[WorkerLine.NodeTime]], head: [[WorkerLine.NodeTime]])] = []
    for pair in 0..<Self.profiledPairs where !Task.isCancelled {
      var job = Job(.profile, row.configuration)
      (job.iterations, job.warmup) = (1, 3)
      job.processors = head.workers.chance.processors(row.configuration[Axes.threads])
      guard let a = try? await base.workers.assignment(row.configuration, job),
        let b = try? await head.workers.assignment(row.configuration, job)
      else { return [] }
      let (left, right) = await head.workers.launcher.pair(
        a, b, aFirst: pair % 2 == 0, Interleaving(least: Self.profiledSlices), timeout: base.workers.timeout)
      guard left.failure == nil, right.failure == nil, !left.profiles.isEmpty, !right.profiles.isEmpty else {
        return []
      }
      profiles.append((left.profiles, right.profiles))
    }
    guard let first = profiles.first else { return [] }
    var names = first.head[0].map(\.node)
    names += first.base[0].map(\.node).filter { !names.contains($0) }
    // Views are no work.
    let views = (first.head[0] + first.base[0]).filter { $0.timeNs == 0 }.map(\.node)
    names.removeAll(where: views.contains)
    return names.map { name in
      func find(_ profile: [WorkerLine.NodeTime]) -> WorkerLine.NodeTime? { profile.first { $0.node == name } }
      let (a, b) = (find(first.base[0]), find(first.head[0]))
      var difference = Comparison.NodeDifference(
        model: row.configuration.model, configuration: row.label, node: name, op: (b ?? a)?.op ?? "",
        baseKernel: a?.kernel, headKernel: b?.kernel)
      let times = profiles.map { profile in
        zip(profile.base, profile.head).map { (find($0).map { Double($0.timeNs) }, find($1).map { Double($0.timeNs) }) }
      }
      let (lefts, rights) = (times.flatMap { $0.compactMap(\.0) }, times.flatMap { $0.compactMap(\.1) })
      if !lefts.isEmpty { difference.base = median(lefts) }
      if !rights.isEmpty { difference.head = median(rights) }
      if a != nil && b != nil {
        difference.ratio = MedianInterval(
          times.map { slices in
            let both = slices.compactMap { a, b in a.flatMap { a in b.map { (a, $0) } } }
            return exp(interleavedLogRatio(base: both.map(\.0), head: both.map(\.1)))
          })
      }
      return difference
    }
  }
}
