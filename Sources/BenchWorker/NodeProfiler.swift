import BenchProtocol
import BenchStatistics
import Pacer

/// Times the nodes of a prepared configuration one by one, and says what that cost.
final class NodeProfiler {
  let worker: Worker
  let job: Job
  let session: Session
  let placement: [Placement]
  let graph: Graph
  /// Nanoseconds of each node in the last timed inference; nodes that are no work stay at 0.
  private var once: [Double]

  init(worker: Worker, _ job: Job, _ session: Session, _ placement: [Placement], _ graph: Graph) {
    (self.worker, self.job, self.session, self.placement, self.graph) = (worker, job, session, placement, graph)
    once = [Double](repeating: 0, count: placement.count)
  }

  func run() throws {
    try worker.interleaved(job) {
      let sampler = Sampler(job, warmup: job.warmup ?? 3, work: session.run)
      return try sampler.warmUp().line
    } measure: {
      guard job.interleaved == true else { return try worker.emit(.profile(whole())) }
      var times = lists(of: job.iterations ?? 3)
      for _ in 0..<(job.iterations ?? 3) { try time(into: &times) }
      try worker.emit(.profile(nodes(times)))
    }
    if let failure = session.failure { throw failure }
  }

  /// Everything about one inference: times of plain and profiled ones in turn, allocations, a trace.
  private func whole() throws -> [WorkerLine.NodeTime] {
    let (_, iterations) = try Sampler(job, work: session.run).warmUp()
    let rounds = max(iterations / 2, 1)
    var times = lists(of: rounds)
    var (plain, profiled) = ([Double](), [Double]())
    for _ in 0..<rounds {
      var start = monotonicNanoseconds()
      try session.run()
      plain.append(Double(monotonicNanoseconds() - start))
      start = monotonicNanoseconds()
      try time(into: &times)
      profiled.append(Double(monotonicNanoseconds() - start))
    }
    try worker.emit(.metric(.init("plain-inference", median(plain))))
    try worker.emit(.metric(.init("profiled-inference", median(profiled))))
    var nodes = nodes(times)
    let counts = try allocations()
    for (place, node) in nodes.enumerated() {
      nodes[place].allocations = counts[node.node]
      guard let source = graph.nodes.first(where: { $0.name == node.node }) else { continue }
      nodes[place].macs = graph.cost(of: source).macs
      nodes[place].bytes = node.kernel == "view" ? 0 : graph.bytes(of: source)
    }
    var live: [Int] = []
    let spans = try session.runTraced { _ in
      if let bytes = session.allocationStatistics?.liveBytes { live.append(bytes) }
    }
    try worker.emit(.trace(.init(spans: spans, liveBytes: live)))
    return nodes
  }

  /// Nanoseconds of each node in one more inference.
  private func time(into times: inout [[Double]]) throws {
    try session.runTimed(into: &once)
    for (index, time) in once.enumerated() { times[index].append(time) }
  }

  /// Lists that take so many times of each node without growing.
  private func lists(of count: Int) -> [[Double]] {
    placement.map { _ in
      var list: [Double] = []
      list.reserveCapacity(count)
      return list
    }
  }

  private func nodes(_ times: [[Double]]) -> [WorkerLine.NodeTime] {
    zip(placement, times).map { place, times in
      .init(node: place.node, op: place.op, kernel: place.kernel, timeNs: Int(median(times)))
    }
  }

  /// Calls of malloc and its kin in each node; empty where they cannot be counted.
  private func allocations() throws -> [String: Int] {
    guard let counter = worker.catalog.heapCounter, counter.unavailable() == nil else { return [:] }
    var counts = [Int](repeating: 0, count: placement.count)
    counter.start()
    defer { _ = counter.stop() }
    do {
      try session.run(afterEach: { index in
        counts[index] = counter.stop().allocations
        counter.start()
      })
    } catch is NodesNotTold {
      // A GPU's nodes end without the host knowing.
      return [:]
    }
    return Dictionary(zip(placement.map(\.node), counts)) { first, _ in first }
  }
}
