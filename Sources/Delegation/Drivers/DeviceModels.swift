import GraphCore
import RuntimeCore
import TensorCore

/// A device that runs what is placed on it as models of its own, prepared once and executed as a whole.
protocol ModelDevice: NNAPIDevice {
  var use: DriverUse { get }
  /// - Throws: ``DriverError`` or ``SystemFailure`` where the device fails at it, so that the processor computes if that is allowed.
  func prepare(_ models: DeviceModels) throws -> any PreparedModels
}

/// Models that a device keeps, for every session.
protocol PreparedModels: Sendable {
  /// - Parameter memory: where inputs and outputs lie.
  /// - Throws: as ``ModelDevice/prepare(_:)``.
  func makeExecutor(_ memory: SharedMemory) throws -> any ModelExecutor
}

/// A session's use of prepared models.
protocol ModelExecutor: AnyObject {
  /// Bytes on the device; nil where it does not tell.
  var deviceBytes: Int? { get }
  /// Runs one model, from where its inputs lie to where its outputs do.
  /// - Parameter deadlineNs: on the clock of ``driverClockNs()``; nil for none but the client's own.
  func execute(_ index: Int, deadlineNs: Int?) throws(DriverError) -> DriverExecution.Answer
}

extension ModelDevice {
  func lower(_ nodes: [Int], of graph: Graph, _ options: PrepareOptions) throws -> any Lowering {
    let kernels = try nodes.map { index in
      let node = graph.nodes[index]
      switch support(for: node, in: graph, options) {
      case .kernel(let kernel): return (index, kernel)
      case .unsupported(let reason): throw Unsupported("\(node.name): \(reason)")
      }
    }
    return ModelLowering(self, graph, Dictionary(uniqueKeysWithValues: kernels), profile.own(options))
  }
}

/// What a plan has to know of nodes that a device runs: values that stay within one of its models take no memory that both see.
struct ModelLowering: Lowering {
  let owner: any ModelDevice
  let graph: Graph
  private let kernels: [Int: String]
  let options: PrepareOptions
  /// Computed here, and read by one model's own nodes alone. What nobody reads is a result: a model has one at least.
  private let inner: Set<ValueID>

  var space: MemorySpace { .device(owner.name) }
  var device: String { owner.name }

  init(_ owner: any ModelDevice, _ graph: Graph, _ kernels: [Int: String], _ options: PrepareOptions) {
    (self.owner, self.graph, self.kernels, self.options) = (owner, graph, kernels, options)
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
    try CompiledModels(DeviceModels(self, segments, of: plan))
  }

  func isInner(_ value: ValueID) -> Bool { inner.contains(value) }
}

/// A plan's segments on one device as models, and where their inputs and outputs lie in memory that both see.
struct DeviceModels: Sendable {
  struct Model {
    let steps: Range<Int>
    let graph: Graph
    let inputs: [Int]
    let outputs: [Int]
    /// Of its inputs and outputs what they are to NNAPI, where that is something else.
    let types: [ValueID: TensorType]
  }

  let plan: Plan
  let models: [Model]
  let device: any ModelDevice
  let options: PrepareOptions
  /// Places of slots in that memory, by slot, and its bytes.
  let offsets: [Int: Int]
  let byteCount: Int
  /// Bytes that the plan does not copy in a run since they stay there between two of its models.
  let bytesKept: Int

  init(_ lowering: ModelLowering, _ segments: [Plan.Segment], of plan: Plan) throws {
    (self.plan, device, options) = (plan, lowering.owner, lowering.options)
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
      var types: [ValueID: TensorType] = [:]
      for (own, id) in zip(graph.inputs + graph.outputs, inputs + results) {
        let type = plan.graph.nnapiType(of: id)
        if type != graph[own].type { types[own] = type }
      }
      return Model(
        steps: segment.steps, graph: graph, inputs: inputs.map(place), outputs: results.map(place), types: types)
    }
    (self.models, bytesKept) = (models, kept)
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
}

/// A plan's segments on a device, prepared: what every session shares.
struct CompiledModels: CompiledSegments {
  let models: DeviceModels
  /// Or why the device could not prepare them: then the processor computes from the start, if that is allowed.
  let prepared: Result<any PreparedModels, DriverError>?

  init(_ models: DeviceModels) throws {
    self.models = models
    // A device that has nothing to do is not asked.
    guard !models.models.isEmpty else {
      prepared = nil
      return
    }
    do {
      prepared = .success(try models.device.prepare(models))
    } catch let error where models.device.use.fallsBack && (error is DriverError || error is SystemFailure) {
      prepared = .failure(DriverError(preparing: models.device.name, error))
    }
  }

  func makeSegments() throws -> [any Segment] {
    guard let prepared else { return [] }
    let session = try ModelSession(models, prepared)
    return models.models.indices.map { ModelSegment(session, $0) }
  }
}

/// A session's use of a device: memory that both see, and what computes where the device fails.
final class ModelSession {
  let models: DeviceModels
  let memory: SharedMemory
  private var executor: Result<any ModelExecutor, DriverError>
  private var statistics = DelegationStatistics()
  /// Computes in the place of the device, by model, once that has failed at it.
  private var substitutes: [Int: Session] = [:]

  init(_ models: DeviceModels, _ prepared: Result<any PreparedModels, DriverError>) throws {
    self.models = models
    memory = try SharedMemory(byteCount: models.byteCount)
    statistics.bytesKeptPerRun = models.bytesKept
    do {
      executor = .success(try prepared.get().makeExecutor(memory))
    } catch let error where models.device.use.fallsBack && (error is DriverError || error is SystemFailure) {
      executor = .failure(DriverError(preparing: models.device.name, error))
    }
  }

  var delegation: DelegationStatistics { statistics }
  var deviceBytes: Int? { (try? executor.get())?.deviceBytes }

  /// Runs a model on the device; where that fails, on the processor if that is allowed.
  func execute(_ index: Int, deadlineNs: Int?) throws {
    do {
      statistics.add(try executor.get().execute(index, deadlineNs: deadlineNs))
    } catch {
      // It is not asked any more.
      if error.code == .deadObject { executor = .failure(error) }
      guard models.device.use.fallsBack, !error.isFinal else { throw error }
      try substitute(index, for: error)
    }
  }

  /// Computes a model with NNAPI's own processor code, from the inputs that the device was given.
  private func substitute(_ index: Int, for error: DriverError) throws {
    do {
      let session = try substitutes[index] ?? makeSubstitute(models.models[index])
      substitutes[index] = session
      try session.run()
    } catch let second {
      throw DriverError(error.code, driver: error.driver, "\(error.reason); and on the processor: \(second)")
    }
    statistics.fallbacks += 1
    statistics.firstFailure = statistics.firstFailure ?? "\(error)"
  }

  private func makeSubstitute(_ model: DeviceModels.Model) throws -> Session {
    let backend = try DriverProfile.reference.computing(models.device.use.computing)
    let options = PrepareOptions(threads: models.options.threads, hugePages: false)
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

extension DriverError {
  /// Why a driver could not be prepared. A deadline that it says it missed is none of a client's that waits for no result yet.
  init(preparing driver: String, _ error: any Error) {
    guard let own = error as? DriverError else {
      self.init(.resourceExhaustedTransient, driver: driver, "\(error)")
      return
    }
    self.init(own.isFinal ? .opFailed : own.code, driver: driver, own.reason)
  }
}

/// One of a plan's segments on a device that runs models.
final class ModelSegment: DeviceReporting, DelegatingSegment, DeadlineSegment {
  private let session: ModelSession
  private let index: Int
  private var model: DeviceModels.Model { session.models.models[index] }

  init(_ session: ModelSession, _ index: Int) { (self.session, self.index) = (session, index) }

  func run(_ context: borrowing RunContext) throws {
    let (plan, offsets) = (session.models.plan, session.models.offsets)
    var isExecuted = false
    for step in model.steps {
      guard plan.steps[step].node == nil else {
        if !isExecuted { try session.execute(index, deadlineNs: context.deadlineNs) }
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
    let plan = session.models.plan
    var statistics = DeviceStatistics(
      submits: 1, dispatches: 0, barriers: 0, uploadBytes: 0, downloadBytes: 0,
      memoryBytes: index == 0 ? session.deviceBytes.map { session.memory.byteCount + $0 } : 0)
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
    let plan = session.models.plan
    return MemoryTimeline(
      plan, in: .device(session.models.device.name),
      offsets: Dictionary(uniqueKeysWithValues: session.models.offsets.map { (.slot($0), $1) }),
      reserved: [Int](repeating: session.memory.byteCount, count: plan.steps.count), constantBytes: 0)
  }
}
