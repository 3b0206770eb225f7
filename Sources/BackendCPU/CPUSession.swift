import CIntrinsics
import GraphCore
import RuntimeCore
import TensorCore

/// One caller's memory and thread pool for a ``CPUExecutable``.
final class CPUSession: Session {
  let inputs: [Tensor]
  let outputs: [Tensor]
  let arena: (byteCount: Int, lowerBound: Int)?
  var allocationStatistics: AllocationStatistics? { allocator.statistics }

  private let executable: CPUExecutable
  private let pool: ThreadPool
  /// Where this run's tensors come from.
  private var allocator: any Allocator
  /// The session's own allocator, where a scope may put another in its place.
  private let unscoped: (any Allocator)?
  /// Address of each slot; nil while it has no memory.
  private let pointers: UnsafeMutableBufferPointer<UnsafeMutablePointer<Float>?>
  /// Room for one call's input addresses.
  private let arguments: UnsafeMutableBufferPointer<UnsafeMutablePointer<Float>>
  private let block: Storage?
  /// With an arena: scratch address of each step.
  private let plannedScratch: [UnsafeMutablePointer<Float>?]
  /// Parameters each step has to look up before it runs.
  private let parameters: [[(slot: Int, name: String)]]

  init(_ executable: CPUExecutable) throws {
    self.executable = executable
    pool = try ThreadPool(threadCount: executable.options.threads)
    let graph = executable.graph
    inputs = try graph.inputs.map { try Tensor(zeros: graph[$0].type) }
    outputs = try graph.outputs.map { try Tensor(zeros: graph[$0].type) }
    pointers = .allocate(capacity: executable.slots.count)
    pointers.initialize(repeating: nil)
    arguments = .allocate(capacity: executable.steps.map(\.inputs.count).max() ?? 1)

    parameters = executable.steps.map { step in
      step.inputs.compactMap { slot in
        if case .parameter(let name) = executable.slots[slot] { (slot, name) } else { nil }
      }
    }
    for (index, slot) in executable.slots.enumerated() {
      switch slot {
      case .input(let i): pointers[index] = inputs[i].floats.baseAddress
      case .output(let i): pointers[index] = outputs[i].floats.baseAddress
      case .constant(let tensor): pointers[index] = tensor.floats.baseAddress
      case .parameter, .computed: break
      }
    }

    switch executable.options.allocator {
    case .system, .arena: allocator = SystemAllocator()
    case .caching: allocator = CachingAllocator()
    case .mapped: allocator = MappedAllocator()
    }
    unscoped = executable.options.allocator == .system ? allocator : nil
    guard executable.options.allocator == .arena else {
      (block, arena, plannedScratch) = (nil, nil, [])
      return
    }
    let (intervals, planned) = executable.lifetimes()
    let plan = MemoryPlan(intervals)
    let block = try Storage(byteCount: max(plan.byteCount, 64), allocator: allocator)
    for (slot, offset) in zip(planned, plan.offsets) {
      pointers[slot] = (block.pointer + offset).assumingMemoryBound(to: Float.self)
    }
    plannedScratch = plan.offsets.dropFirst(planned.count).map { offset in
      (block.pointer + offset).assumingMemoryBound(to: Float.self)
    }
    self.block = block
    if executable.options.hugePages { HugePages.back([block]) }
    arena = (plan.byteCount, MemoryPlan.lowerBound(intervals))
  }

  deinit {
    pointers.deallocate()
    arguments.deallocate()
  }

  func run() throws { try run { _ in } }

  func run(with given: [Tensor]) throws {
    try check(given)
    bind(given)
    defer { bind(inputs) }
    try withExtendedLifetime(given) { try run() }
  }

  private func bind(_ tensors: [Tensor]) {
    for (index, slot) in executable.slots.enumerated() {
      if case .input(let input) = slot { pointers[index] = tensors[input].floats.baseAddress }
    }
  }

  func run(afterEach finished: (Int) -> Void) throws {
    if unscoped != nil, let scoped = AllocationScope.innermost { allocator = scoped }
    defer { if let unscoped { allocator = unscoped } }
    do { try runSteps(afterEach: finished) } catch {
      releaseTensors()
      throw error
    }
  }

  private func runSteps(afterEach finished: (Int) -> Void) throws {
    try pool.whileAwake {
      for index in executable.steps.indices {
        try run(step: index)
        finished(executable.steps[index].position)
      }
    }
    for (source, output) in executable.copiedOutputs {
      if case .parameter(let name) = executable.slots[source] { try look(up: name, into: source) }
      outputs[output].floats.baseAddress!.update(from: pointers[source]!, count: outputs[output].floats.count)
    }
  }

  func runTraced(afterEach finished: (Int) -> Void) throws -> [TraceSpan] {
    pool.isTraced = true
    defer { pool.isTraced = false }
    return try trace(others: pool.takeSpans, afterEach: finished)
  }

  private func run(step index: Int) throws {
    let step = executable.steps[index]
    for (slot, name) in parameters[index] { try look(up: name, into: slot) }
    let isPlanned = block != nil
    if !isPlanned, !step.isInPlace, case .computed(let byteCount) = executable.slots[step.output] {
      pointers[step.output] = try allocator.allocate(byteCount: byteCount).assumingMemoryBound(to: Float.self)
    }
    let scratchByteCount = step.kernel.scratchByteCount
    let scratch: UnsafeMutablePointer<Float>?
    if isPlanned {
      scratch = plannedScratch[index]
    } else if scratchByteCount > 0 {
      scratch = try allocator.allocate(byteCount: scratchByteCount).assumingMemoryBound(to: Float.self)
    } else {
      scratch = nil
    }
    for (position, slot) in step.inputs.enumerated() { arguments[position] = pointers[slot]! }
    step.kernel.run(
      KernelCall(
        inputs: UnsafeBufferPointer(rebasing: UnsafeBufferPointer(arguments)[..<step.inputs.count]),
        output: pointers[step.output]!, scratch: scratch, pool: pool))
    guard !isPlanned else { return }
    if let scratch { allocator.deallocate(scratch, byteCount: scratchByteCount) }
    for slot in step.released { release(slot) }
  }

  func memoryTimeline() throws -> MemoryTimeline? {
    let steps = executable.steps
    var timeline = MemoryTimeline(
      steps: steps.map {
        MemoryTimeline.Step(node: $0.node.name, op: type(of: $0.node.op).name, heldBytes: block?.byteCount ?? 0)
      }, blocks: [],
      constantBytes: executable.graph.weightBytes + (inputs + outputs).reduce(0) { $0 + $1.type.byteCount })
    if let block {
      let (intervals, planned) = executable.lifetimes()
      let offsets =
        planned.map { UnsafeMutableRawPointer(pointers[$0]!) - block.pointer }
        + plannedScratch.map { UnsafeMutableRawPointer($0!) - block.pointer }
      for (index, interval) in intervals.enumerated() where interval.byteCount > 0 {
        let name =
          index < planned.count ? name(ofSlot: planned[index]) : name(ofScratch: index - planned.count)
        timeline.blocks.append(
          MemoryTimeline.Block(
            name: name, first: interval.first, last: interval.last, byteCount: interval.byteCount,
            offset: offsets[index]))
      }
      return timeline
    }
    // A cache is full from the second run on.
    try run()
    let own = allocator
    let recorder = RecordingAllocator(unscoped == nil ? own : AllocationScope.innermost ?? own)
    allocator = recorder
    defer { allocator = own }
    do { try runSteps { _ in recorder.finishStep() } } catch {
      releaseTensors()
      throw error
    }
    timeline.blocks = recorder.blocks
    for (index, held) in recorder.heldBytes.enumerated() { timeline.steps[index].heldBytes = held }
    // In each step first the output, then the working memory.
    var next = 0
    for (index, step) in steps.enumerated() {
      if !step.isInPlace, case .computed = executable.slots[step.output] {
        timeline.blocks[next].name = name(ofSlot: step.output, from: index)
        next += 1
      }
      if step.kernel.scratchByteCount > 0 {
        timeline.blocks[next].name = name(ofScratch: index)
        next += 1
      }
    }
    timeline.squeeze()
    return timeline
  }

  /// The values that take the slot's memory one after the other, from the step that makes the first of them.
  private func name(ofSlot slot: Int, from first: Int = 0) -> String {
    var names: [String] = []
    for step in executable.steps[first...] where step.output == slot {
      if !step.isInPlace && !names.isEmpty { break }
      names.append(step.node.name)
    }
    return names.count > 2 ? "\(names[0]) … \(names.last!)" : names.joined(separator: ", ")
  }

  private func name(ofScratch step: Int) -> String { "working memory of \(executable.steps[step].node.name)" }

  private func release(_ slot: Int) {
    guard case .computed(let byteCount) = executable.slots[slot], let pointer = pointers[slot] else { return }
    allocator.deallocate(pointer, byteCount: byteCount)
    pointers[slot] = nil
  }

  /// What a run that failed left behind.
  private func releaseTensors() {
    guard block == nil else { return }
    for slot in executable.slots.indices { release(slot) }
  }

  private func look(up name: String, into slot: Int) throws {
    guard let tensor = executable.graph.weights[name] else { throw GraphError("weight \(name) is missing") }
    pointers[slot] = tensor.floats.baseAddress
  }
}
