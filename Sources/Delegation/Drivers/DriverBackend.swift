import BackendCPU
import GraphCore
import ModelFiles
import RuntimeCore
import TensorCore

/// How a client uses drivers.
struct DriverUse: Sendable {
  /// Choices of what computes underneath, such as an instruction set.
  var computing: [String: String] = [:]
  /// Whether a step whose driver fails is computed by NNAPI's processor code.
  var fallsBack = true
  /// Of each execution, in nanoseconds; nil for none.
  var timeoutNs: Int?
  var priority = ExecutionPriority.medium
}

/// A driver in a process of its own: what is placed on it goes there as models over shared memory.
struct DriverBackend: NNAPIDevice {
  let profile: DriverProfile
  let use: DriverUse
  let computing: any Backend

  init(_ profile: DriverProfile, _ use: DriverUse) throws {
    (self.profile, self.use) = (profile, use)
    computing = try profile.computing(use.computing)
  }

  func availability(_ options: PrepareOptions) -> Availability {
    if case .failure(let error) = DriverProcess.program { return .unavailable(reason: error.reason) }
    switch computing.availability(profile.own(options)) {
    case .available(let device):
      return .available(DeviceInfo(name: name, detail: "\(device.name), \(device.detail)"))
    case let unavailable: return unavailable
    }
  }

  func lower(_ nodes: [Int], of graph: Graph, _ options: PrepareOptions) throws -> any Lowering {
    let kernels = try nodes.map { index in
      let node = graph.nodes[index]
      switch support(for: node, in: graph, options) {
      case .kernel(let kernel): return (index, kernel)
      case .unsupported(let reason): throw Unsupported("\(node.name): \(reason)")
      }
    }
    return DriverLowering(self, graph, Dictionary(uniqueKeysWithValues: kernels), profile.own(options))
  }
}

/// NNAPI's own processor code, in the process of who uses it, as on Android.
struct ProcessorDevice: NNAPIDevice {
  let profile: DriverProfile
  let computing: any Backend

  init(_ profile: DriverProfile, _ use: DriverUse) throws {
    self.profile = profile
    computing = try profile.computing(use.computing)
  }

  func availability(_ options: PrepareOptions) -> Availability { computing.availability(options) }
  func lower(_ nodes: [Int], of graph: Graph, _ options: PrepareOptions) throws -> any Lowering {
    for index in nodes {
      if let reason = support(for: graph.nodes[index], in: graph, options).refusal {
        throw Unsupported("\(graph.nodes[index].name): \(reason)")
      }
    }
    return try computing.lower(nodes, of: graph, options)
  }
}

/// NNAPI's interpreter: IF and WHILE themselves on the processor, what they run wherever NNAPI places it.
struct InterpreterDevice: Backend {
  let name = "nnapi-interpreter"
  private let processor: CPUBackend

  /// - Parameters:
  ///   - nnapi: places what runs in branches and loops.
  ///   - processor: interprets.
  init(_ nnapi: NNAPIBackend, _ processor: CPUBackend) {
    var processor = processor
    let fallback: (any Backend)? = nnapi.allowsFallback ? CPUBackend(instructionSet: processor.instructionSet) : nil
    processor.bodies = BodyPlacement(nnapi, fallback: fallback, loopTimeoutNs: nnapi.loopTimeoutNs)
    self.processor = processor
  }

  func support(for node: Node, in graph: Graph, _ options: PrepareOptions) -> Support {
    guard node.op is any ControlOp else { return .unsupported(reason: "it runs control flow alone") }
    do { _ = try graph.nnapiOperations(for: node) } catch { return .unsupported(reason: "\(error)") }
    return processor.support(for: node, in: graph, options)
  }
  func target(_ options: PrepareOptions) throws -> any TargetTraits { try processor.target(options) }
  func availability(_ options: PrepareOptions) -> Availability { processor.availability(options) }
  func lower(_ nodes: [Int], of graph: Graph, _ options: PrepareOptions) throws -> any Lowering {
    for index in nodes {
      if let reason = support(for: graph.nodes[index], in: graph, options).refusal {
        throw Unsupported("\(graph.nodes[index].name): \(reason)")
      }
    }
    return try processor.lower(nodes, of: graph, options)
  }
}

/// What a plan has to know of nodes that a driver runs: values that stay within one of its models take no shared memory.
private struct DriverLowering: Lowering {
  let driver: DriverBackend
  let graph: Graph
  private let kernels: [Int: String]
  let options: PrepareOptions
  /// Computed here, and read by one model's own nodes alone. What nobody reads is a result: a model has one at least.
  private let inner: Set<ValueID>

  var space: MemorySpace { .device(driver.name) }
  var device: String { driver.name }

  init(_ driver: DriverBackend, _ graph: Graph, _ kernels: [Int: String], _ options: PrepareOptions) {
    (self.driver, self.graph, self.kernels, self.options) = (driver, graph, kernels, options)
    // The model of each node: nodes that follow each other are one.
    var models: [Int: Int] = [:]
    for node in kernels.keys.sorted() { models[node] = models[node - 1] ?? node }
    let results = Set(graph.outputs)
    inner = Set(
      kernels.keys.flatMap { node in
        graph.nodes[node].outputs.filter { value in
          let users = graph.users(of: value)
          return !results.contains(value) && !users.isEmpty && users.allSatisfy { models[$0] == models[node] }
        }
      })
  }

  func viewOffset(_ node: Int) -> Int? { nil }
  func kernel(for node: Int) -> PlannedKernel { PlannedKernel(name: kernels[node]!) }
  func byteCount(of value: ValueID) -> Int { inner.contains(value) ? 0 : graph[value].type.storageByteCount }
  func compile(_ segments: [Plan.Segment], of plan: Plan) throws -> any CompiledSegments {
    try DriverSegments(self, segments, of: plan)
  }

  func isInner(_ value: ValueID) -> Bool { inner.contains(value) }
}

/// A plan's segments as models of a driver, prepared in its process: what every session shares.
private final class DriverSegments: CompiledSegments {
  /// One segment: a model, and where its inputs and outputs lie in the shared memory.
  struct Model {
    let steps: Range<Int>
    let graph: Graph
    let token: String
    let inputs: [Int]
    let outputs: [Int]
  }

  let plan: Plan
  let models: [Model]
  let driver: DriverBackend
  let options: PrepareOptions
  /// Nil where it could not be prepared, for this reason: then the processor computes from the start, if that is allowed.
  let process: DriverProcess?
  let failure: DriverError?
  /// Places of slots in the shared memory, by slot, and its bytes.
  let offsets: [Int: Int]
  let byteCount: Int
  /// Bytes that the plan does not copy in a run since they stay in the driver's memory between two of its models.
  let bytesKept: Int

  init(_ lowering: DriverLowering, _ segments: [Plan.Segment], of plan: Plan) throws {
    (self.plan, driver, options) = (plan, lowering.driver, lowering.options)
    let places = Self.places(of: segments, in: plan, lowering.space)
    (offsets, byteCount) = places
    var kept = 0
    var written = Set<ValueID>()
    let models = try segments.map { segment in
      let steps = segment.steps.filter { plan.steps[$0].node != nil }
      let nodes = steps.map { plan.graph.nodes[plan.steps[$0].node!] }
      var slots: [ValueID: Int] = [:]
      for (step, node) in zip(steps, nodes) {
        for (id, slot) in zip(node.inputs + node.outputs, plan.steps[step].inputs + plan.steps[step].outputs) {
          slots[id] = slot
        }
      }
      let results = nodes.flatMap(\.outputs).filter { !lowering.isInner($0) }
      var (graph, inputs) = try plan.graph.part(nodes, outputs: results)
      for index in graph.nodes.indices { graph.place(index, on: nil) }
      kept += inputs.reduce(0) { $0 + (written.contains($1) ? plan.graph[$1].type.storageByteCount : 0) }
      written.formUnion(results)
      let place: (ValueID) -> Int = { places.offsets[slots[$0]!]! }
      return Model(
        steps: segment.steps, graph: graph, token: Self.token(graph, lowering), inputs: inputs.map(place),
        outputs: results.map(place))
    }
    (self.models, bytesKept) = (models, kept)
    // A driver that has nothing to do is not started.
    guard !models.isEmpty else {
      (process, failure) = (nil, nil)
      return
    }
    do {
      let process = try DriverProcess.shared(driver.profile, driver.use.computing)
      for model in models {
        try process.prepare(model.token, lowering.options) {
          let portable = PacerContents.Variant(nil, model.graph, passes: [])
          return PacerContents(name: model.graph.name, release: "driver", variants: [portable], targetPasses: [])
        }
      }
      (self.process, failure) = (process, nil)
    } catch let error where driver.use.fallsBack && (error is DriverError || error is SystemFailure) {
      (process, failure) = (nil, DriverError(preparing: driver.name, error))
    }
  }

  /// Inputs of a model stay whole until it has run, so that it can be run again elsewhere, and nothing of its results lies in them.
  private static func places(
    of segments: [Plan.Segment], in plan: Plan, _ space: MemorySpace
  ) -> (offsets: [Int: Int], byteCount: Int) {
    var uses: [Int: (first: Int, last: Int)] = [:]
    for (index, segment) in segments.enumerated() {
      for slot in segment.steps.flatMap({ plan.steps[$0].inputs + plan.steps[$0].outputs }).map(plan.root(of:))
      where plan.slots[slot].space == space && plan.slots[slot].source == .computed {
        uses[slot] = (uses[slot]?.first ?? index, index)
      }
    }
    let slots = uses.keys.sorted()
    guard !slots.isEmpty else { return ([:], 0) }
    let memory = MemoryPlan(
      slots.map { .init(first: uses[$0]!.first, last: uses[$0]!.last, byteCount: plan.slots[$0].byteCount) })
    return (Dictionary(uniqueKeysWithValues: zip(slots, memory.offsets)), memory.byteCount)
  }

  /// The same for the same model, prepared the same way.
  private static func token(_ graph: Graph, _ lowering: DriverLowering) -> String {
    var digest = Digest()
    digest.combine("\(DriverOptions(lowering.options))")
    digest.combine(graph.structureDigest.value)
    // With those of bodies.
    digest.combine(graph.weightDigest.value)
    return digest.hex
  }

  func makeSegments() throws -> [any Segment] {
    guard !models.isEmpty else { return [] }
    let session = try DriverSession(self)
    return models.indices.map { DriverSegment(session, $0) }
  }
}

/// A session's end of a driver: a channel, and memory that both see.
private final class DriverSession {
  let segments: DriverSegments
  let memory: SharedMemory
  /// Nil where the driver could not be prepared.
  private let channel: DriverChannel?
  private var statistics = DelegationStatistics()
  /// Bytes on the device, as far as the driver tells.
  let deviceBytes: Int
  /// Computes in the place of the driver, by segment, once that has failed at it.
  private var substitutes: [Int: Session] = [:]
  /// Why the driver is not asked any more.
  private var end: DriverError?

  init(_ segments: DriverSegments) throws {
    self.segments = segments
    memory = try SharedMemory(byteCount: segments.byteCount)
    statistics.bytesKeptPerRun = segments.bytesKept
    var (channel, end, deviceBytes) = (nil as DriverChannel?, segments.failure, 0)
    if let process = segments.process {
      do {
        let made = try process.connect()
        _ = try DriverProcess.ask(
          .open(byteCount: memory.byteCount), on: made, of: process, with: memory.descriptor)
        for model in segments.models {
          let reply = try DriverProcess.ask(
            .segment(token: model.token, inputs: model.inputs, outputs: model.outputs), on: made, of: process)
          deviceBytes += reply.memoryBytes ?? 0
        }
        channel = made
      } catch let error where segments.driver.use.fallsBack && (error is DriverError || error is SystemFailure) {
        end = DriverError(preparing: segments.driver.name, error)
      }
    }
    (self.channel, self.end, self.deviceBytes) = (channel, end, deviceBytes)
  }

  var delegation: DelegationStatistics { statistics }

  /// Runs a model on the driver; where that fails, on the processor if that is allowed.
  func execute(_ index: Int) throws {
    let answer: DriverExecution.Answer
    do {
      if let end { throw end }
      guard let channel, let process = segments.process else {
        throw DriverError(.badState, driver: segments.driver.name, "it was not prepared")
      }
      answer = try ask(index, channel, process)
    } catch let error as DriverError {
      if error.code == .deadObject { end = error }
      guard segments.driver.use.fallsBack, !error.isFinal else { throw error }
      return try substitute(index, for: error)
    }
    statistics.add(answer)
  }

  private func ask(
    _ index: Int, _ channel: DriverChannel, _ process: DriverProcess
  ) throws -> DriverExecution.Answer {
    let (driver, use, start) = (segments.driver.name, segments.driver.use, driverClockNs())
    let deadline = use.timeoutNs.map { start + $0 } ?? 0
    let execution = DriverExecution(segment: index, deadlineNs: deadline, priority: use.priority)
    do {
      try withUnsafeBytes(of: execution.numbers) { try channel.send($0) }
      // It has as long again to say that it is late.
      let timeout = use.timeoutNs.map { max(2 * $0, $0 + 100_000_000) / 1_000_000 + 1 }
      let answer = try channel.receive(timeout: timeout) { bytes, _ in DriverExecution.Answer(bytes) }
      guard let answer else { throw DriverError(.opFailed, driver: driver, "its answer is none") }
      guard answer.code == .noError else { throw DriverError(answer.code, driver: driver, answer.reason) }
      return answer
    } catch is DriverChannel.Closed {
      throw DriverError(.deadObject, driver: driver, process.ending())
    } catch is DriverChannel.TimedOut {
      process.stop()
      end = DriverError(.deadObject, driver: driver, "it did not answer by its deadline, and was ended")
      throw DriverError(.missedDeadlinePersistent, driver: driver, "it did not answer by its deadline, and was ended")
    } catch let error as SystemFailure {
      throw DriverError(.opFailed, driver: driver, "\(error)")
    }
  }

  /// Computes a model with NNAPI's own processor code, from the inputs that the driver was given.
  private func substitute(_ index: Int, for error: DriverError) throws {
    let model = segments.models[index]
    do {
      let session = try substitutes[index] ?? makeSubstitute(model)
      substitutes[index] = session
      try session.run()
    } catch let second {
      throw DriverError(error.code, driver: error.driver, "\(error.reason); and on the processor: \(second)")
    }
    statistics.fallbacks += 1
    statistics.firstFailure = statistics.firstFailure ?? "\(error)"
  }

  private func makeSubstitute(_ model: DriverSegments.Model) throws -> Session {
    let backend = try DriverProfile.reference.computing(segments.driver.use.computing)
    let options = PrepareOptions(threads: segments.options.threads, hugePages: false)
    func tensors(_ ids: [ValueID], _ places: [Int]) -> [Tensor] {
      zip(ids, places).map { id, place in
        let type = model.graph[id].type
        return Tensor(
          type: type, storage: Storage(borrowing: memory.pointer + place, byteCount: type.storageByteCount))
      }
    }
    return try backend.prepare(model.graph, options).makeSession(
      inputs: tensors(model.graph.inputs, model.inputs), outputs: tensors(model.graph.outputs, model.outputs))
  }
}

/// One of a plan's segments on a driver.
private final class DriverSegment: DeviceReporting, DelegatingSegment {
  private let session: DriverSession
  private let index: Int
  private var model: DriverSegments.Model { session.segments.models[index] }

  init(_ session: DriverSession, _ index: Int) { (self.session, self.index) = (session, index) }

  func run(_ context: borrowing RunContext) throws {
    let (plan, offsets) = (session.segments.plan, session.segments.offsets)
    var isExecuted = false
    for step in model.steps {
      guard plan.steps[step].node == nil else {
        if !isExecuted { try session.execute(index) }
        isExecuted = true
        continue
      }
      _ = try context.memory.begin(step)
      for copy in plan.steps[step].copies {
        let (source, target) = (plan.slots[copy.source], plan.slots[copy.target])
        if target.space == .host {
          context.memory[copy.target].copyMemory(
            from: session.memory.pointer + offsets[copy.source]!, byteCount: target.byteCount)
        } else {
          (session.memory.pointer + offsets[copy.target]!).copyMemory(
            from: context.memory[copy.source], byteCount: source.byteCount)
        }
      }
      context.memory.end(step)
    }
  }

  var delegation: DelegationStatistics? { index == 0 ? session.delegation : nil }

  var deviceStatistics: DeviceStatistics {
    let plan = session.segments.plan
    var statistics = DeviceStatistics(
      submits: 1, dispatches: 0, barriers: 0, uploadBytes: 0, downloadBytes: 0,
      memoryBytes: index == 0 ? session.memory.byteCount + session.deviceBytes : 0)
    for step in model.steps.map({ plan.steps[$0] }) {
      if step.node != nil { statistics.dispatches += 1 }
      for copy in step.copies {
        if plan.slots[copy.target].space == .host {
          statistics.downloadBytes += plan.slots[copy.target].byteCount
        } else {
          statistics.uploadBytes += plan.slots[copy.target].byteCount
        }
      }
    }
    return statistics
  }

  var arena: (byteCount: Int, lowerBound: Int)? { nil }

  func memoryTimeline() throws -> MemoryTimeline {
    let plan = session.segments.plan
    return MemoryTimeline(
      plan, in: .device(session.segments.driver.name),
      offsets: Dictionary(uniqueKeysWithValues: session.segments.offsets.map { (.slot($0), $1) }),
      reserved: [Int](repeating: session.memory.byteCount, count: plan.steps.count), constantBytes: 0)
  }
}

extension DriverError {
  /// Why a driver could not be prepared. A deadline that it says it missed is none of a client's that waits for no result yet.
  fileprivate init(preparing driver: String, _ error: any Error) {
    guard let own = error as? DriverError else {
      self.init(.resourceExhaustedTransient, driver: driver, "\(error)")
      return
    }
    self.init(own.isFinal ? .opFailed : own.code, driver: driver, own.reason)
  }
}
