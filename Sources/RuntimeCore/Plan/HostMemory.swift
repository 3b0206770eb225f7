import GraphCore
import TensorCore

/// The host's memory for a plan: where each slot lies during a run, taken from an allocator step by step or planned in one
/// block. For one run at a time.
public final class HostMemory {
  package let arena: Arena?
  private let plan: Plan
  /// Address of each slot; nil while it has no memory.
  private let pointers: UnsafeMutableBufferPointer<UnsafeMutableRawPointer?>
  /// Slots that lie in each slot's memory, with their offsets.
  private let parts: [[(slot: Int, offset: Int)]]
  /// Where memory comes from that is not planned: of this run.
  private var allocator: any Allocator
  private let own: any Allocator
  /// Whether a scope's allocator takes the place of the session's own.
  private let yieldsToScope: Bool
  private let block: Storage?
  /// With an arena: address of each step's working memory.
  private let plannedScratch: [UnsafeMutableRawPointer?]
  /// What each step does with slots of the host.
  private let duties: [(parameters: [Int], allocated: [Int], scratchByteCount: Int, released: [Int])]
  /// Working memory of the step that runs, where that was allocated; its bytes are among the step's duties.
  private var working: (pointer: UnsafeMutableRawPointer, step: Int)?

  /// - Parameters:
  ///   - inputs: the tensors a run reads unless it is given others, and those it writes.
  ///   - hugePages: whether planned memory asks for large pages.
  package init(
    _ plan: Plan, _ kind: AllocatorKind, hugePages: Bool, inputs: [Tensor], outputs: [Tensor]
  ) throws {
    self.plan = plan
    switch kind {
    case .system, .arena: own = SystemAllocator()
    case .caching: own = CachingAllocator()
    case .mapped: own = MappedAllocator()
    }
    allocator = own
    yieldsToScope = kind == .system
    pointers = .allocate(capacity: plan.slots.count)
    pointers.initialize(repeating: nil)
    var parts = [[(slot: Int, offset: Int)]](repeating: [], count: plan.slots.count)
    for (index, slot) in plan.slots.enumerated() {
      if case .part(let whole, let offset) = slot.source { parts[whole].append((index, offset)) }
    }
    self.parts = parts
    for (index, slot) in plan.slots.enumerated() where slot.space == .host {
      switch slot.source {
      case .input(let input): pointers[index] = inputs[input].storage.pointer
      case .output(let output): pointers[index] = outputs[output].storage.pointer
      // The plan's graph keeps it.
      case .constant: pointers[index] = plan.graph.data(of: slot.values[0])?.storage.pointer
      case .parameter, .computed, .part: break
      }
    }
    func onHost(_ slots: [Int], _ source: Plan.Slot.Source) -> [Int] {
      slots.filter { plan.slots[$0].space == .host && plan.slots[$0].source == source }
    }
    // Memory of which a part is written first is there from then on.
    var known = Set<Int>()
    let hostSteps = Set(plan.segments.filter { plan.space(of: $0) == .host }.flatMap(\.steps))
    duties = plan.steps.enumerated().map { index, step in
      let isHere = hostSteps.contains(index)
      precondition(!isHere || step.scratch.count <= 1, "a kernel in the host's memory has one piece of working memory")
      return (
        onHost(step.inputs.map(plan.root(of:)), .parameter),
        onHost(step.outputs.map(plan.root(of:)).filter { known.insert($0).inserted }, .computed),
        isHere ? step.scratch.first ?? 0 : 0, onHost(step.released, .computed)
      )
    }
    let arena = Arena(plan, in: .host)
    guard kind == .arena, !arena.offsets.isEmpty else {
      (block, self.arena, plannedScratch) = (nil, nil, [])
      for slot in plan.slots.indices { placeParts(of: slot) }
      return
    }
    let block: Storage
    do { block = try Storage(byteCount: max(arena.byteCount, 64), allocator: own) } catch {
      pointers.deallocate()
      throw error
    }
    for (owner, offset) in arena.offsets {
      if case .slot(let slot) = owner { pointers[slot] = block.pointer + offset }
    }
    plannedScratch = plan.steps.indices.map { step in
      arena.offsets[.scratch(step: step, piece: 0)].map { block.pointer + $0 }
    }
    if hugePages { HugePages.back([block]) }
    (self.block, self.arena) = (block, arena)
    for slot in plan.slots.indices { placeParts(of: slot) }
  }

  deinit { pointers.deallocate() }

  package var statistics: AllocationStatistics { allocator.statistics }

  /// Where a slot lies now. A slot of a step that runs has memory.
  public subscript(slot: Int) -> UnsafeMutableRawPointer { pointers[slot]! }

  /// Lets a run read other tensors in the place of the inputs.
  package func bind(inputs: [Tensor]) {
    for (index, slot) in plan.slots.enumerated() {
      guard case .input(let input) = slot.source, slot.space == .host else { continue }
      pointers[index] = inputs[input].storage.pointer
      placeParts(of: index)
    }
  }

  /// Runs `body` with the allocator that counts here and now; after an error nothing is kept.
  package func whileRunning(_ body: () throws -> Void) throws {
    if yieldsToScope, let scoped = AllocationScope.innermost { allocator = scoped }
    defer { allocator = own }
    do { try body() } catch {
      if block == nil {
        releaseWorkingMemory()
        for slot in duties.lazy.flatMap(\.allocated) { release(slot) }
      }
      throw error
    }
  }

  /// Gives a step's outputs and working memory their places, and looks its parameters up.
  /// - Returns: its working memory.
  /// - Throws: ``GraphError`` where a weight is missing, ``OutOfMemory``.
  public func begin(_ index: Int) throws -> UnsafeMutableRawPointer? {
    for slot in duties[index].parameters { try lookUp(slot) }
    guard block == nil else { return plannedScratch[index] }
    for slot in duties[index].allocated {
      pointers[slot] = try allocator.allocate(byteCount: plan.slots[slot].byteCount)
      placeParts(of: slot)
    }
    let byteCount = duties[index].scratchByteCount
    guard byteCount > 0 else { return nil }
    let scratch = try allocator.allocate(byteCount: byteCount)
    working = (scratch, index)
    return scratch
  }

  /// Takes back what nothing needs after a step.
  public func end(_ index: Int) {
    guard block == nil else { return }
    releaseWorkingMemory()
    for slot in duties[index].released { release(slot) }
  }

  /// Does a step that copies between slots of the host.
  package func copy(_ index: Int) throws {
    _ = try begin(index)
    for copy in plan.steps[index].copies {
      self[copy.target].copyMemory(from: self[copy.source], byteCount: plan.slots[copy.target].byteCount)
    }
    end(index)
  }

  private func releaseWorkingMemory() {
    guard let working else { return }
    allocator.deallocate(working.pointer, byteCount: duties[working.step].scratchByteCount)
    self.working = nil
  }

  private func lookUp(_ slot: Int) throws {
    let name = plan.graph[plan.slots[slot].values[0]].name
    guard let tensor = plan.graph.weights[name] else { throw MissingWeight(name) }
    pointers[slot] = tensor.storage.pointer
    placeParts(of: slot)
  }

  /// Lets the parts of a slot follow it.
  private func placeParts(of slot: Int) {
    guard let pointer = pointers[slot] else { return }
    for part in parts[slot] { pointers[part.slot] = pointer + part.offset }
  }

  private func release(_ slot: Int) {
    guard let pointer = pointers[slot] else { return }
    allocator.deallocate(pointer, byteCount: plan.slots[slot].byteCount)
    pointers[slot] = nil
  }

  /// Which blocks a steady run has when and where: those of the plan, or those the allocator gives when it is asked as a run
  /// asks it.
  package func timeline(constantBytes: Int) throws -> MemoryTimeline {
    if let arena, let block {
      return MemoryTimeline(
        plan, in: .host, offsets: arena.offsets,
        reserved: [Int](repeating: block.byteCount, count: plan.steps.count), constantBytes: constantBytes)
    }
    var offsets: [Plan.Owner: Int] = [:]
    var reserved = [Int](repeating: 0, count: plan.steps.count)
    // A cache is full from the second time on.
    for _ in 0..<2 {
      try whileRunning {
        for (index, duty) in duties.enumerated() {
          let scratch = try begin(index)
          if let scratch { offsets[.scratch(step: index, piece: 0)] = Int(bitPattern: scratch) }
          for slot in duty.allocated { offsets[.slot(slot)] = Int(bitPattern: self[slot]) }
          reserved[index] = statistics.heldBytes
          end(index)
        }
      }
    }
    var timeline = MemoryTimeline(
      plan, in: .host, offsets: offsets, reserved: reserved, constantBytes: constantBytes)
    timeline.squeeze()
    return timeline
  }
}
