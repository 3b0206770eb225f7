import struct RuntimeCore.MeasuredPartition
import struct RuntimeCore.MemoryTimeline
import TensorCore

/// What every number of a line must hold before anything is computed with it, whoever wrote the line. Times are
/// nanoseconds of at most eleven days, counts are not negative.
extension WorkerLine {
  private static let longest = 1_000_000_000_000_000

  /// - Throws: ``UserError`` that names the field.
  package func check() throws {
    switch self {
    case .hello, .ready, .skipped, .failed, .note: break
    case .prepared(let line): try line.check()
    case .warmed(let line): try line.check()
    case .sample(let line): try line.check()
    case .profile(let nodes):
      try Self.length(nodes.count, "nodes")
      for (index, node) in nodes.enumerated() {
        try Self.time(node.timeNs, "nodes[\(index)].timeNs")
        for (name, count) in [
          ("count", node.count), ("macs", node.macs), ("bytes", node.bytes), ("allocations", node.allocations),
        ] {
          try Self.count(count ?? 0, "nodes[\(index)].\(name)")
        }
      }
    case .trace(let trace):
      try Self.length(trace.spans.count, "spans")
      for (index, span) in trace.spans.enumerated() {
        try Self.count(span.node, "spans[\(index)].node")
        try require((0..<1024).contains(span.thread), "spans[\(index)].thread", span.thread, "a thread's number")
        try Self.time(span.start, "spans[\(index)].start")
        try Self.time(span.end, "spans[\(index)].end")
        try require(span.start <= span.end, "spans[\(index)].end", span.end, "a span ends after it began")
      }
      for (index, bytes) in trace.liveBytes.enumerated() { try Self.count(bytes, "liveBytes[\(index)]") }
    case .memory(let timeline): try Self.check(timeline)
    case .partition(let partition): try Self.check(partition)
    case .metric(let reading):
      try require(
        reading.value.map { $0.isFinite && $0 >= 0 } ?? (reading.unavailable != nil), "value of \(reading.name)",
        reading.value.map { "\($0)" } ?? "missing",
        "a metric is a finite number from 0 up, or says why it is unavailable")
    case .output(let output):
      try require(output.shape.elementCount != nil, "shape", output.shape, "extents are from 0 up and fit in memory")
    }
  }

  private static func check(_ timeline: MemoryTimeline) throws {
    try count(timeline.constantBytes, "constantBytes")
    try length(timeline.steps.count, "steps")
    try length(timeline.blocks.count, "blocks")
    for (index, step) in timeline.steps.enumerated() { try count(step.heldBytes, "steps[\(index)].heldBytes") }
    for (index, block) in timeline.blocks.enumerated() {
      try count(block.byteCount, "blocks[\(index)].byteCount")
      try count(block.offset, "blocks[\(index)].offset")
      try require(
        0 <= block.first && block.first <= block.last && block.last < timeline.steps.count, "blocks[\(index)].last",
        block.last, "a block lives within the \(timeline.steps.count) steps")
    }
  }

  fileprivate static func check(_ partition: MeasuredPartition) throws {
    try duration(partition.byteNs, "byteNs")
    try length(partition.chosen.count, "chosen")
    try require((1...64).contains(partition.devices.count), "devices", partition.devices.count, "1 to 64 devices")
    for device in partition.devices {
      try require(
        device.nodeNs.count == partition.chosen.count, "nodeNs of \(device.name), its length", device.nodeNs.count,
        "one for each of \(partition.chosen.count) nodes")
      for time in device.nodeNs { try duration(time ?? 0, "nodeNs of \(device.name)") }
      try duration(device.executionNs, "executionNs of \(device.name)")
    }
    for cost in [partition.cost, partition.unmeasuredCost].compactMap({ $0 }) { try check(cost) }
    for name in partition.chosen where !partition.devices.contains(where: { $0.name == name }) {
      throw UserError("chosen: there is no device \(name)")
    }
  }

  fileprivate static func check(_ cost: MeasuredPartition.Cost) throws {
    for (time, field) in [(cost.nodesNs, "nodesNs"), (cost.executionsNs, "executionsNs"), (cost.copiesNs, "copiesNs")] {
      try duration(time, field)
    }
    try count(cost.executions, "executions")
    try count(cost.copiedBytes, "copiedBytes")
    try count(cost.unmeasuredNodes ?? 0, "unmeasuredNodes")
  }

  private static func duration(_ value: Double, _ field: String) throws {
    try require(
      value >= 0 && value <= Double(longest), field, value, "times are nanoseconds from 0 to \(longest)")
  }

  fileprivate static func time(_ value: Int, _ field: String) throws {
    try require((0...longest).contains(value), field, value, "times are nanoseconds from 0 to \(longest)")
  }
  /// Small enough that a sum of many stays a number.
  fileprivate static func count(_ value: Int, _ field: String) throws {
    try require((0...1 << 44).contains(value), field, value, "counts and bytes are from 0 to 2⁴⁴")
  }
  /// As many entries as can be added up.
  fileprivate static func length(_ count: Int, _ field: String) throws {
    try require(count <= 100_000, "\(field), its length", count, "at most 100,000 entries")
  }
}

extension WorkerLine.NodeTime {
  /// Nanoseconds of a node in each of a few processes; nodes are joined by name.
  /// - Throws: ``UserError`` where a process has no such node, or more than one.
  package static func times(of node: String, in runs: [[WorkerLine.NodeTime]]) throws -> [Double] {
    try runs.map { run in
      let found = run.filter { $0.node == node }
      guard found.count == 1 else {
        throw UserError("the worker's processes differ: node \(node) is in one of them \(found.count) times")
      }
      return max(Double(found[0].timeNs), 1)
    }
  }
}

extension WorkerLine.Prepared {
  /// - Throws: ``UserError`` that names the field.
  package func check() throws {
    for (name, time) in [("loadNs", loadNs), ("optimiseNs", optimiseNs ?? 0), ("prepareNs", prepareNs)] {
      try WorkerLine.time(time, name)
    }
    for (name, value) in [
      ("nodes", nodes), ("macs", macs), ("weightBytes", weightBytes), ("originalWeightBytes", originalWeightBytes),
    ] {
      try WorkerLine.count(value ?? 0, name)
    }
    for pass in passes ?? [] { try WorkerLine.count(pass.rewrites, "rewrites of \(pass.name)") }
    for (kernel, nodes) in kernels ?? [:] { try WorkerLine.count(nodes, "nodes of \(kernel)") }
  }
}

extension WorkerLine.Warmed {
  /// - Throws: ``UserError`` that names the field.
  package func check() throws {
    try WorkerLine.time(firstInferenceNs, "firstInferenceNs")
    try WorkerLine.count(iterations, "iterations")
    try WorkerLine.time(timeNs, "timeNs")
  }
}

extension WorkerLine.Sample {
  /// - Throws: ``UserError`` that names the field.
  package func check() throws {
    try require(!latenciesNs.isEmpty, "latenciesNs", "empty", "a sample has the latency of an iteration or more")
    try require(
      (latenciesNs.count...max(latenciesNs.count, 1 << 40)).contains(timed ?? latenciesNs.count), "timed", timed ?? 0,
      "as many iterations were timed as there are latencies, or more")
    for (index, latency) in latenciesNs.enumerated() {
      try WorkerLine.time(latency, "latenciesNs[\(index)]")
      try require(latency > 0, "latenciesNs[\(index)]", latency, "an iteration cannot take a latency of \(latency) ns")
    }
  }
}

extension Job {
  /// - Throws: ``UserError`` that names the field.
  package func check() throws {
    try require(
      Limits.seconds.contains(minSeconds), "minSeconds", minSeconds, "seconds, at most \(Limits.seconds.upperBound)")
    try require(
      (1...Limits.iterations).contains(iterations ?? 1), "iterations", iterations ?? 1,
      "a number from 1 to \(Limits.iterations)")
    try require((0...Limits.iterations).contains(warmup ?? 0), "warmup", warmup ?? 0, "a number from 0 up")
    try require((0...1000).contains(slowdown ?? 0), "slowdown", slowdown ?? 0, "a share from 0 to 1000")
    try require((0...1 << 24).contains(layout?.heap ?? 0), "layout.heap", layout?.heap ?? 0, "bytes from 0 to 2²⁴")
  }
}
