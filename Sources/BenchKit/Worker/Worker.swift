import CMeasure
import Foundation
import GraphCore
import ModelZoo
import RuntimeCore
import TensorCore

/// Pacer's own worker: reads a job, does it, writes lines, ends.
public struct Worker {
  let catalog: Catalog
  let emit: (WorkerLine) throws -> Void

  public init(catalog: Catalog, emit: @escaping (WorkerLine) throws -> Void) {
    self.catalog = catalog
    self.emit = emit
  }

  /// The worker process. The protocol moves to a duplicate of standard output, and standard output to standard error,
  /// so that no library's chatter can get into the protocol.
  public static func serve(_ catalog: Catalog) -> Int32 {
    signal(SIGPIPE, SIG_IGN)
    // Where the heap begins moves every inference by a per cent or two, and a job of another length moves the heap: it
    // begins elsewhere in every process, so that this averages out. Never freed.
    if ProcessInfo.processInfo.environment["PACER_PADDING"] != "" { pacer_move_heap(Int.random(in: 1..<(1 << 16))) }
    let descriptor = dup(1)
    dup2(2, 1)
    let output = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    let encoder = JSONEncoder()
    let worker = Worker(catalog: catalog) { line in
      try output.write(contentsOf: encoder.encode(line) + Data("\n".utf8))
    }
    do {
      guard let line = readLine() else { return 0 }
      let job: Job
      do {
        job = try CheckedJSON.decode(Job.self, from: Data(line.utf8))
        try job.check()
      } catch { throw UserError("the job cannot be done: \(error)") }
      try worker.run(job)
      return 0
    } catch {
      try? worker.emit(.failed(reason: describe(error)))
      return 1
    }
  }

  public func run(_ job: Job) throws {
    let isa = job.cell?.isa ?? catalog.availableInstructionSets.last
    try emit(
      .hello(
        .init(
          engine: "pacer", version: catalog.version, protocol: protocolVersion, isa: isa,
          processor: catalog.processorName, takesTurns: true, slowsDown: true)))
    guard job.protocol == protocolVersion else {
      return try emit(.failed(reason: "the job speaks protocol \(job.protocol), this worker \(protocolVersion)"))
    }
    if job.action == .idle { return try emitMemory() }
    if job.action == .control { return try control(job) }
    guard let cell = job.cell else { throw UserError("the job has no cell") }
    let backend = try catalog.backend(cell.backend)
    let passes = try catalog.passes(cell.passes)
    if let isa = cell.isa {
      guard catalog.instructionSets.contains(isa) else {
        throw UnknownName(kind: "instruction set", name: isa, known: catalog.instructionSets)
      }
      guard catalog.availableInstructionSets.contains(isa) else {
        let cap = ProcessInfo.processInfo.environment["PACER_ISA"] ?? ""
        return try emit(
          .skipped(
            reason: cap.isEmpty ? "this machine has no \(isa)" : "no \(isa) on this machine under PACER_ISA=\(cap)"))
      }
    }
    let options = cell.prepareOptions
    let device: DeviceInfo
    switch backend.availability(options) {
    case .available(let info): device = info
    case .unavailable(let reason): return try emit(.skipped(reason: reason))
    }
    if job.action == .peaks {
      let work = try backend.peakWork(options)
      // Without arithmetic of its own, the memory's speed would be the host's.
      if work.isEmpty { return try emit(.skipped(reason: "backend \(backend.name) has no measure of its peaks")) }
      return try PeakMeasurement(threads: cell.threads).run(work, emit)
    }

    let model = try catalog.model(cell.model)
    let start = monotonicNanoseconds()
    let (graph, input) = try ModelInput(cell, model).load()
    let loaded = monotonicNanoseconds()
    // Outputs are held against the reference afterwards, so the passes need not be checked one by one here.
    let (optimised, reports) = try Pipeline(passes, checksNumbers: false).run(on: graph, for: backend.target(options))
    let optimisedAt = monotonicNanoseconds()
    let executable = try backend.prepare(optimised, options)
    let session = try executable.makeSession()
    let prepared = monotonicNanoseconds()
    session.inputs[0].write(input.values)
    try emit(
      .prepared(
        .init(
          loadTime: loaded - start, optimiseTime: optimisedAt - loaded, prepareTime: prepared - optimisedAt,
          passes: reports.map { .init(name: $0.name, rewrites: $0.rewrites) },
          graph: optimised.structureDigest.hex,
          weights: job.action == .counts ? graph.weightDigest.hex : nil,
          input: job.action == .counts ? input.digest.hex : nil, nodes: optimised.nodes.count,
          macs: optimised.macs, weightBytes: optimised.weightBytes, originalWeightBytes: graph.weightBytes,
          kernels: Dictionary(executable.placement.map { ($0.kernel, 1) }, uniquingKeysWith: +),
          device: "\(device.name), \(device.detail)")))

    switch job.action {
    case .idle, .control, .peaks: break
    case .latency: try measureLatency(job, inference(session, input, cell.inputBuffer))
    case .output:
      try session.run()
      try emitOutputs(session)
    case .counts:
      try emitNotes(cell, graph)
      try count(
        session, inference(session, input, cell.inputBuffer), nodes: executable.placement.count,
        checksOutputs: backend.computesOutputs)
    case .memory:
      guard let timeline = try session.memoryTimeline() else {
        return try emit(.skipped(reason: "backend \(backend.name) does not tell where its tensors lie"))
      }
      try emit(.memory(timeline))
    case .kernels:
      try inTurns(job) {
      } measure: {
        try emit(.profile(KernelTimer(job, backend, options).times(of: optimised)))
      }
    case .profile: try NodeProfiler(worker: self, job, session, executable.placement, optimised).run()
    }
  }

  /// Warms up and then measures: once, or at each line of standard input, whose first line was the job.
  func inTurns(_ job: Job, warmUp: () throws -> Void, measure: () throws -> Void) throws {
    // Only now: two workers on the same processors prepare on all there are.
    if let processors = job.processors { try Processors.stay(on: processors) }
    guard job.takesTurns == true else {
      try warmUp()
      return try measure()
    }
    guard readLine() != nil else { return }
    try warmUp()
    try emit(.sample(.init(firstInference: 0, warmup: 0, warmupTime: 0, steady: true, latencies: [])))
    while readLine() != nil { try measure() }
  }

  private func measureLatency(_ job: Job, _ work: @escaping () throws -> Void) throws {
    let sampler = Sampler(job, work: work)
    var (usage, count) = (ProcessUsage(), 0)
    var (sample, iterations) = (WorkerLine.Sample?.none, 1)
    try inTurns(job) {
      (sample, iterations) = try sampler.warmUp()
    } measure: {
      let measured = try sampler.time(iterations)
      usage += measured.usage
      count += measured.timed
      sample!.latencies = measured.latencies
      sample!.timed = measured.timed > measured.latencies.count ? measured.timed : nil
      try emit(.sample(sample!))
    }
    if count > 0 {
      try emit(.figure(.init("cpu-time", Double(usage.cpuNanoseconds / count))))
      try emit(.figure(.init("minor-faults", Double(usage.minorFaults) / Double(count))))
    }
    try emitMemory()
  }

  private func control(_ job: Job) throws {
    try emit(.prepared(.init(loadTime: 0, optimiseTime: 0, prepareTime: 0)))
    var sum: Float = 0
    try measureLatency(job) { sum += pacer_control() }
    // Never true, which the compiler does not know.
    if sum.isNaN { throw UserError("the control computed nonsense") }
  }

  /// One inference, with what the cell does about its input before.
  private func inference(
    _ session: any Session, _ input: Tensor, _ buffer: Cell.InputBuffer?
  ) -> () throws -> Void {
    switch buffer {
    case nil: session.run
    case .reused:
      {
        session.inputs[0].write(input)
        try session.run()
      }
    case .fresh:
      {
        let tensor = try Tensor(uninitialized: input.type, allocator: SystemAllocator.shared)
        tensor.write(input)
        try session.run(with: [tensor])
      }
    }
  }

  /// One inference to reach the steady state and one that is counted.
  private func count(
    _ session: any Session, _ infer: () throws -> Void, nodes: Int, checksOutputs: Bool
  ) throws {
    try infer()
    let before = session.allocationStatistics
    if let counter = catalog.heapCounter, counter.unavailable() == nil {
      counter.start()
      try infer()
      let counted = counter.stop()
      try emit(.figure(.init("heap-allocations", Double(counted.allocations))))
      try emit(.figure(.init("heap-bytes", Double(counted.bytes))))
    } else {
      try infer()
      let reason = catalog.heapCounter?.unavailable() ?? "this worker has no heap counter"
      try emit(.figure(.init("heap-allocations", unavailable: reason)))
      try emit(.figure(.init("heap-bytes", unavailable: reason)))
    }
    if let before, let after = session.allocationStatistics {
      try emit(.figure(.init("tensor-allocations", Double(after.allocations - before.allocations))))
      try emit(.figure(.init("tensor-bytes", Double(after.bytes - before.bytes))))
      try emit(.figure(.init("tensor-peak-bytes", Double(after.peakLiveBytes))))
      if after.cacheHits + after.cacheMisses > 0 {
        try emit(.figure(.init("cache-misses", Double(after.cacheMisses - before.cacheMisses))))
      }
    } else {
      try emit(.figure(.init("tensor-allocations", unavailable: "this backend has no tensor allocator")))
    }
    let steady = try steadyWindows(infer)
    try emit(.figure(.init("steady-faults", steady.faults)))
    try emit(.figure(.init("steady-latency", steady.latency)))
    if let arena = session.arena {
      try emit(.figure(.init("arena-bytes", Double(arena.byteCount))))
      try emit(.figure(.init("arena-lower-bound", Double(arena.lowerBound))))
    }
    try countDevice(session, nodes: nodes)
    if checksOutputs { try emitOutputs(session) }
  }

  private func emitOutputs(_ session: any Session) throws {
    for tensor in session.outputs { try emit(.output(.init(shape: tensor.shape, values: tensor.values))) }
  }

  /// What would make this configuration's times other than they seem.
  private func emitNotes(_ cell: Cell, _ graph: Graph) throws {
    let available = Processors.available
    if Double(cell.threads) > available {
      let number = available == available.rounded() ? "\(Int(available))" : String(format: "%.2f", available)
      try emit(.note("\(cell.threads) threads share \(number) processor\(available == 1 ? "" : "s")"))
    }
    var denormal = 0
    for tensor in graph.weights.values where tensor.type.dtype == .float32 {
      denormal += tensor.floats.count { $0.isSubnormal }
    }
    if denormal > 0 {
      try emit(.note("\(denormal) of the weights are denormal numbers, with which arithmetic may be far slower"))
    }
  }

  /// Minor page faults and nanoseconds of an inference, each in the best of up to five windows of up to 64 inferences. A
  /// window ends after 30 ms and the last begins before 150, so that a slow network is run once more at least, and not often.
  private func steadyWindows(_ infer: () throws -> Void) throws -> (faults: Double, latency: Double) {
    let begin = monotonicNanoseconds()
    var (best, fastest) = (Double.infinity, Double.infinity)
    var windows = 0
    repeat {
      let (before, start) = (ProcessUsage.now(), monotonicNanoseconds())
      var count = 0
      repeat {
        try infer()
        count += 1
      } while count < 64 && monotonicNanoseconds() - start < 30_000_000
      fastest = min(fastest, Double(monotonicNanoseconds() - start) / Double(count))
      best = min(best, Double((ProcessUsage.now() - before).minorFaults) / Double(count))
      windows += 1
    } while windows < 5 && monotonicNanoseconds() - begin < 150_000_000
    return (best, fastest)
  }

  /// What a device of its own does for an inference, and its own times of the phases: medians of five.
  private func countDevice(_ session: any Session, nodes: Int) throws {
    guard let device = try session.deviceStatistics else { return }
    try emit(.figure(.init("device-submits", Double(device.submits))))
    try emit(.figure(.init("device-dispatches", Double(device.dispatches))))
    try emit(.figure(.init("device-barriers", Double(device.barriers))))
    try emit(.figure(.init("device-upload-bytes", Double(device.uploadBytes))))
    try emit(.figure(.init("device-download-bytes", Double(device.downloadBytes))))
    try emit(.figure(.init("device-memory", Double(device.memoryBytes))))
    let phases: [(String, KeyPath<DeviceTimes, Double>)] = [
      ("device-upload", \.upload), ("device-compute", \.compute), ("device-download", \.download),
    ]
    do {
      var once = [Double](repeating: 0, count: nodes)
      let times = try (0..<5).compactMap { _ in try session.runTimed(into: &once) }
      for (name, phase) in phases { try emit(.figure(.init(name, median(times.map { $0[keyPath: phase] })))) }
    } catch let error as GraphError {
      for (name, _) in phases { try emit(.figure(.init(name, unavailable: error.description))) }
    }
  }

  /// The high-water mark of this process's own memory map, and how much of the map lies on pages of 2 MiB. `ru_maxrss`
  /// would not do: it is inherited from the parent.
  private func emitMemory() throws {
    try emitKibibytes("VmHWM", of: "/proc/self/status", as: "peak-resident")
    try emitKibibytes("AnonHugePages", of: "/proc/self/smaps_rollup", as: "huge-pages")
  }

  private func emitKibibytes(_ field: String, of file: String, as figure: String) throws {
    let text = try? String(contentsOfFile: file, encoding: .utf8)
    let line = text?.split(separator: "\n").first { $0.hasPrefix("\(field):") }
    let kibibytes = line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Double($0) }
    if let kibibytes {
      try emit(.figure(.init(figure, kibibytes * 1024)))
    } else {
      try emit(.figure(.init(figure, unavailable: "\(file) has no \(field)")))
    }
  }
}

/// An error in words a person can use.
func describe(_ error: any Error) -> String {
  switch error {
  case let error as DecodingError: "malformed JSON: \(error)"
  default: "\(error)"
  }
}
