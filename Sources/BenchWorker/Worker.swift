import BenchProtocol
import BenchStatistics
import CMeasure
import Foundation
import Pacer

/// Pacer's own worker: reads a job, does it, writes lines, ends.
public struct Worker {
  let catalog: WorkerCatalog
  let emit: (WorkerLine) throws -> Void
  /// The next line of standard input; nil at its end.
  let nextLine: () -> String?

  public init(
    catalog: WorkerCatalog, nextLine: @escaping () -> String? = { readLine() },
    emit: @escaping (WorkerLine) throws -> Void
  ) {
    (self.catalog, self.nextLine, self.emit) = (catalog, nextLine, emit)
  }

  /// The worker process. The protocol moves to a duplicate of standard output, and standard output to standard error,
  /// so that no library's chatter can get into the protocol.
  /// - Returns: its exit status.
  public static func serve(_ catalog: WorkerCatalog) -> Int32 {
    signal(SIGPIPE, SIG_IGN)
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
      // Where the heap begins moves every iteration. Never freed.
      if let heap = job.layout?.heap, heap > 0 { pacer_move_heap(heap) }
      try worker.run(job)
      return 0
    } catch {
      try? worker.emit(.failed(reason: "\(error)"))
      return 1
    }
  }

  public func run(_ job: Job) throws {
    let isa = job.configuration?["isa"]?.text ?? catalog.availableInstructionSets.last
    try emit(
      .hello(
        .init(
          engine: "pacer", version: catalog.version, isa: isa, processor: catalog.processorName, interleaves: true,
          obeysSlowdown: true)))
    guard job.protocol == protocolVersion else {
      return try emit(.failed(reason: "the job speaks protocol \(job.protocol), this worker \(protocolVersion)"))
    }
    switch job.action {
    case .idle: for reading in ResidentProbe().readings { try emit(.metric(reading)) }
    case .control: try control(job)
    default: try work(job)
    }
  }

  private func work(_ job: Job) throws {
    guard let configuration = job.configuration else { throw UserError("the job has no configuration") }
    if let reason = try missing(configuration["isa"]?.text) { return try emit(.skipped(reason: reason)) }
    var catalog = catalog
    if let path = job.files["drivers"] {
      catalog.runtime = try catalog.runtime.knowing(drivers(in: path))
    }
    var settings: Settings
    do { settings = try Settings(configuration, catalog) } catch  where error is NoSuchOption || error is Unsupported {
      return try emit(.skipped(reason: "\(error)"))
    }
    settings.divide(by: job.partition)
    let lacksPartition = settings.wantsMeasuredPartition && job.partition == nil
    let backend = settings.backend
    let passes = try catalog.runtime.passes(settings)
    let device: DeviceInfo
    switch backend.availability(settings.options) {
    case .available(let info): device = info
    case .unavailable(let reason): return try emit(.skipped(reason: reason))
    }
    let isFenced = (backend as? NNAPIBackend)?.mode == .fenced
    if isFenced, settings.inputBuffer == .fresh {
      return try emit(
        .skipped(reason: "an inference that is started reads its session's own inputs, and no fresh ones"))
    }
    if job.action == .peaks {
      let work = try backend.peakWork(settings.options)
      // Without arithmetic of its own, the memory's speed would be the host's.
      if work.isEmpty { return try emit(.skipped(reason: "backend \(backend.name) has no measure of its peaks")) }
      return try PeakMeasurement(threads: settings.options.threads).run(work, emit)
    }

    let start = monotonicNanoseconds()
    let model: ModelWork
    do {
      model = try ModelWork(configuration, files: job.files, catalog.runtime, for: settings)
    } catch let error as Unsupported { return try emit(.skipped(reason: "\(error)")) }
    let loaded = monotonicNanoseconds()
    guard lacksPartition == (job.action == .partition) else {
      throw UserError(
        lacksPartition ? "the job brings no measured partition" : "there is no partition to be measured")
    }
    // Before any of it is taken: a few bytes of a file may rightly ask for more than there is.
    let limit = job.maxMemory ?? MachineMemory.byteCount
    func refuse(_ needed: Int) throws {
      try emit(
        .failed(
          reason: "weights and tensors take \(Self.mebibytes(needed)) MiB at least; allowed are "
            + "\(Self.mebibytes(limit)) (--max-memory)"))
    }
    if job.action == .partition {
      guard model.graph.largestByteCount <= limit else { return try refuse(model.graph.largestByteCount) }
      if let partition = try model.measuredPartition(settings, catalog.runtime) { try emit(.partition(partition)) }
      return
    }
    // Outputs are held against the reference afterwards, so the passes need not be checked one by one here.
    let placer = try Placer(backend, fallback: settings.fallback, settings.options)
    let (optimised, reports) = try Pipeline(model.remaining ?? passes, checksNumbers: false)
      .run(on: model.graph, for: placer, samples: [model.inputs])
    let optimisedAt = monotonicNanoseconds()
    if let reason = placer.lackOfKernels(for: settings.precision, in: optimised, on: backend) {
      return try emit(.skipped(reason: reason))
    }
    // Kernels have tables that grow with tensors.
    guard optimised.largestByteCount <= limit else { return try refuse(optimised.largestByteCount) }
    let planned = try placer.plan(optimised)
    guard planned.plan.leastBytes <= limit else { return try refuse(planned.plan.leastBytes) }
    let executable = try planned.compile()
    let session = try executable.makeSession()
    let preparedAt = monotonicNanoseconds()
    for (input, tensor) in zip(session.inputs, model.inputs) { input.write(tensor) }
    var prepared = WorkerLine.Prepared(
      loadNs: loaded - start, optimiseNs: optimisedAt - loaded, prepareNs: preparedAt - optimisedAt)
    prepared.passes = reports.map { .init(name: $0.name, rewrites: $0.rewrites) }
    prepared.graph = optimised.structureDigest.hex
    if job.action == .inspect {
      (prepared.weights, prepared.input) = (model.graph.weightDigest.hex, ModelWork.digest(model.inputs))
    }
    (prepared.nodes, prepared.macs) = (optimised.nodes.count, optimised.macs)
    (prepared.weightBytes, prepared.originalWeightBytes) = (optimised.weightBytes, model.graph.weightBytes)
    prepared.isQuantised = model.graph.nodes.contains(where: \.roundsToIntegers) ? true : nil
    prepared.kernels = Dictionary(executable.placement.map { ($0.kernel, 1) }, uniquingKeysWith: +)
    prepared.placement = WorkerLine.Prepared.Placement(executable, asked: backend.name)
    prepared.placement?.expected = job.partition?.cost
    prepared.placement?.unmeasured = job.partition?.unmeasuredCost
    prepared.device = "\(device.name), \(device.detail)"
    try emit(.prepared(prepared))

    let infer = inference(
      session, model.inputs, settings.inputBuffer, run: isFenced ? { try session.start().wait() } : session.run)
    switch job.action {
    case .idle, .control, .peaks, .partition: break
    case .latency: try measureLatency(job, session, infer)
    case .output:
      try session.run()
      try emitOutputs(session)
    case .inspect:
      for note in model.notes { try emit(.note(note)) }
      try emitNotes(settings, model.graph)
      try inspect(
        session, infer, nodes: executable.placement.count, checksOutputs: backend.computesOutputs)
    case .memory:
      guard let timeline = try session.memoryTimeline() else {
        return try emit(.skipped(reason: "backend \(backend.name) does not tell where its tensors lie"))
      }
      try emit(.memory(timeline))
    case .kernels:
      // Each kernel is warmed by itself.
      try interleaved(job) {
        WorkerLine.Warmed(firstInferenceNs: 0, iterations: 0, timeNs: 0, steady: false)
      } measure: {
        try emit(.profile(KernelTimer(job: job, placer: placer).times(of: optimised, executable.placement)))
      }
    case .profile: try NodeProfiler(worker: self, job, session, executable.placement, optimised).run()
    }
  }

  private static func mebibytes(_ bytes: Int) -> Int { (bytes + (1 << 20) - 1) >> 20 }

  /// Why an instruction set cannot be used here; nil where it can.
  private func missing(_ isa: String?) throws -> String? {
    guard let isa else { return nil }
    guard catalog.instructionSets.contains(isa) else {
      throw UnknownName(kind: "instruction set", name: isa, known: catalog.instructionSets)
    }
    if catalog.availableInstructionSets.contains(isa) { return nil }
    let cap = ProcessInfo.processInfo.environment["PACER_ISA"] ?? ""
    return cap.isEmpty ? "this machine has no \(isa)" : "no \(isa) on this machine under PACER_ISA=\(cap)"
  }

  /// Warms up and then measures: once, or at each line of standard input, whose first line was the job.
  func interleaved(_ job: Job, warmUp: () throws -> WorkerLine.Warmed, measure: () throws -> Void) throws {
    // Only now: two workers on the same processors prepare on all there are.
    if let processors = job.processors { try Processors.stay(on: processors) }
    guard job.interleaved == true else {
      try emit(.warmed(warmUp()))
      return try measure()
    }
    try emit(.ready)
    guard nextLine() != nil else { return }
    try emit(.warmed(warmUp()))
    while nextLine() != nil { try measure() }
  }

  private func measureLatency(_ job: Job, _ session: Session?, _ work: @escaping () throws -> Void) throws {
    let sampler = Sampler(job, work: work)
    let probes = catalog.probes.filter { $0.moment == .timed }.map { $0.make(session) }
    var iterations = 1
    try interleaved(job) {
      let warmed = try sampler.warmUp()
      iterations = warmed.iterations
      return warmed.line
    } measure: {
      for probe in probes { probe.begin() }
      let sample = try sampler.time(iterations)
      for probe in probes.reversed() { probe.end(iterations: sample.timed ?? sample.latenciesNs.count) }
      try emit(.sample(sample))
    }
    for reading in probes.flatMap(\.readings) { try emit(.metric(reading)) }
    // Some of the times are another backend's.
    if let failure = session?.failure { throw failure }
    if let session { try emitFallbacks(session) }
  }

  private func control(_ job: Job) throws {
    var sum: Float = 0
    try measureLatency(job, nil) { sum += pacer_control() }
    // Never true, which the compiler does not know.
    if sum.isNaN { throw UserError("the control computed nonsense") }
  }

  /// One inference, with what the configuration does about its input before.
  private func inference(
    _ session: Session, _ inputs: [Tensor], _ buffer: InputBuffer?, run: @escaping () throws -> Void
  ) -> () throws -> Void {
    switch buffer {
    case nil: run
    case .reused:
      {
        for (input, tensor) in zip(session.inputs, inputs) { input.write(tensor) }
        try run()
      }
    case .fresh:
      {
        try session.run(
          with: inputs.map { input in
            let tensor = try Tensor(uninitialized: input.type, allocator: SystemAllocator.shared)
            tensor.write(input)
            return tensor
          })
      }
    }
  }

  /// One inference to reach the steady state and one that is read.
  private func inspect(
    _ session: Session, _ infer: () throws -> Void, nodes: Int, checksOutputs: Bool
  ) throws {
    try infer()
    let probes = catalog.probes.filter { $0.moment == .inspected }.map { $0.make(session) }
    for probe in probes { probe.begin() }
    try infer()
    for probe in probes.reversed() { probe.end(iterations: 1) }
    for reading in probes.flatMap(\.readings) { try emit(.metric(reading)) }
    let steady = try steadyWindows(infer)
    try emit(.metric(.init("steady-faults", steady.faults)))
    try emit(.metric(.init("steady-latency", steady.latency)))
    try inspectDevice(session, nodes: nodes)
    try inspectDrivers(session, infer)
    if checksOutputs { try emitOutputs(session) }
  }

  private func emitOutputs(_ session: Session) throws {
    if let failure = session.failure { throw failure }
    for tensor in session.outputs.map(\.actual) { try emit(.output(.init(shape: tensor.shape, values: tensor.values))) }
  }

  /// What would make this configuration's times other than they seem.
  private func emitNotes(_ settings: Settings, _ graph: Graph) throws {
    let (threads, available) = (settings.options.threads, Processors.available)
    if Double(threads) > available {
      let number = available == available.rounded() ? "\(Int(available))" : String(format: "%.2f", available)
      try emit(.note("\(threads) threads share \(number) processor\(available == 1 ? "" : "s")"))
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
  private func inspectDevice(_ session: Session, nodes: Int) throws {
    guard let device = try session.deviceStatistics else { return }
    try emit(.metric(.init("device-submits", Double(device.submits))))
    try emit(.metric(.init("device-dispatches", Double(device.dispatches))))
    try emit(.metric(.init("device-barriers", Double(device.barriers))))
    try emit(.metric(.init("device-upload-bytes", Double(device.uploadBytes))))
    try emit(.metric(.init("device-download-bytes", Double(device.downloadBytes))))
    let memory = "device-memory"
    try emit(
      .metric(
        device.memoryBytes.map { .init(memory, Double($0)) }
          ?? .init(memory, unavailable: "a driver does not tell what its models take")))
    let phases: [(String, KeyPath<DeviceTimes, Double>)] = [
      ("device-upload", \.upload), ("device-compute", \.compute), ("device-download", \.download),
    ]
    do {
      var once = [Double](repeating: 0, count: nodes)
      let times = try (0..<5).compactMap { _ in try session.runTimed(into: &once) }
      for (name, phase) in phases { try emit(.metric(.init(name, median(times.map { $0[keyPath: phase] })))) }
    } catch let error as NodesNotTold {
      for (name, _) in phases { try emit(.metric(.init(name, unavailable: error.description))) }
    }
  }
}

extension WorkerLine.Prepared.Placement {
  /// Nil where all nodes run on the backend that was asked for.
  init?(_ executable: Executable, asked: String) {
    let nodes = Dictionary(executable.placement.map { ($0.backend, 1) }, uniquingKeysWith: +)
    guard nodes.count > 1 || nodes[asked] == nil else { return nil }
    let reasons = Dictionary(
      executable.placement.flatMap(\.refusals).map { ("\($0.backend): \($0.reason)", 1) }, uniquingKeysWith: +)
    let copies = executable.plan.borderCopies
    self.init(nodes: nodes, reasons: reasons, copies: copies.count, copiedBytes: copies.byteCount)
    segments = executable.plan.segments.count { $0.backend != nil }
  }
}
