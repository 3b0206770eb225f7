import GraphCore
import ModelFiles
import RuntimeCore
import TensorCore

/// What a plan has to know of nodes that a driver runs: values that stay within one of its models take no shared memory.
struct DriverLowering: Lowering {
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
final class DriverSegments: CompiledSegments {
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
  /// Models that the driver keeps for these segments.
  private let prepared: [PreparedModel]
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
      (process, failure, prepared) = (nil, nil, [])
      return
    }
    do {
      let process = try DriverProcess.shared(driver.profile, driver.use.computing)
      prepared = try models.map { model in
        try PreparedModel(model.token, lowering.options, in: process) {
          let portable = PacerContents.Variant(nil, model.graph, passes: [])
          return PacerContents(name: model.graph.name, release: "driver", variants: [portable], targetPasses: [])
        }
      }
      (self.process, failure) = (process, nil)
    } catch let error where driver.use.fallsBack && (error is DriverError || error is SystemFailure) {
      (process, prepared) = (nil, [])
      failure = DriverError(preparing: driver.name, error)
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

/// One of a plan's segments on a driver.
final class DriverSegment: DeviceReporting, DelegatingSegment, DeadlineSegment {
  private let session: DriverSession
  private let index: Int
  private var model: DriverSegments.Model { session.segments.models[index] }

  init(_ session: DriverSession, _ index: Int) { (self.session, self.index) = (session, index) }

  func run(_ context: borrowing RunContext) throws {
    let (plan, offsets) = (session.segments.plan, session.segments.offsets)
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
