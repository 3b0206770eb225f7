import Foundation
import GraphCore
import TensorCore

/// A graph as a `.pacer` file holds it: values and tensors by number. What nodes compute has no types here: ops infer them.
struct StoredGraph: Codable {
  struct Parameter: Codable {
    var name: String
    var type: TensorType
  }

  var name: String
  /// Of the values.
  var names: [String]
  /// By value: the number of a constant's tensor; −1 of all others.
  var tensors: [Int]
  var inputs: [Int]
  var inputTypes: [TensorType]
  var outputs: [Int]
  var nodes: [StoredNode]
  /// Only of graphs that are not frozen: what the weight map has to have, numbers of the tensors it has, and the values that are
  /// looked up in it.
  var parameters: [Parameter]?
  var weights: [String: Int]?
  var lookedUp: [Int]?

  /// - Parameter number: of a tensor.
  init(_ graph: Graph, number: (Tensor) throws -> Int) throws {
    name = graph.name
    (names, tensors) = ([], [])
    var (places, lookedUp): ([ValueID: Int], [Int]) = ([:], [])
    for value in graph.values {
      places[value.id] = names.count
      if case .parameter = value.source { lookedUp.append(names.count) }
      names.append(value.name)
      if case .constant(let tensor) = value.source { tensors.append(try number(tensor)) } else { tensors.append(-1) }
    }
    inputs = graph.inputs.map { places[$0]! }
    inputTypes = graph.inputs.map { graph[$0].type }
    outputs = graph.outputs.map { places[$0]! }
    nodes = graph.nodes.map { node in
      StoredNode(
        name: node.name, op: node.op, inputs: node.inputs.map { places[$0]! },
        outputs: node.outputs.map { places[$0]! }, stored: node.stored)
    }
    guard !graph.parameters.isEmpty else { return }
    parameters = graph.parameters.map { Parameter(name: $0.name, type: $0.type) }
    // In an order of its own a dictionary is another one in each process.
    weights = try Dictionary(
      uniqueKeysWithValues: graph.weights.sorted { $0.key < $1.key }.map { ($0.key, try number($0.value)) })
    self.lookedUp = lookedUp
  }

  /// The graph itself; ``Graph/verify()`` says what is wrong with it.
  /// - Throws: ``GraphError`` where a number is none of its values, or of the tensors.
  func graph(_ given: [Tensor]) throws -> Graph {
    guard names.count == tensors.count, inputs.count == inputTypes.count else {
      throw GraphError(
        "\(names.count) values have \(tensors.count) tensors, and \(inputs.count) inputs \(inputTypes.count) types")
    }
    func tensor(_ number: Int, _ name: String) throws -> Tensor {
      guard let tensor = given[safe: number] else { throw GraphError("\(name) is tensor \(number) of \(given.count)") }
      return tensor
    }
    let known = Dictionary((parameters ?? []).map { ($0.name, $0.type) }) { first, _ in first }
    let inputs = Dictionary(zip(inputs, inputTypes)) { first, _ in first }
    let lookedUp = Set(lookedUp ?? [])
    let computed = Set(nodes.flatMap(\.outputs))
    guard inputs.count == inputTypes.count else { throw GraphError("a value is an input twice") }

    var graph = Graph(name: name)
    let ids = try names.enumerated().map { index, name in
      let kinds = [tensors[index] != -1, inputs[index] != nil, lookedUp.contains(index), computed.contains(index)]
      guard kinds.count(where: { $0 }) == 1 else { throw GraphError("\(name) comes from nowhere, or from two places") }
      if tensors[index] != -1 {
        let tensor = try tensor(tensors[index], name)
        return graph.appendValue(name, tensor.type, .constant(tensor))
      }
      if let type = inputs[index] { return graph.appendValue(name, type, .input) }
      if lookedUp.contains(index) {
        guard let type = known[name] else { throw GraphError("parameter \(name) is not declared") }
        return graph.appendValue(name, type, .parameter)
      }
      // Until its node says what it is.
      return graph.appendValue(name, TensorType([]), .node)
    }
    func id(_ number: Int, _ place: @autoclosure () -> String) throws -> ValueID {
      guard let id = ids[safe: number] else { throw GraphError("\(place()): value \(number) of \(ids.count)") }
      return id
    }
    graph.inputs = try self.inputs.map { try id($0, "inputs") }
    graph.outputs = try outputs.map { try id($0, "outputs") }
    graph.nodes = try nodes.map { node in
      Node(
        name: node.name, op: node.op, inputs: try node.inputs.map { try id($0, "inputs of \(node.name)") },
        outputs: try node.outputs.map { try id($0, "outputs of \(node.name)") }, placed: nil, stored: node.stored)
    }
    graph.parameters = (parameters ?? []).map { ($0.name, $0.type) }
    graph.weights = try Dictionary(
      uniqueKeysWithValues: (weights ?? [:]).map { ($0.key, try tensor($0.value, $0.key)) })
    try graph.inferTypes()
    try Self.checkFormats(graph)
    return graph
  }

  /// Kernels that know of packed weights read them as weights; everywhere else elements lie in order.
  private static func checkFormats(_ graph: Graph) throws {
    func isPacked(_ id: ValueID) -> Bool { graph[id].type.format != .nchw && graph[id].type.format != .nhwc }
    for id in graph.inputs + graph.nodes.flatMap(\.outputs) where isPacked(id) {
      throw GraphError("\(graph[id].name) is no weight, and \(graph[id].type)")
    }
    for node in graph.nodes {
      for (place, id) in node.inputs.enumerated() where isPacked(id) && !node.op.parameterInputs.contains(place) {
        throw GraphError("\(node.name) reads \(graph[id].name) as no weight, and it is \(graph[id].type)")
      }
    }
  }
}

/// A node, its op by name and attributes.
struct StoredNode: Codable {
  var name: String
  var op: any Op
  var inputs: [Int]
  var outputs: [Int]
  var stored: StoredType?

  init(name: String, op: any Op, inputs: [Int], outputs: [Int], stored: StoredType?) {
    (self.name, self.op, self.inputs, self.outputs, self.stored) = (name, op, inputs, outputs, stored)
  }

  private enum CodingKeys: CodingKey { case name, op, attributes, inputs, outputs, stored }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    name = try container.decode(String.self, forKey: .name)
    inputs = try container.decode([Int].self, forKey: .inputs)
    outputs = try container.decode([Int].self, forKey: .outputs)
    stored = try container.decodeIfPresent(StoredType.self, forKey: .stored)
    let kind = try container.decode(String.self, forKey: .op)
    guard let kinds = decoder.userInfo[OpKinds.key] as? OpKinds, let type = kinds[kind] else {
      throw GraphError("\(name): this program has no op \(kind)")
    }
    func attributes<Kind: Op>(_: Kind.Type) throws -> Kind { try container.decode(Kind.self, forKey: .attributes) }
    op = try attributes(type)
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .name)
    try container.encode(type(of: op).name, forKey: .op)
    try container.encode(op, forKey: .attributes)
    try container.encode(inputs, forKey: .inputs)
    try container.encode(outputs, forKey: .outputs)
    try container.encodeIfPresent(stored, forKey: .stored)
  }
}

/// Kinds of ops by name, for decoders.
struct OpKinds: Sendable {
  static let key = CodingUserInfoKey(rawValue: "pacer.ops")!
  private let kinds: [String: any Op.Type]

  /// - Parameter others: from outside the package; one of a name that Pacer has takes its place.
  init(adding others: [any Op.Type]) {
    kinds = Dictionary((allOps + others).map { ($0.name, $0) }) { $1 }
  }

  subscript(_ name: String) -> (any Op.Type)? { kinds[name] }
}
