import TensorCore

/// A name for a value inside one graph.
public struct ValueID: Hashable, Sendable, Comparable {
  public let index: Int
  public static func < (a: ValueID, b: ValueID) -> Bool { a.index < b.index }
}

/// Where a value comes from.
public enum ValueSource: Sendable {
  /// Given by the caller at each run.
  case input
  /// Looked up in the graph's weight map, by name, at each run.
  case parameter
  /// Part of the graph.
  case constant(Tensor)
  /// Computed by a node.
  case node
}

public struct Value: Sendable {
  public let id: ValueID
  public var name: String
  public var type: TensorType
  public var source: ValueSource
}

/// A model as a value: nodes in execution order, the values between them, and the weights.
///
/// Copying a graph copies no weights; changing a copy leaves the original as it was.
public struct Graph: Sendable {
  public var name: String
  public package(set) var inputs: [ValueID] = []
  public package(set) var outputs: [ValueID] = []
  public package(set) var nodes: [Node] = [] { didSet { lookup = Lookup() } }
  private var lookup = Lookup()
  private var table: [Value?] = []

  /// The state dict: everything a weight file of this model holds, by name. Empty once frozen.
  public var weights: [String: Tensor] = [:]
  /// Names and types the weight map has to have, in the model's order; also those that no node reads.
  public package(set) var parameters: [(name: String, type: TensorType)] = []

  public init(name: String) { self.name = name }

  // MARK: Reading

  public subscript(id: ValueID) -> Value {
    get { table[id.index]! }
    set { table[id.index] = newValue }
  }

  /// One more than the highest index of a value, removed ones among them.
  var valueCount: Int { table.count }
  public var values: [Value] { table.compactMap { $0 } }
  func contains(_ id: ValueID) -> Bool { table.indices.contains(id.index) && table[id.index] != nil }

  /// Index of the node that computes a value.
  public func producer(of id: ValueID) -> Int? { lookup.tables(of: nodes, valueCount).producers[safe: id.index] ?? nil }

  /// Indices of the nodes that read a value.
  public func users(of id: ValueID) -> [Int] { lookup.tables(of: nodes, valueCount).users[safe: id.index] ?? [] }

  public func inputTypes(of node: Node) -> [TensorType] { node.inputs.map { self[$0].type } }

  /// The data behind a parameter or constant; nil for inputs, computed values and missing weights.
  public func data(of id: ValueID) -> Tensor? {
    switch self[id].source {
    case .constant(let tensor): tensor
    case .parameter: weights[self[id].name]
    case .input, .node: nil
    }
  }

  /// Multiply-accumulates of all nodes.
  public var macs: Int { nodes.reduce(0) { $0 + cost(of: $1).macs } }

  /// What a node's computation costs, whatever its tensors are stored as.
  public func cost(of node: Node) -> Cost {
    let types = inputTypes(of: node)
    return node.op.cost(for: types.map(\.widened))
  }

  /// Bytes a node has to move at least: each input, parameters included, read once, and each output written once.
  public func bytes(of node: Node) -> Int {
    (inputTypes(of: node) + node.outputs.map { self[$0].type }).reduce(0) { $0 + $1.byteCount }
  }

  /// Learned parameters: weights and biases, without batch-norm statistics and counters.
  public var parameterCount: Int {
    parameters.filter { !$0.name.contains(".running_") && !$0.name.hasSuffix("num_batches_tracked") }
      .reduce(0) { $0 + $1.type.shape.count }
  }

  /// Bytes of all weights the graph carries, as they lie in memory now.
  public var weightBytes: Int {
    weights.values.reduce(0) { $0 + $1.type.byteCount }
      + values.reduce(0) { if case .constant(let tensor) = $1.source { $0 + tensor.type.byteCount } else { $0 } }
      + bodies.reduce(0) { $0 + $1.weightBytes }
  }

  /// Bytes of the largest value: no run takes less.
  package var largestByteCount: Int { values.reduce(0) { max($0, $1.type.storageByteCount) } }

  // MARK: Building and rewriting

  public mutating func addInput(_ name: String, _ type: TensorType) -> ValueID {
    let id = add(name, type, .input)
    inputs.append(id)
    return id
  }

  /// Declares an entry of the weight map. With `isRead` false it is only part of the state dict.
  @discardableResult
  public mutating func addParameter(_ name: String, _ type: TensorType, isRead: Bool = true) -> ValueID? {
    parameters.append((name, type))
    return isRead ? add(name, type, .parameter) : nil
  }

  /// Whether any value stands for an entry of the weight map.
  public func readsParameter(_ name: String) -> Bool {
    values.contains { if case .parameter = $0.source { $0.name == name } else { false } }
  }

  public mutating func addConstant(_ name: String, _ tensor: Tensor) -> ValueID {
    add(name, tensor.type, .constant(tensor))
  }

  /// Appends a node, or inserts it before the node at `position`, and infers its output types.
  /// - Parameters:
  ///   - placed: the backend of the nodes whose work it does; nil where it is to be chosen.
  ///   - stored: see ``Node``.
  public mutating func addNode(
    _ name: String, _ op: any Op, _ inputs: [ValueID], at position: Int? = nil, placed: Int? = nil,
    stored: StoredType? = nil
  ) throws -> ValueID {
    try addNodes(name, op, inputs, at: position, placed: placed, stored: stored)[0]
  }

  /// The same of an op with several outputs: all of them.
  package mutating func addNodes(
    _ name: String, _ op: any Op, _ inputs: [ValueID], at position: Int? = nil, placed: Int? = nil,
    stored: StoredType? = nil
  ) throws -> [ValueID] {
    let node = try makeNode(name, op, inputs, placed: placed, stored: stored)
    nodes.insert(node, at: position ?? nodes.count)
    return node.outputs
  }

  /// A node and the values it computes, before it has a place among the others.
  mutating func makeNode(
    _ name: String, _ op: any Op, _ inputs: [ValueID], placed: Int?, stored: StoredType?
  ) throws -> Node {
    var node = Node(name: name, op: op, inputs: inputs, outputs: [], placed: placed, stored: stored)
    let types = try node.outputTypes(for: inputs.map { self[$0].type })
    node.outputs = types.enumerated().map {
      add(types.count == 1 ? name : "\(name).\($0.offset)", $0.element, .node)
    }
    return node
  }

  mutating func removeValue(_ id: ValueID) { table[id.index] = nil }

  public mutating func setOutputs(_ ids: [ValueID]) { outputs = ids }

  public mutating func setOp(_ op: any Op, ofNode index: Int) { nodes[index].op = op }
  public mutating func setInputs(_ inputs: [ValueID], ofNode index: Int) { nodes[index].inputs = inputs }
  /// Chooses the backend of a node, by its position among those the graph is placed with.
  public mutating func place(_ index: Int, on backend: Int?) { nodes[index].placed = backend }

  /// Drops nodes, constants and parameter values that lead to no output. Inputs stay.
  /// - Returns: how many nodes and values went.
  @discardableResult
  public mutating func removeUnused() -> Int {
    var live = Set(outputs)
    var keptNodes: [Node] = []
    for node in nodes.reversed() where node.outputs.contains(where: live.contains) {
      live.formUnion(node.inputs)
      live.formUnion(node.outputs)
      keptNodes.append(node)
    }
    live.formUnion(inputs)
    var removed = nodes.count - keptNodes.count
    nodes = keptNodes.reversed()
    for index in table.indices {
      guard let value = table[index], !live.contains(value.id) else { continue }
      table[index] = nil
      if case .node = value.source {} else { removed += 1 }
    }
    return removed
  }

  /// Forgets the state dict: what the nodes need has become constants.
  public mutating func dropWeightMap() {
    weights = [:]
    parameters = []
  }

  /// Forgets weights, by name.
  package mutating func forgetWeights(where isForgotten: (String) -> Bool) {
    parameters.removeAll { isForgotten($0.name) }
    for name in weights.keys where isForgotten(name) { weights[name] = nil }
  }

  /// Gives weights that are parts of a file memory of their own; those of bodies stay.
  /// - Returns: how many there were.
  package mutating func copyMappedWeights() throws -> Int {
    var copied = 0
    for value in values {
      guard case .constant(let tensor) = value.source, tensor.storage.isMapped else { continue }
      self[value.id].source = .constant(try tensor.copiedFromFile())
      copied += 1
    }
    for (name, tensor) in weights where tensor.storage.isMapped {
      weights[name] = try tensor.copiedFromFile()
      copied += 1
    }
    return copied
  }

  /// Infers the type of every computed value anew, in order.
  public mutating func inferTypes() throws {
    for node in nodes {
      let types = try node.outputTypes(for: inputTypes(of: node))
      for (id, type) in zip(node.outputs, types) { self[id].type = type }
    }
  }

  /// The same graph for inputs of other shapes.
  /// - Throws: ``GraphError`` where an op cannot work at the new size.
  public func reshaped(inputs shapes: [Shape]) throws -> Graph {
    try expect(shapes.count == inputs.count, "\(inputs.count) input shapes needed, not \(shapes.count)")
    var copy = self
    for (id, shape) in zip(inputs, shapes) { copy[id].type.shape = shape }
    try copy.inferTypes()
    return copy
  }

  /// A graph of one node alone: see ``part(_:)``. Its only result is its first.
  /// - Throws: ``GraphError`` where a weight is missing.
  package func alone(_ node: Node) throws -> Graph {
    try part([node], outputs: Array(node.outputs.prefix(1))).graph
  }

  /// A graph of some nodes alone, in their order: what others compute is its input, what they read of weights is part of it.
  /// - Parameter outputs: what of that others read.
  /// - Returns: Besides the graph, its inputs as this graph knows them.
  /// - Throws: ``GraphError`` where a weight is missing.
  package func part(_ nodes: [Node], outputs: [ValueID]) throws -> (graph: Graph, inputs: [ValueID]) {
    var graph = Graph(name: nodes.count == 1 ? nodes[0].name : name)
    var known: [ValueID: ValueID] = [:]
    var inputs: [ValueID] = []
    for node in nodes {
      for id in node.inputs where known[id] == nil {
        switch self[id].source {
        case .input, .node:
          known[id] = graph.addInput(self[id].name, self[id].type)
          inputs.append(id)
        case .constant, .parameter:
          guard let tensor = data(of: id) else { throw MissingWeight(self[id].name) }
          known[id] = graph.addConstant(self[id].name, tensor)
        }
      }
      let results = try graph.addNodes(
        node.name, node.op, node.inputs.map { known[$0]! }, placed: node.placed, stored: node.stored)
      for (id, result) in zip(node.outputs, results) { known[id] = result }
    }
    graph.setOutputs(outputs.map { known[$0]! })
    return (graph, inputs)
  }

  /// The same graph with its nodes in another order, in which each value is computed before it is read.
  package func reordered(_ order: [Int]) -> Graph {
    guard order != Array(nodes.indices) else { return self }
    var copy = self
    copy.nodes = order.map { nodes[$0] }
    return copy
  }

  /// A value for a graph that is put together from its parts; ``verify()`` says whether they fit.
  package mutating func appendValue(_ name: String, _ type: TensorType, _ source: ValueSource) -> ValueID {
    add(name, type, source)
  }

  private mutating func add(_ name: String, _ type: TensorType, _ source: ValueSource) -> ValueID {
    let id = ValueID(index: table.count)
    table.append(Value(id: id, name: name, type: type, source: source))
    return id
  }
}
