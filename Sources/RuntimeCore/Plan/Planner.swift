import GraphCore
import TensorCore

/// First the order of nodes and copies, then the last use of each value in each space, then slots.
struct Planner {
  /// A value in one space.
  struct Place: Hashable {
    var value: ValueID
    var space: MemorySpace
  }

  /// Where a value lies: in the memory of a value that is no view, from a byte on.
  struct Part: Hashable {
    var place: Place
    var offset: Int
    var byteCount: Int
  }

  enum Action {
    case node(Int)
    case copies([(from: Part, to: Place)])
    /// What is not computed where the caller reads it.
    case outputs([(from: Part, output: Int)])
  }

  let graph: Graph
  let lowerings: [any Lowering]
  let placed: [Int]
  private let producers: [ValueID: Int]
  private let inputs: [ValueID: Int]
  /// Nodes that find their output written.
  private var joins = Set<Int>()
  /// Values that are written where such a node wants them: its output, and where in that.
  private var joined: [ValueID: (whole: ValueID, offset: Int)] = [:]

  var joinsAny: Bool { !joins.isEmpty }

  /// - Parameter joins: whether tensors may be written behind each other in the first place.
  init(_ graph: Graph, _ lowerings: [any Lowering], _ placed: [Int], joins: Bool) {
    (self.graph, self.lowerings, self.placed) = (graph, lowerings, placed)
    var producers: [ValueID: Int] = [:]
    for (index, node) in graph.nodes.enumerated() { for id in node.outputs { producers[id] = index } }
    self.producers = producers
    inputs = Dictionary(uniqueKeysWithValues: graph.inputs.enumerated().map { ($1, $0) })
    if joins { join() }
  }

  /// Finds the nodes that have nothing to do since their inputs can be written where they belong: each is computed in this space, in
  /// memory that is nobody else's.
  private mutating func join() {
    let results = Set(graph.outputs.map { root(of: $0).value })
    for (index, node) in graph.nodes.enumerated() where lowering(index).joins(index) {
      let space = lowering(index).space
      var (parts, offset): ([ValueID: (whole: ValueID, offset: Int)], Int) = ([:], 0)
      for id in node.inputs {
        let (value, start) = root(of: id)
        guard let producer = producers[value], lowering(producer).space == space, start == 0,
          lowering(producer).viewOffset(producer) == nil,
          byteCount(of: Place(value: value, space: space)) == byteCount(of: Place(value: id, space: space)),
          joined[value] == nil, parts[value] == nil, !results.contains(value)
        else { break }
        parts[value] = (node.outputs[0], offset)
        offset += byteCount(of: Place(value: id, space: space))
      }
      guard parts.count == node.inputs.count else { continue }
      joined.merge(parts) { first, _ in first }
      joins.insert(index)
    }
  }

  /// The value whose memory another one is in its own space, before anything is joined.
  private func root(of value: ValueID) -> (value: ValueID, offset: Int) {
    var (value, offset) = (value, 0)
    while let node = producers[value], let own = lowering(node).viewOffset(node),
      home(of: graph.nodes[node].inputs[0]) == lowering(node).space
    {
      value = graph.nodes[node].inputs[0]
      offset += own
    }
    return (value, offset)
  }

  private func lowering(_ node: Int) -> any Lowering { lowerings[placed[node]] }

  /// Where a value is first; nil for a constant, which is wherever it is read.
  private func home(of value: ValueID) -> MemorySpace? {
    if let node = producers[value] { return lowering(node).space }
    if case .constant = graph[value].source { return nil }
    return .host
  }

  /// Where a value lies in a space.
  private func part(_ value: ValueID, in space: MemorySpace) -> Part {
    let byteCount = byteCount(of: Place(value: value, space: space))
    var (value, offset) = (value, 0)
    while let node = producers[value], lowering(node).space == space {
      if let own = lowering(node).viewOffset(node) {
        value = graph.nodes[node].inputs[0]
        offset += own
      } else if let own = joined[value] {
        value = own.whole
        offset += own.offset
      } else {
        break
      }
    }
    return Part(place: Place(value: value, space: space), offset: offset, byteCount: byteCount)
  }

  /// Whether it is all of that memory.
  private func isWhole(_ part: Part) -> Bool { part.offset == 0 && part.byteCount == byteCount(of: part.place) }

  /// Nodes and copies in order, and the segments they form.
  private func actions(bound: inout [Place: Int]) -> (actions: [Action], segments: [Plan.Segment]) {
    // What a device computes and somebody else reads goes through the host.
    var neededOnHost = Set(graph.outputs)
    for (index, node) in graph.nodes.enumerated() {
      let space = lowering(index).space
      for id in node.inputs where home(of: id) != space { neededOnHost.insert(id) }
    }

    var actions: [Action] = []
    var segments: [Plan.Segment] = []
    var present = Set<Place>()
    var next = 0
    while next < graph.nodes.count {
      let end = placed[next...].firstIndex { $0 != placed[next] } ?? graph.nodes.count
      let (nodes, space, first) = (next..<end, lowering(next).space, actions.count)
      var uploads: [(from: Part, to: Place)] = []
      for id in nodes.lazy.flatMap({ graph.nodes[$0].inputs }) {
        // What the host reads of a device was brought there when it was computed.
        guard space != .host, let home = home(of: id), home != space else { continue }
        let target = Place(value: id, space: space)
        if present.insert(target).inserted { uploads.append((part(id, in: .host), target)) }
      }
      if !uploads.isEmpty { actions.append(.copies(uploads)) }
      actions += nodes.filter { lowering($0).viewOffset($0) == nil && !joins.contains($0) }.map { .node($0) }
      if space != .host {
        let downloads = nodes.lazy.flatMap { graph.nodes[$0].outputs }.filter(neededOnHost.contains)
          .map { (from: part($0, in: space), to: Place(value: $0, space: .host)) }
        if !downloads.isEmpty { actions.append(.copies(Array(downloads))) }
      }
      if actions.count > first { segments.append(Plan.Segment(backend: placed[next], steps: first..<actions.count)) }
      next = end
    }

    var copied: [(from: Part, output: Int)] = []
    for (index, id) in graph.outputs.enumerated() {
      let part = part(id, in: .host)
      if producers[part.place.value] != nil, bound[part.place] == nil, isWhole(part) {
        bound[part.place] = index
      } else {
        copied.append((part, index))
      }
    }
    if !copied.isEmpty {
      segments.append(Plan.Segment(backend: nil, steps: actions.count..<actions.count + 1))
      actions.append(.outputs(copied))
    }
    return (actions, segments)
  }

  private func reads(_ action: Action) -> [Part] {
    switch action {
    case .node(let node): graph.nodes[node].inputs.map { part($0, in: lowering(node).space) }
    case .copies(let copies): copies.map(\.from)
    case .outputs(let copies): copies.map(\.from)
    }
  }

  func plan(inPlace: Bool) -> Plan {
    /// Values that lie in the caller's outputs from the start.
    var bound: [Place: Int] = [:]
    let (actions, segments) = actions(bound: &bound)

    var lastReads: [Place: Int] = [:]
    for (index, action) in actions.enumerated() { for part in reads(action) { lastReads[part.place] = index } }

    var slots: [Plan.Slot] = []
    var slotOf: [Place: Int] = [:]
    /// Slots of parts.
    var partOf: [Part: Int] = [:]
    /// The last step that touches each slot, or a part of it.
    var lastUses: [Int] = []
    func add(_ place: Place, _ source: Plan.Slot.Source, _ byteCount: Int) -> Int {
      slots.append(Plan.Slot(space: place.space, source: source, values: [place.value], byteCount: byteCount))
      lastUses.append(-1)
      slotOf[place] = slots.count - 1
      return slots.count - 1
    }
    func slot(of place: Place) -> Int {
      if let slot = slotOf[place] { return slot }
      let value = graph[place.value]
      switch value.source {
      case .input: return add(place, .input(inputs[value.id]!), byteCount(of: place))
      case .parameter: return add(place, .parameter, byteCount(of: place))
      case .constant: return add(place, .constant, byteCount(of: place))
      case .node: preconditionFailure("\(value.name) is read in \(place.space) before it is there")
      }
    }
    /// The slot of a part of what a slot holds.
    func slot(of part: Part, in whole: Int, _ value: ValueID) -> Int {
      guard !isWhole(part) else { return whole }
      if let slot = partOf[part] { return slot }
      slots.append(
        Plan.Slot(
          space: part.place.space, source: .part(of: whole, offset: part.offset), values: [value],
          byteCount: part.byteCount))
      lastUses.append(-1)
      partOf[part] = slots.count - 1
      return slots.count - 1
    }
    func root(of slot: Int) -> Int { if case .part(let whole, _) = slots[slot].source { whole } else { slot } }
    /// Makes the slot of what step `index` computes.
    func result(_ part: Part, _ value: ValueID, at index: Int) -> Int {
      let place = part.place
      // The first part that is written makes the whole.
      let whole =
        slotOf[place] ?? add(place, bound[place].map { .output($0) } ?? .computed, byteCount(of: place))
      lastUses[whole] = max(lastUses[whole], lastReads[place] ?? index, index)
      return slot(of: part, in: whole, value)
    }

    var steps: [Plan.Step] = []
    var outputs = [Int](repeating: -1, count: graph.outputs.count)
    for (index, action) in actions.enumerated() {
      let values: [ValueID] =
        switch action {
        case .node(let node): graph.nodes[node].inputs
        case .copies(let copies): copies.map(\.to.value)
        case .outputs(let copies): copies.map { graph.outputs[$0.output] }
        }
      let read = zip(reads(action), values).map { slot(of: $0, in: slot(of: $0.place), $1) }
      for slot in read.map(root) { lastUses[slot] = max(lastUses[slot], index) }
      switch action {
      case .node(let node):
        let lowering = lowering(node)
        let kernel = lowering.kernel(for: node)
        var written: [Int] = []
        var isInPlace = false
        for (position, value) in graph.nodes[node].outputs.enumerated() {
          let part = part(value, in: lowering.space)
          let place = part.place
          let overwritten = kernel.overwritableInputs.lazy.compactMap { read[safe: $0] }.first { input in
            inPlace && position == 0 && bound[place] == nil && isWhole(part) && slots[input].source == .computed
              && slots[input].byteCount == part.byteCount && lastUses[input] == index
              && read.count { root(of: $0) == input } == 1
          }
          if let overwritten {
            slotOf[place] = overwritten
            slots[overwritten].values.append(place.value)
            lastUses[overwritten] = lastReads[place] ?? index
            isInPlace = true
            written.append(overwritten)
          } else {
            written.append(result(part, value, at: index))
          }
        }
        steps.append(
          Plan.Step(
            node: node, copies: [], kernel: kernel.name, inputs: read, outputs: written, isInPlace: isInPlace,
            scratch: kernel.scratch, released: [], bodies: kernel.bodies))
      case .copies(let copies):
        let written = copies.map { copy in
          result(Part(place: copy.to, offset: 0, byteCount: byteCount(of: copy.to)), copy.to.value, at: index)
        }
        steps.append(Self.copies(from: read, to: written))
      case .outputs(let copies):
        let written = copies.map { copy in
          slots.append(
            Plan.Slot(
              space: .host, source: .output(copy.output), values: [graph.outputs[copy.output]],
              byteCount: graph[graph.outputs[copy.output]].type.storageByteCount))
          lastUses.append(index)
          outputs[copy.output] = slots.count - 1
          return slots.count - 1
        }
        steps.append(Self.copies(from: read, to: written))
      }
    }
    for (place, output) in bound { outputs[output] = slotOf[place]! }
    for (slot, last) in lastUses.enumerated() where slots[slot].source == .computed && last >= 0 {
      steps[last].released.append(slot)
    }
    return Plan(graph: graph, slots: slots, steps: steps, segments: segments, outputs: outputs)
  }

  private static func copies(from sources: [Int], to targets: [Int]) -> Plan.Step {
    Plan.Step(
      node: nil, copies: zip(sources, targets).map { Plan.Copy(source: $0, target: $1) }, kernel: "copy",
      inputs: sources,
      outputs: targets, isInPlace: false, scratch: [], released: [])
  }

  private func byteCount(of place: Place) -> Int {
    place.space == .host
      ? graph[place.value].type.storageByteCount
      : lowerings.first { $0.space == place.space }!.byteCount(of: place.value)
  }
}
