import TensorCore
import struct RuntimeCore.MemoryTimeline

/// What every number of a line must hold before anything is computed with it, whoever wrote the line. Times are
/// nanoseconds of at most eleven days, counts are not negative.
extension WorkerLine {
  private static let longest = 1_000_000_000_000_000

  /// - Throws: ``UserError`` that names the field.
  func check() throws {
    switch self {
    case .hello, .skipped, .failed, .note: break
    case .prepared(let line): try line.check()
    case .sample(let line): try line.check()
    case .profile(let nodes):
      try Self.length(nodes.count, "nodes")
      for (index, node) in nodes.enumerated() {
        try Self.time(node.time, "nodes[\(index)].time")
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
    case .figure(let figure):
      try require(
        figure.value.map { $0.isFinite && $0 >= 0 } ?? (figure.unavailable != nil), "value of \(figure.name)",
        figure.value.map { "\($0)" } ?? "missing",
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
  static func times(of node: String, in runs: [[WorkerLine.NodeTime]]) throws -> [Double] {
    try runs.map { run in
      let found = run.filter { $0.node == node }
      guard found.count == 1 else {
        throw UserError("the worker's processes differ: node \(node) is in one of them \(found.count) times")
      }
      return max(Double(found[0].time), 1)
    }
  }
}

extension WorkerLine.Prepared {
  /// - Throws: ``UserError`` that names the field.
  func check() throws {
    for (name, time) in [("loadTime", loadTime), ("optimiseTime", optimiseTime), ("prepareTime", prepareTime)] {
      try WorkerLine.time(time, name)
    }
    for (name, value) in [
      ("nodes", nodes), ("macs", macs), ("weightBytes", weightBytes), ("originalWeightBytes", originalWeightBytes),
    ] {
      try WorkerLine.count(value ?? 0, name)
    }
    for pass in passes { try WorkerLine.count(pass.rewrites, "rewrites of \(pass.name)") }
    for (kernel, nodes) in kernels { try WorkerLine.count(nodes, "nodes of \(kernel)") }
  }
}

extension WorkerLine.Sample {
  /// - Throws: ``UserError`` that names the field.
  func check() throws {
    try WorkerLine.time(firstInference, "firstInference")
    try WorkerLine.count(warmup, "warmup")
    try WorkerLine.time(warmupTime, "warmupTime")
    try require(
      (latencies.count...max(latencies.count, 1 << 40)).contains(timed ?? latencies.count), "timed", timed ?? 0,
      "as many inferences were timed as there are latencies, or more")
    for (index, latency) in latencies.enumerated() {
      try WorkerLine.time(latency, "latencies[\(index)]")
      try require(latency > 0, "latencies[\(index)]", latency, "an inference cannot take a latency of \(latency) ns")
    }
  }
}

extension Job {
  /// - Throws: ``UserError`` that names the field.
  func check() throws {
    try require(Limits.seconds.contains(minTime), "minTime", minTime, "seconds, at most \(Limits.seconds.upperBound)")
    for (name, value) in [("iterations", iterations ?? 1), ("cell.threads", cell?.threads ?? 1)] {
      try require((1...Limits.iterations).contains(value), name, value, "a number from 1 to \(Limits.iterations)")
    }
    try require((0...Limits.iterations).contains(warmup ?? 0), "warmup", warmup ?? 0, "a number from 0 up")
    try require((0...1000).contains(slowdown ?? 0), "slowdown", slowdown ?? 0, "a share from 0 to 1000")
    if let shape = cell?.shape {
      try require(
        shape.elementCount.map { $0 > 0 } == true, "cell.shape", shape, "extents are from 1 up and fit in memory")
    }
  }
}
