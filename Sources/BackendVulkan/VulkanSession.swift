import CVulkan
import GraphCore
import RuntimeCore
import TensorCore

/// One caller's memory on the device, and the network as one recorded command buffer that is replayed at each run.
public final class VulkanSession: Session {
  public let inputs: [Tensor]
  public let outputs: [Tensor]
  public let arena: (byteCount: Int, lowerBound: Int)?

  private let executable: VulkanExecutable
  /// Where each slot's texels and each step's working memory are; the regions keep their blocks.
  private let regions: [Int: VulkanRegion]
  private let scratch: [[VulkanRegion]]
  /// Inputs, parameters and outputs as the host has them.
  private let hostInputs: [VulkanRegion]
  private let hostOutputs: [VulkanRegion]
  /// Looked up and uploaded at each run.
  private let parameters: [(name: String, slot: Int, host: VulkanRegion)]
  /// Where each planned tensor and piece of working memory lies.
  private let offsets: [Int]

  private lazy var commands = Result { try record() }
  private lazy var timedCommands = Result { try record(isTimed: true) }
  /// For tensors that stay on the device: the ones that the commands read.
  private var resident: (inputs: [VulkanTensor], commands: VulkanCommands)?

  init(_ executable: VulkanExecutable) throws {
    self.executable = executable
    let (graph, device, options) = (executable.graph, executable.device, executable.options)
    let alignment = device.physical.alignment
    inputs = try graph.inputs.map { try Tensor(zeros: graph[$0].type) }
    outputs = try graph.outputs.map { try Tensor(zeros: graph[$0].type) }

    let names = executable.slots.enumerated().compactMap { index, slot in
      if case .parameter(let name) = slot.source { (name: name, slot: index) } else { nil }
    }
    let sizes =
      inputs.map(\.type.byteCount) + names.map { executable.slots[$0.slot].hostByteCount }
      + outputs.map(\.type.byteCount)
    let staged = places(sizes, alignment: alignment)
    let staging = try VulkanBlock(device, byteCount: staged.total, .host)
    let hosts = try zip(staged.offsets, sizes).map {
      try VulkanRegion(staging, offset: $0, byteCount: $1)
    }
    hostInputs = Array(hosts.prefix(inputs.count))
    parameters = zip(names, hosts.dropFirst(inputs.count)).map { ($0.name, $0.slot, $1) }
    hostOutputs = hosts.suffix(outputs.count)

    // Tensors: planned in one block, or each in one of its own.
    let (intervals, planned) = executable.lifetimes()
    // Scratch comes behind the planned slots.
    let storage = executable.storage
    let precisions =
      planned.map { executable.slots[$0].precision }
      + executable.steps.flatMap { $0.kernel.scratch.map { _ in executable.precision } }
    let all: [VulkanRegion?]
    let offsets: [Int]
    if options.allocator == .arena {
      let plan = MemoryPlan(intervals, alignment: alignment)
      let block = try VulkanBlock(device, byteCount: plan.byteCount, .device)
      all = try intervals.indices.map { index in
        guard intervals[index].byteCount > 0 else { return nil }
        return try VulkanRegion(
          block, offset: plan.offsets[index], byteCount: intervals[index].byteCount, precisions[index], storage)
      }
      arena = (plan.byteCount, MemoryPlan.lowerBound(intervals, alignment: alignment))
      offsets = plan.offsets
    } else {
      all = try zip(intervals, precisions).map { interval, precision in
        guard interval.byteCount > 0 else { return nil }
        let block = try VulkanBlock(device, byteCount: interval.byteCount, .device)
        return try VulkanRegion(block, offset: 0, byteCount: interval.byteCount, precision, storage)
      }
      arena = nil
      // One block behind the other.
      offsets = places(intervals.map(\.byteCount), alignment: alignment).offsets
    }
    self.offsets = offsets
    var regions: [Int: VulkanRegion] = [:]
    for (slot, region) in zip(planned, all) { regions[slot] = region }
    for (index, slot) in executable.slots.enumerated() {
      if case .constant(let region) = slot.source { regions[index] = region }
    }
    self.regions = regions
    var rest = all.dropFirst(planned.count)
    scratch = executable.steps.map { step in step.kernel.scratch.map { _ in rest.removeFirst()! } }
    // All pipelines there are to be are there now.
    _ = try commands.get()
    device.savePipelines()
  }

  /// - Parameters:
  ///   - resident: tensors on the device to read as inputs; then nothing is brought there or back.
  ///   - isTimed: with a timestamp at both ends, before the first node, and after each.
  private func record(resident: [VulkanTensor]? = nil, isTimed: Bool = false) throws -> VulkanCommands {
    let slots = executable.slots
    var regions = regions
    var uploads = parameters.map { (slot: $0.slot, host: $0.host) }
    for (index, slot) in slots.enumerated() where regions[index] != nil {
      guard case .input(let input) = slot.source else { continue }
      if let resident { regions[index] = resident[input].region } else { uploads.append((index, hostInputs[input])) }
    }
    let downloads = resident == nil ? Array(zip(executable.outputs, hostOutputs)) : []
    let recorder = try CommandRecorder(
      executable.device, executable.storage,
      dispatchCount: executable.steps.reduce(uploads.count + downloads.count) { $0 + $1.kernel.dispatches.count },
      timestampCount: isTimed ? executable.steps.count + 3 : 0)
    if isTimed { recorder.timestamp(0) }
    for (slot, host) in uploads {
      try recorder.dispatch(
        .upload(slots[slot].layout), reads: [], writes: regions[slot]!, hostBlock: (host, isWritten: false))
    }
    if isTimed { recorder.timestamp(1) }
    for (index, step) in executable.steps.enumerated() {
      func region(_ operand: Dispatch.Operand) -> VulkanRegion {
        switch operand {
        case .input(let input): regions[step.inputs[input]]!
        case .output: regions[step.output]!
        case .scratch(let piece): scratch[index][piece]
        case .prepared: executable.prepared[index]!
        }
      }
      for dispatch in step.kernel.dispatches {
        try recorder.dispatch(
          dispatch, reads: dispatch.reads.map(region), writes: region(dispatch.writes), hostBlock: nil)
      }
      if isTimed { recorder.timestamp(index + 2) }
    }
    for (slot, host) in downloads {
      try recorder.dispatch(
        .download(slots[slot].layout), reads: [regions[slot]!], writes: nil, hostBlock: (host, isWritten: true))
    }
    if isTimed { recorder.timestamp(executable.steps.count + 2) }
    return try recorder.finish()
  }

  public func memoryTimeline() throws -> MemoryTimeline? {
    let (intervals, planned) = executable.lifetimes()
    let scratch = executable.steps.enumerated().flatMap { index, step in
      step.kernel.scratch.map { _ in "working memory of \(executable.graph.nodes[step.position].name)" }
    }
    let names = planned.map { executable.slots[$0].name } + scratch
    let held = arena?.byteCount ?? intervals.reduce(0) { $0 + $1.byteCount }
    let nodes = executable.steps.map { executable.graph.nodes[$0.position] }
    let steps =
      [("upload", "upload")] + nodes.map { ($0.name, type(of: $0.op).name) } + [("download", "download")]
    return MemoryTimeline(
      steps: steps.map { MemoryTimeline.Step(node: $0.0, op: $0.1, heldBytes: held) },
      blocks: intervals.indices.filter { intervals[$0].byteCount > 0 }.map { index in
        MemoryTimeline.Block(
          name: names[index], first: intervals[index].first, last: intervals[index].last,
          byteCount: intervals[index].byteCount, offset: offsets[index])
      }, constantBytes: try deviceStatistics.map { $0.memoryBytes - held } ?? 0)
  }

  public func run() throws { try run(commands.get(), inputs) }

  public func run(with given: [Tensor]) throws {
    try check(given)
    try run(commands.get(), given)
  }

  private func run(_ commands: VulkanCommands, _ given: [Tensor]) throws {
    for (tensor, host) in zip(given, hostInputs) { copy(tensor, to: host) }
    try uploadParameters()
    try commands.run()
    for (tensor, host) in zip(outputs, hostOutputs) { copy(host, to: tensor) }
  }

  private func uploadParameters() throws {
    for (name, _, host) in parameters {
      guard let tensor = executable.graph.weights[name] else { throw GraphError("weight \(name) is missing") }
      copy(tensor, to: host)
    }
  }

  /// Runs on tensors that are on the device already and leaves the outputs there, valid until the next run. The commands
  /// are recorded at the first call with these tensors, and replayed for as long as they are the same ones.
  /// - Throws: ``GraphError`` where a tensor is not what the graph takes.
  public func run(_ inputs: [VulkanTensor]) throws -> [VulkanTensor] {
    let graph = executable.graph
    guard inputs.count == graph.inputs.count else {
      throw GraphError("\(graph.inputs.count) inputs needed, not \(inputs.count)")
    }
    for (index, (tensor, id)) in zip(inputs, graph.inputs).enumerated() {
      let precision = executable.precision(ofInput: index)
      guard
        tensor.type == graph[id].type, tensor.precision == precision, tensor.storage == executable.storage,
        tensor.region.block.device === executable.device
      else {
        throw GraphError(
          "input \(graph[id].name) is \(graph[id].type) in \(precision) \(executable.storage) on "
            + "\(executable.device.physical.name), not \(tensor.type) in \(tensor.precision) \(tensor.storage) on "
            + tensor.region.block.device.physical.name)
      }
    }
    // A tensor this session gave out lies among those it computes, and would be written over while it is read.
    let own = Array(regions.values) + scratch.joined()
    guard !inputs.contains(where: { input in own.contains { $0.overlaps(input.region) } }) else {
      throw GraphError("an output of a session is no input of the same one: copy it, or use another session")
    }
    if resident == nil || !zip(resident!.inputs, inputs).allSatisfy(===) {
      resident = (inputs, try record(resident: inputs))
    }
    try uploadParameters()
    try resident!.commands.run()
    return zip(graph.outputs, executable.outputs).map { id, slot in
      let input: VulkanTensor? =
        if case .input(let input) = executable.slots[slot].source { inputs[input] } else { nil }
      return VulkanTensor(
        type: graph[id].type, storage: executable.storage,
        region: input?.region ?? regions[slot]!)
    }
  }

  public var deviceStatistics: DeviceStatistics? {
    get throws {
      let commands = try commands.get()
      func sum(_ regions: [VulkanRegion]) -> Int { regions.reduce(0) { $0 + $1.bytes.count } }
      // Blocks, not regions: in an arena regions overlap.
      let all = Array(regions.values) + scratch.joined() + executable.prepared.values
      let blocks = Dictionary(all.map { (ObjectIdentifier($0.block), $0.block.byteCount) }) { first, _ in first }
      return DeviceStatistics(
        submits: 1, dispatches: commands.dispatchCount, barriers: commands.barrierCount,
        uploadBytes: sum(hostInputs) + sum(parameters.map(\.host)), downloadBytes: sum(hostOutputs),
        memoryBytes: blocks.values.reduce(0, +))
    }
  }

  public func runTimed(into times: inout [Double]) throws -> DeviceTimes? {
    guard executable.device.physical.timestampBits > 0 else {
      throw NodesNotTold("this device's queue has no timestamps: its nodes cannot be timed")
    }
    let commands = try timedCommands.get()
    try run(commands, inputs)
    let intervals = try commands.intervals()
    let nodes = intervals.dropFirst().dropLast()
    for (step, time) in zip(executable.steps, nodes) { times[step.position] = time }
    return DeviceTimes(upload: intervals[0], compute: nodes.reduce(0, +), download: intervals[intervals.count - 1])
  }

  /// The device's own times, one node after the other.
  public func runTraced(afterEach finished: (Int) -> Void) throws -> [TraceSpan] {
    var times = [Double](repeating: 0, count: executable.placement.count)
    _ = try runTimed(into: &times)
    var start = 0
    return executable.steps.map { step in
      defer { start += Int(times[step.position]) }
      finished(step.position)
      return TraceSpan(node: step.position, thread: 0, start: start, end: start + Int(times[step.position]))
    }
  }
}
