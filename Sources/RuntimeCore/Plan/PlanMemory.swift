import TensorCore

extension Plan {
  /// Memory that a plan needs for some of its steps.
  public enum Owner: Hashable, Sendable {
    case slot(Int)
    /// A piece of a step's working memory.
    case scratch(step: Int, piece: Int)
  }

  /// Who needs computed memory of a space, and at which steps: slots in the order of their values, then working memory in
  /// the order of the steps.
  public func lifetimes(in space: MemorySpace) -> [(owner: Owner, interval: MemoryPlan.Interval)] {
    var uses: [Int: (first: Int, last: Int)] = [:]
    for (index, step) in steps.enumerated() {
      for slot in (step.inputs + step.outputs).map(root(of:)) {
        uses[slot] = (uses[slot]?.first ?? index, index)
      }
    }
    let computed = slots.indices.filter { slots[$0].space == space && slots[$0].source == .computed }
      .sorted { slots[$0].values[0] < slots[$1].values[0] }
    var lifetimes: [(owner: Owner, interval: MemoryPlan.Interval)] = []
    for slot in computed {
      guard let use = uses[slot] else { continue }
      lifetimes.append(
        (.slot(slot), MemoryPlan.Interval(first: use.first, last: use.last, byteCount: slots[slot].byteCount)))
    }
    for segment in segments where space == self.space(of: segment) {
      for index in segment.steps {
        for (piece, byteCount) in steps[index].scratch.enumerated() {
          lifetimes.append(
            (
              .scratch(step: index, piece: piece),
              MemoryPlan.Interval(first: index, last: index, byteCount: byteCount)
            ))
        }
      }
    }
    return lifetimes
  }

  /// The slot whose memory one lies in: another one's, of a part.
  package func root(of slot: Int) -> Int {
    if case .part(let whole, _) = slots[slot].source { whole } else { slot }
  }

  /// Bytes that a session has at its largest, whatever the allocator: weights, inputs, outputs, and what is computed. Bodies run one
  /// at a time.
  public var leastBytes: Int {
    let given = (graph.inputs + graph.outputs).reduce(0) { $0 + graph[$1].type.storageByteCount }
    let bodies = steps.flatMap(\.bodies).map(\.leastBytes).max() ?? 0
    return graph.weightBytes + computedBytes + given + bodies
  }

  /// Those of what is computed, and of working memory.
  var computedBytes: Int {
    Set(slots.map(\.space)).reduce(0) { $0 + MemoryPlan.lowerBound(lifetimes(in: $1).map(\.interval)) }
  }

  /// Where a segment's kernels read and write.
  public func space(of segment: Segment) -> MemorySpace {
    for index in segment.steps where steps[index].node != nil { return slots[steps[index].outputs[0]].space }
    // Nothing but copies: those of a device have one end there.
    let ends = segment.steps.lazy.flatMap { steps[$0].inputs + steps[$0].outputs }.map { slots[$0].space }
    return ends.first { $0 != .host } ?? .host
  }

  /// Whether kernels run in the host's memory.
  package var usesHost: Bool { segments.contains { $0.backend != nil && space(of: $0) == .host } }

  /// How memory is called in timelines: by the values that lie in it one after the other, or by the node that works in it.
  public func name(of owner: Owner) -> String {
    switch owner {
    case .slot(let slot):
      // Its parts were there before what they make together.
      let parts = slots.filter { if case .part(slot, _) = $0.source { true } else { false } }.flatMap(\.values)
      let names = (parts + slots[slot].values).map { graph[$0].name }
      return names.count > 2 ? "\(names[0]) … \(names.last!)" : names.joined(separator: ", ")
    case .scratch(let step, _): return "working memory of \(name(ofStep: step).node)"
    }
  }

  /// Node and op of a step; for copies which way they go.
  package func name(ofStep index: Int) -> (node: String, op: String) {
    guard let node = steps[index].node else {
      let (source, target) = (slots[steps[index].inputs[0]].space, slots[steps[index].outputs[0]].space)
      let way = source == target ? "copy" : target == .host ? "download" : "upload"
      return (way, way)
    }
    return (graph.nodes[node].name, graph.nodes[node].op.name)
  }
}

/// Offsets of a plan's computed memory in one block of a space.
public struct Arena: Sendable {
  public let offsets: [Plan.Owner: Int]
  public let byteCount: Int
  /// The most bytes that are in use at one step: no arena can be smaller.
  public let lowerBound: Int

  public init(_ plan: Plan, in space: MemorySpace, alignment: Int = 64) {
    let lifetimes = plan.lifetimes(in: space)
    let intervals = lifetimes.map(\.interval)
    let memory = MemoryPlan(intervals, alignment: alignment)
    offsets = Dictionary(uniqueKeysWithValues: zip(lifetimes.map(\.owner), memory.offsets))
    byteCount = memory.byteCount
    lowerBound = MemoryPlan.lowerBound(intervals, alignment: alignment)
  }
}

extension MemoryTimeline {
  /// A plan's memory in one space as blocks over steps.
  /// - Parameters:
  ///   - offsets: address of each block, from any origin.
  ///   - reserved: bytes that are held during each of the plan's steps.
  package init(
    _ plan: Plan, in space: MemorySpace, offsets: [Plan.Owner: Int], reserved: [Int], constantBytes: Int
  ) {
    // Copies in the host's memory are the caller's business: they take none.
    let shown = plan.segments.filter { $0.backend != nil }.flatMap(\.steps)
    steps = shown.map { index in
      let (node, op) = plan.name(ofStep: index)
      return Step(node: node, op: op, heldBytes: reserved[index])
    }
    blocks = plan.lifetimes(in: space).filter { $0.interval.byteCount > 0 }.map { owner, interval in
      Block(
        name: plan.name(of: owner), first: interval.first, last: interval.last, byteCount: interval.byteCount,
        offset: offsets[owner] ?? 0)
    }
    self.constantBytes = constantBytes
  }
}
