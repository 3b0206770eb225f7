import GraphCore
import TensorCore

/// One caller's use of an executable, with memory and threads of its own. Not for two threads at once.
public final class Session {
  /// Write here …
  public let inputs: [Tensor]
  /// … and read here, until the next run. What is an upper bound came out as its `actual` says.
  public let outputs: [Tensor]
  /// What it runs.
  public let executable: Executable
  /// One for each of the plan's; nil for copies between tensors of the caller.
  package let segments: [(any Segment)?]
  package let memory: HostMemory
  private var context: RunContext
  /// What inputs are read from now.
  private var bound: [Tensor]
  /// Computes what a backend failed to compute, once one has.
  private var substitute: Session?
  /// The inference that was started last: see ``start(after:durationAfterFence:)``.
  var started: Event?

  /// Why an inference failed on a backend; its outputs were computed by the fallback.
  public struct Failure: Error, Sendable, CustomStringConvertible {
    /// Names of the backend that failed and of the one that computes instead.
    public let backend: String
    public let fallback: String
    public fileprivate(set) var reason: String
    /// What the backend threw.
    public let underlying: any Error
    public var description: String { "\(backend) failed: \(reason); \(fallback) computes instead" }
  }
  /// The failure since which the fallback computes everything; nil while there was none.
  public private(set) var failure: Failure?

  /// - Parameters:
  ///   - inputs: Memory that the caller has for them already, of their types; nil for memory of the session's.
  ///   - outputs: The same of outputs.
  init(
    _ executable: Executable, _ segments: [(any Segment)?], _ pool: ThreadPool, inputs: [Tensor]? = nil,
    outputs: [Tensor]? = nil
  ) throws {
    let (plan, options) = (executable.plan, executable.options)
    let inputs = try inputs ?? plan.graph.inputs.map { try Tensor(zeros: plan.graph[$0].type) }
    let outputs = try outputs ?? plan.graph.outputs.map { try Tensor(zeros: plan.graph[$0].type) }
    (self.inputs, self.outputs) = (inputs, outputs)
    memory = try HostMemory(plan, options.allocator, hugePages: options.hugePages, inputs: inputs, outputs: outputs)
    context = RunContext(memory: memory, pool: pool)
    (self.executable, self.segments, bound) = (executable, segments, inputs)
  }

  // MARK: Running

  /// Computes `outputs` from `inputs`. Where a backend fails that has a fallback, the inference is run again from its inputs on
  /// that, as are all later ones: see ``failure``.
  public func run() throws {
    finishStarted()
    try run(until: nil)
  }

  /// Waits for what was started: memory and inputs are its until it has run.
  private func finishStarted() {
    // It is whoever waits for that event who hears of what became of it.
    try? started?.wait()
    started = nil
  }

  /// - Parameter deadlineNs: of segments that keep to one.
  func run(until deadlineNs: Int?) throws {
    context.deadlineNs = deadlineNs
    if let substitute { return try run(on: substitute) }
    var running = 0
    do {
      try runSegments { segment in
        try segment.run(context)
        running += 1
      }
    } catch {
      if let error = error as? any FinalError, error.isFinal { throw error }
      guard let fallback = executable.fallback, let backend = executable.plan.segments[safe: running]?.backend,
        backend < fallback.position
      else { throw error }
      var failure = Failure(
        backend: executable.backends[backend], fallback: executable.backends[fallback.position], reason: "\(error)",
        underlying: error)
      do {
        let session = try fallback.placer.prepare(executable.plan.graph).makeSession()
        try run(on: session)
        substitute = session
      } catch let second {
        failure.reason += "; and there: \(second)"
        throw failure
      }
      self.failure = failure
    }
  }

  private func run(on session: Session) throws {
    try session.run(with: bound)
    for (tensor, result) in zip(outputs, session.outputs) { tensor.write(result) }
  }

  /// Like `run`, with tensors of the caller's in the place of `inputs`, which keep what they hold.
  /// - Throws: ``GraphError`` where number or types are not those of `inputs`, or one is an output of this session.
  public func run(with given: [Tensor]) throws {
    guard given.map(\.type) == inputs.map(\.type) else {
      let (wanted, found) = (inputs.map(\.type.description), given.map(\.type.description))
      throw GraphError("inputs are \(wanted.joined(separator: ", ")), not \(found.joined(separator: ", "))")
    }
    guard !given.contains(where: { tensor in outputs.contains { $0.storage === tensor.storage } }) else {
      throw GraphError("an output of a session is no input of the same one: it is written while it is read")
    }
    finishStarted()
    bind(given)
    defer { bind(inputs) }
    try run()
  }

  private func bind(_ tensors: [Tensor]) {
    bound = tensors
    memory.bind(inputs: tensors)
  }

  private func runSegments(_ body: (any Segment) throws -> Void) throws {
    try memory.whileRunning {
      for (index, segment) in segments.enumerated() {
        if let segment {
          try body(segment)
        } else {
          for step in executable.plan.segments[index].steps { try memory.copy(step) }
        }
      }
    }
  }

  // MARK: Profiling

  /// Like `run`, with a call after each node, by its position in the placement.
  /// - Throws: ``NodesNotTold`` where a backend cannot tell its nodes apart, and ``failure`` since there is one.
  public func run(afterEach finished: (Int) -> Void) throws {
    finishStarted()
    if let failure { throw failure }
    try runSegments { try stepwise($0).run(context, afterEach: finished) }
  }

  /// Like `run`, and puts the nanoseconds of each node at its position in the placement: by a device's own clock, or the
  /// host's.
  /// - Returns: what devices of their own spent on each phase; nil where there is none.
  /// - Throws: ``NodesNotTold`` where a backend cannot tell its nodes apart, and ``failure`` since there is one.
  @discardableResult public func runTimed(into times: inout [Double]) throws -> DeviceTimes? {
    finishStarted()
    if let failure { throw failure }
    var device: DeviceTimes?
    try runSegments { segment in
      if let segment = segment as? any TimedSegment {
        let spent = try segment.runTimed(context, into: &times)
        device = device.map { $0 + spent } ?? spent
      } else {
        var start = ContinuousClock.now
        try stepwise(segment).run(
          context,
          afterEach: { node in
            times[node] = (ContinuousClock.now - start) / .nanoseconds(1)
            start = ContinuousClock.now
          })
      }
    }
    return device
  }

  /// Like `run`, and says which thread worked on what: pieces of nodes on every thread but the caller's. Of a device's nodes
  /// it knows the times alone, and puts one behind the other.
  /// - Parameter finished: called after each node, by its position in the placement; of a device after all of a segment's.
  /// - Throws: ``NodesNotTold`` where a backend cannot tell its nodes apart, and ``failure`` since there is one.
  public func runTraced(afterEach finished: (Int) -> Void) throws -> [TraceSpan] {
    finishStarted()
    if let failure { throw failure }
    context.pool.isTraced = true
    defer { context.pool.isTraced = false }
    let start = ContinuousClock.now
    func nanoseconds(_ instant: ContinuousClock.Instant) -> Int {
      let passed = (instant - start).components
      return Int(passed.seconds) * 1_000_000_000 + Int(passed.attoseconds / 1_000_000_000)
    }
    var spans: [TraceSpan] = []
    try runSegments { segment in
      var last = ContinuousClock.now
      if let segment = segment as? any TimedSegment {
        var times = [Double](repeating: .nan, count: executable.placement.count)
        _ = try segment.runTimed(context, into: &times)
        var next = nanoseconds(last)
        for (node, time) in times.enumerated() where !time.isNaN {
          spans.append(TraceSpan(node: node, thread: 0, start: next, end: next + Int(time)))
          next += Int(time)
          finished(node)
        }
        return
      }
      try stepwise(segment).run(
        context,
        afterEach: { node in
          let all = [ThreadSpan(thread: 0, start: last, end: ContinuousClock.now)] + context.pool.takeSpans()
          spans += all.map {
            TraceSpan(node: node, thread: $0.thread, start: nanoseconds($0.start), end: nanoseconds($0.end))
          }
          finished(node)
          last = ContinuousClock.now
        })
    }
    return spans
  }

  private func stepwise(_ segment: any Segment) throws -> any StepwiseSegment {
    guard let segment = segment as? any StepwiseSegment else { throw NodesNotTold() }
    return segment
  }

  // MARK: Memory

  /// Segments with a device of their own, the first of each backend.
  private var devices: [any DeviceReporting] {
    var seen = Set<Int>()
    return zip(executable.plan.segments, segments).compactMap { planned, segment in
      guard let backend = planned.backend, let segment = segment as? any DeviceReporting,
        seen.insert(backend).inserted
      else { return nil }
      return segment
    }
  }

  /// What the session asked of its allocator so far; nil where nothing runs in the host's memory.
  public var allocationStatistics: AllocationStatistics? { executable.plan.usesHost ? memory.statistics : nil }

  /// Bytes of planned memory and the least it could be, summed over spaces; nil without a plan.
  public var arena: (byteCount: Int, lowerBound: Int)? {
    let all = [memory.arena.map { ($0.byteCount, $0.lowerBound) }].compactMap { $0 } + devices.compactMap(\.arena)
    return all.isEmpty ? nil : all.reduce((0, 0)) { ($0.0 + $1.0, $0.1 + $1.1) }
  }

  /// What one run asks of devices with memory of their own; nil where there is none.
  public var deviceStatistics: DeviceStatistics? {
    get throws {
      let all = try segments.compactMap { try ($0 as? any DeviceReporting)?.deviceStatistics }
      return all.dropFirst().reduce(all.first) { $0! + $1 }
    }
  }

  /// Which tensors are alive when in a steady run, and where: in the host's memory, or on the device where that has all of
  /// them; nil where the backend does not tell.
  public func memoryTimeline() throws -> MemoryTimeline? {
    if !executable.plan.usesHost { return try devices.first?.memoryTimeline() }
    return try memory.timeline(
      constantBytes: executable.plan.graph.weightBytes + (inputs + outputs).reduce(0) { $0 + $1.type.byteCount })
  }
}
