import GraphCore
import RuntimeCore
import TensorCore

/// Steps of a plan as one recorded command buffer that is replayed at each run.
final class VulkanSegment: TimedSegment, DeviceReporting {
  let shared: VulkanSegments
  let memory: VulkanMemory
  private let steps: Range<Int>
  /// Steps that copy.
  private let copies: [Int]
  /// Steps with a kernel.
  private let nodes: [(step: Int, node: Int, kernel: VulkanKernel)]
  let uploads: [VulkanMemory.Transfer]
  let downloads: [VulkanMemory.Transfer]

  private lazy var commands = Result { try record() }
  private lazy var timedCommands = Result { try record(isTimed: true) }
  /// For tensors that stay on the device: the ones that the commands read.
  private var resident: (inputs: [VulkanTensor], commands: VulkanCommands)?

  var plan: Plan { shared.plan }

  init(_ shared: VulkanSegments, _ steps: Range<Int>, _ memory: VulkanMemory) throws {
    (self.shared, self.steps, self.memory) = (shared, steps, memory)
    nodes = steps.compactMap { step in
      shared.kernels[step].map { (step, shared.plan.steps[step].node!, $0) }
    }
    copies = steps.filter { shared.plan.steps[$0].node == nil }
    uploads = memory.uploads.filter { steps.contains($0.step) }
    downloads = memory.downloads.filter { steps.contains($0.step) }
    // All pipelines there are to be are there now.
    _ = try commands.get()
    shared.device.savePipelines()
  }

  /// - Parameters:
  ///   - resident: tensors on the device to read as inputs of the graph; then they are not brought there, and outputs not
  ///     back.
  ///   - isTimed: with a timestamp at both ends, before the first node, and after each.
  private func record(resident: [VulkanTensor]? = nil, isTimed: Bool = false) throws -> VulkanCommands {
    let lowering = shared.lowering
    var regions = memory.regions
    var uploads = uploads
    if let resident {
      uploads.removeAll { transfer in
        guard case .input(let input) = plan.slots[transfer.host].source else { return false }
        regions[.slot(transfer.slot)] = resident[input].region
        return true
      }
    }
    let downloads = resident == nil ? downloads : []
    func layout(_ transfer: VulkanMemory.Transfer) -> TexelLayout {
      lowering.layout(of: plan.slots[transfer.slot].values[0])
    }
    let recorder = try CommandRecorder(
      shared.device, lowering.storage,
      dispatchCount: nodes.reduce(uploads.count + downloads.count) { $0 + $1.kernel.dispatches.count },
      timestampCount: isTimed ? nodes.count + 3 : 0)
    if isTimed { recorder.timestamp(0) }
    for transfer in uploads {
      try recorder.dispatch(
        .upload(layout(transfer)), reads: [], writes: regions[.slot(transfer.slot)]!,
        hostBlock: (transfer.region, isWritten: false))
    }
    if isTimed { recorder.timestamp(1) }
    for (position, (index, _, kernel)) in nodes.enumerated() {
      let step = plan.steps[index]
      func region(_ operand: Dispatch.Operand) -> VulkanRegion {
        switch operand {
        case .input(let input): regions[.slot(step.inputs[input])]!
        case .output: regions[.slot(step.outputs[0])]!
        case .scratch(let piece): regions[.scratch(step: index, piece: piece)]!
        case .prepared: shared.prepared[index]!
        case .limits: shared.limits[index]!
        }
      }
      for dispatch in kernel.dispatches {
        try recorder.dispatch(
          dispatch, reads: dispatch.reads.map(region), writes: region(dispatch.writes), hostBlock: nil)
      }
      if isTimed { recorder.timestamp(position + 2) }
    }
    for transfer in downloads {
      try recorder.dispatch(
        .download(layout(transfer)), reads: [regions[.slot(transfer.slot)]!], writes: nil,
        hostBlock: (transfer.region, isWritten: true))
    }
    if isTimed { recorder.timestamp(nodes.count + 2) }
    return try recorder.finish()
  }

  func run(_ context: borrowing RunContext) throws { try run(commands.get(), context.memory) }

  private func run(_ commands: VulkanCommands, _ host: HostMemory) throws {
    for step in copies { _ = try host.begin(step) }
    for transfer in uploads {
      let type = plan.graph[plan.slots[transfer.host].values[0]].type
      copy(type, host[transfer.host], to: transfer.region)
    }
    try commands.run()
    for transfer in downloads {
      let type = plan.graph[plan.slots[transfer.host].values[0]].type
      copy(transfer.region, type, to: host[transfer.host])
    }
    for step in copies { host.end(step) }
  }

  /// Runs on tensors that are on the device already, one for each of the graph's inputs, and leaves the outputs there. The
  /// commands are recorded at the first call with these tensors, and replayed for as long as they are the same ones.
  func run(resident inputs: [VulkanTensor]) throws {
    if resident == nil || !zip(resident!.inputs, inputs).allSatisfy(===) {
      resident = (inputs, try record(resident: inputs))
    }
    for transfer in uploads where plan.slots[transfer.host].source == .parameter {
      let value = plan.graph[plan.slots[transfer.host].values[0]]
      guard let tensor = plan.graph.weights[value.name] else { throw MissingWeight(value.name) }
      copy(tensor, to: transfer.region)
    }
    try resident!.commands.run()
  }

  func runTimed(_ context: borrowing RunContext, into times: inout [Double]) throws -> DeviceTimes {
    guard shared.device.physical.timestampBits > 0 else {
      throw NodesNotTold("this device's queue has no timestamps: its nodes cannot be timed")
    }
    let commands = try timedCommands.get()
    try run(commands, context.memory)
    let intervals = try commands.intervals()
    let spent = intervals.dropFirst().dropLast()
    for ((_, node, _), time) in zip(nodes, spent) { times[node] = time }
    return DeviceTimes(upload: intervals[0], compute: spent.reduce(0, +), download: intervals[intervals.count - 1])
  }

  // MARK: Reports

  var arena: (byteCount: Int, lowerBound: Int)? { memory.arena }

  /// Bytes on the device: blocks, not regions, which overlap in an arena.
  private var memoryBytes: Int {
    let all = Array(memory.regions.values) + shared.prepared.values + shared.limits.values
    return Dictionary(all.map { (ObjectIdentifier($0.block), $0.block.byteCount) }) { first, _ in first }.values
      .reduce(0, +)
  }

  var deviceStatistics: DeviceStatistics {
    get throws {
      let commands = try commands.get()
      func sum(_ transfers: [VulkanMemory.Transfer]) -> Int { transfers.reduce(0) { $0 + $1.region.bytes.count } }
      return DeviceStatistics(
        submits: 1, dispatches: commands.dispatchCount, barriers: commands.barrierCount, uploadBytes: sum(uploads),
        downloadBytes: sum(downloads), memoryBytes: steps == shared.segments.first?.steps ? memoryBytes : 0)
    }
  }

  func memoryTimeline() throws -> MemoryTimeline {
    let space = shared.lowering.space
    let reserved = arena?.byteCount ?? plan.lifetimes(in: space).reduce(0) { $0 + $1.interval.byteCount }
    return MemoryTimeline(
      plan, in: space, offsets: memory.offsets, reserved: [Int](repeating: reserved, count: plan.steps.count),
      constantBytes: memoryBytes - reserved)
  }
}
