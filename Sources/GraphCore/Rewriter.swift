import TensorCore

/// A graph while nodes are replaced. Producers and users are looked up, not searched, and nodes go by handles, so that a
/// rewrite knows no positions.
public struct Rewriter {
  /// A node, for as long as it is in the graph.
  public struct Handle: Hashable, Sendable { fileprivate let index: Int }

  /// Values, weights and inputs; its nodes are put in order at the end.
  private var graph: Graph
  /// Place behind the last node.
  private let end: Int
  /// By handle; nil for those that were removed.
  private var nodes: [Node?]
  /// Handles in the order in which they run, those of removed nodes among them.
  private var following: [Int]
  private var preceding: [Int]
  /// By value: the handle of the node that computes it, 0 where none does.
  private var producers: [Int]
  /// By value: handles of the nodes that read it, one for each time they do.
  private var readers: [[Int]]

  fileprivate init(_ graph: Graph) {
    self.graph = graph
    self.graph.nodes = []
    // Before the first and behind the last there is a place that holds no node.
    nodes = [nil] + graph.nodes + [nil]
    following = nodes.indices.map { $0 + 1 }
    preceding = nodes.indices.map { $0 - 1 }
    end = nodes.count - 1
    producers = [Int](repeating: 0, count: graph.valueCount)
    readers = [[Int]](repeating: [], count: graph.valueCount)
    for index in 1..<end { link(index) }
  }

  fileprivate var finished: Graph {
    var graph = graph
    graph.nodes = handles.map { nodes[$0.index]! }
    return graph
  }

  private mutating func link(_ index: Int) {
    // Values may have been added.
    while producers.count < graph.valueCount {
      producers.append(0)
      readers.append([])
    }
    for id in nodes[index]!.outputs { producers[id.index] = index }
    for id in nodes[index]!.inputs { readers[id.index].append(index) }
  }

  private mutating func unlink(_ index: Int) {
    for id in nodes[index]!.outputs { producers[id.index] = 0 }
    for id in nodes[index]!.inputs { readers[id.index].remove(at: readers[id.index].firstIndex(of: index)!) }
  }

  private func reading(_ id: ValueID) -> [Int] { id.index < readers.count ? readers[id.index] : [] }

  // MARK: Looking

  /// Those there are now, in the order in which they run; what is added later is not among them.
  public var handles: [Handle] {
    sequence(first: following[0]) { $0 == end ? nil : following[$0] }.filter { nodes[$0] != nil }.map(Handle.init)
  }

  /// Nil once it was removed.
  public subscript(handle: Handle) -> Node? { nodes[handle.index] }
  public subscript(id: ValueID) -> Value { graph[id] }
  public func types(of ids: some Sequence<ValueID>) -> [TensorType] { ids.map { graph[$0].type } }

  /// The node that computes a value; nil for inputs, weights and constants.
  public func producer(of id: ValueID) -> Handle? {
    guard id.index < producers.count, producers[id.index] > 0 else { return nil }
    return Handle(index: producers[id.index])
  }
  /// The nodes that read a value, each once.
  public func users(of id: ValueID) -> [Handle] {
    var seen = Set<Int>()
    return reading(id).filter { seen.insert($0).inserted }.map(Handle.init)
  }
  /// How often a value is read, by nodes and as an output of the graph.
  public func uses(of id: ValueID) -> Int { reading(id).count + graph.outputs.count { $0 == id } }
  /// The one node that reads a value, once; nil where something else reads it too, or the caller.
  public func onlyUser(of id: ValueID) -> Handle? { uses(of: id) == 1 ? reading(id).first.map(Handle.init) : nil }
  /// The data behind a parameter or constant.
  public func data(of id: ValueID) -> Tensor? { graph.data(of: id) }
  public var inputs: [ValueID] { graph.inputs }
  public var outputs: [ValueID] { graph.outputs }

  // MARK: Replacing

  /// Changes a node's op or what it reads; what it computes must be of the same types.
  public mutating func update(_ handle: Handle, _ change: (inout Node) -> Void) {
    unlink(handle.index)
    change(&nodes[handle.index]!)
    link(handle.index)
  }

  /// Makes everything that reads one value read another, the caller included.
  public mutating func replaceUses(of old: ValueID, with new: ValueID) {
    for user in users(of: old) { replaceUses(of: old, with: new, in: user) }
    graph.setOutputs(graph.outputs.map { $0 == old ? new : $0 })
  }

  public mutating func replaceUses(of old: ValueID, with new: ValueID, in user: Handle) {
    update(user) { node in node.inputs = node.inputs.map { $0 == old ? new : $0 } }
  }

  /// Takes out a node; what read its output reads another value from now on.
  public mutating func remove(_ handle: Handle, readersRead value: ValueID) {
    let node = nodes[handle.index]!
    replaceUses(of: node.outputs[0], with: value)
    unlink(handle.index)
    nodes[handle.index] = nil
    for id in node.outputs { graph.removeValue(id) }
    let (before, after) = (preceding[handle.index], following[handle.index])
    (following[before], preceding[after]) = (after, before)
  }

  /// Puts a new node where `place` is and `place` behind it, and infers what it computes.
  /// - Parameters:
  ///   - place: nil for the end.
  ///   - stored: see ``Node``.
  /// - Returns: its first output.
  @discardableResult public mutating func insert(
    _ name: String, _ op: any Op, _ inputs: [ValueID], before place: Handle?, placed: Int?,
    stored: StoredType? = nil
  ) throws -> ValueID {
    let node = try graph.makeNode(name, op, inputs, placed: placed, stored: stored)
    let (index, after) = (nodes.count, place?.index ?? end)
    let before = preceding[after]
    nodes.append(node)
    preceding.append(before)
    following.append(after)
    (following[before], preceding[after]) = (index, index)
    link(index)
    return node.outputs[0]
  }

  /// Puts one node in the place of several that follow each other: what read the output of the last reads its output. The
  /// others' outputs must be read by nothing else.
  public mutating func fuse(_ handles: [Handle], into op: any Op, _ inputs: [ValueID]) throws {
    let last = nodes[handles.last!.index]!
    let result = try insert(last.name, op, inputs, before: handles.last!, placed: last.placed, stored: last.stored)
    for handle in handles.reversed() { remove(handle, readersRead: result) }
  }

  public mutating func setOutputs(_ ids: [ValueID]) { graph.setOutputs(ids) }

  // MARK: Weights

  public mutating func addConstant(_ name: String, _ tensor: Tensor) -> ValueID { graph.addConstant(name, tensor) }

  /// A new weight: a constant where `other` is one, else an entry of the weight map.
  public mutating func addWeight(_ name: String, _ tensor: Tensor, like other: ValueID) -> ValueID {
    if case .constant = graph[other].source { return graph.addConstant(name, tensor) }
    let id = graph.addParameter(name, tensor.type)!
    graph.weights[name] = tensor
    return id
  }

  /// Gives a weight other data.
  public mutating func setData(of id: ValueID, to tensor: Tensor) {
    if case .constant = graph[id].source {
      graph[id].source = .constant(tensor)
    } else {
      graph.weights[graph[id].name] = tensor
      if let entry = graph.parameters.firstIndex(where: { $0.name == graph[id].name }) {
        graph.parameters[entry].type = tensor.type
      }
    }
    graph[id].type = tensor.type
  }

  /// Brings a constant that one node alone reads into another format.
  /// - Returns: whether there was something to do.
  public mutating func rearrangeConstant(_ id: ValueID, to format: MemoryFormat) throws -> Bool {
    guard case .constant(let tensor) = graph[id].source, tensor.format != format, uses(of: id) == 1 else {
      return false
    }
    setData(of: id, to: try tensor.converted(to: format))
    return true
  }

  /// Infers anew what a node computes.
  public mutating func inferTypes(of handle: Handle) throws {
    let node = nodes[handle.index]!
    for (id, type) in zip(node.outputs, try node.outputTypes(for: types(of: node.inputs))) {
      graph[id].type = type
    }
  }
}

extension Graph {
  /// Rewrites the graph; after an error it is as it was.
  public mutating func rewrite<Result>(_ body: (inout Rewriter) throws -> Result) throws -> Result {
    var rewriter = Rewriter(self)
    let result = try body(&rewriter)
    self = rewriter.finished
    return result
  }
}
