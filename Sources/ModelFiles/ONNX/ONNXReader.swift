import Foundation
import GraphCore
import TensorCore

extension ONNXFile {
  /// The model as a graph. Shapes are fixed here: what follows from them is computed now and is a constant afterwards, as is what a
  /// branch or an attribute needs to know.
  /// - Parameter shapes: of inputs, by name; those that the file fixes need none.
  /// - Throws: ``Unsupported`` naming the nodes that there is no op for, ``BadFile`` naming the node that is wrong.
  public func graph(_ shapes: [String: [Int]] = [:]) throws -> Graph {
    try checkOperators()
    let reader = ONNXGraphReader(self, name: modelName)
    return try reader.read(model.graph, shapes)
  }

  /// The model for inputs of these shapes. What has to be known before a run and depends on an input is computed of the values
  /// given here, and is right for them alone.
  /// - Parameter values: of all inputs, by name.
  /// - Returns: the graph, and the names of the inputs whose values are fixed in it.
  public func graph(for values: [String: Tensor]) throws -> (graph: Graph, fixed: Set<String>) {
    try checkOperators()
    let reader = ONNXGraphReader(self, name: modelName, given: values)
    return (try reader.read(model.graph, values.mapValues(\.shape.extents)), reader.fixed)
  }

  /// Kinds of its nodes, without constants and what is in bodies and functions.
  public var operators: Set<String> { Set(model.graph.node.map(\.opType)).subtracting(["Constant"]) }

  private var modelName: String {
    let stem = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
    return stem.isEmpty ? "model" : stem
  }

  /// The version of ONNX's own operators.
  var operatorSet: Int { Int(model.opsetImport.first { Self.isStandard($0.domain) }?.version ?? 1) }

  static func isStandard(_ domain: String) -> Bool { domain.isEmpty || domain == "ai.onnx" }

  /// Operators that there is no op for, with the nodes that are of them.
  public var missingOperators: [String: [String]] {
    var missing: [String: [String]] = [:]
    let functions = Set(model.functions.map { "\($0.domain).\($0.name)" })
    func look(_ nodes: [Pacer_Onnx_Node]) {
      for (index, node) in nodes.enumerated() where !functions.contains("\(node.domain).\(node.opType)") {
        let isKnown = Self.isStandard(node.domain) && onnxOps[node.opType] != nil
        let label = Self.isStandard(node.domain) ? node.opType : "\(node.domain).\(node.opType)"
        if !isKnown { missing[label, default: []].append(node.name.isEmpty ? "number \(index)" : node.name) }
        for attribute in node.attribute {
          for body in (attribute.hasG ? [attribute.g] : []) + attribute.graphs { look(body.node) }
        }
      }
    }
    look(model.graph.node)
    for function in model.functions { look(function.node) }
    return missing
  }

  /// Names every operator that is missing, before anything is built.
  /// - Throws: ``Unsupported``.
  public func checkOperators() throws {
    let missing = missingOperators
    guard missing.isEmpty else { throw Unsupported("\(path): Pacer has no \(Self.words(missing))") }
    let version = operatorSet
    guard version >= 7 else {
      throw Unsupported("\(path): operator set \(version) is older than 7, the first that is read")
    }
  }

  private static func words(_ missing: [String: [String]]) -> String {
    let list = missing.sorted { $0.key < $1.key }.map { op, nodes in
      "\(op) (node \(nodes[0])" + (nodes.count > 1 ? " and \(nodes.count - 1) more" : "") + ")"
    }
    return list.joined(separator: ", no ")
  }
}

/// Builds a graph from one of ONNX, its own or that of a body.
final class ONNXGraphReader {
  let file: ONNXFile
  let version: Int
  var graph: Graph
  /// Values by their names in the file.
  private var values: [String: ValueID] = [:]
  /// The reader of the graph around a body.
  private let outer: ONNXGraphReader?
  /// What a body reads of the graph around it, by name there, in the order of its inputs.
  private(set) var captures: [String] = []
  /// Values of inputs, to be fixed where something has to be known before a run.
  private let given: [String: Tensor]
  /// Those that were.
  private(set) var fixed: Set<String> = []

  init(_ file: ONNXFile, name: String, within outer: ONNXGraphReader? = nil, given: [String: Tensor] = [:]) {
    (self.file, self.outer, self.given) = (file, outer, given)
    version = file.operatorSet
    graph = Graph(name: name)
  }

  /// - Throws: ``BadFile`` or ``Unsupported``.
  func read(_ proto: Pacer_Onnx_Graph, _ shapes: [String: [Int]]) throws -> Graph {
    try readInitialisers(proto)
    let constants = Set(proto.initializer.map(\.name) + proto.sparseInitializer.map(\.values.name))
    for info in proto.input where !constants.contains(info.name) {
      values[info.name] = addInput(info.name, try inputType(info, shapes[info.name]))
    }
    return try finish(proto)
  }

  /// A body, whose inputs are of these types, by position.
  func readBody(_ proto: Pacer_Onnx_Graph, _ types: [TensorType]) throws -> Graph {
    try readInitialisers(proto)
    guard proto.input.count == types.count else {
      throw GraphError("body \(proto.name) has \(proto.input.count) inputs where \(types.count) are handed in")
    }
    for (info, type) in zip(proto.input, types) { values[info.name] = addInput(info.name, type) }
    var body = try finish(proto)
    // What is made for any extents up to a bound takes them as they come: a body's inputs have extents when it runs.
    if body.inputs.contains(where: { body[$0].type.isUpperBound }) {
      for id in body.inputs { body[id].type = body[id].type.largest }
      try body.inferTypes()
    }
    return body
  }

  /// A body in the graph around it, its inputs being values there: what its outputs are.
  func inline(_ proto: Pacer_Onnx_Graph, _ inputs: [ValueID] = []) throws -> [ValueID] {
    guard proto.input.count == inputs.count else {
      throw GraphError("body \(proto.name) has \(proto.input.count) inputs where \(inputs.count) are handed in")
    }
    let saved = values
    defer { values = saved }
    try readInitialisers(proto)
    for (info, id) in zip(proto.input, inputs) { values[info.name] = id }
    for node in proto.node { try read(node) }
    return try proto.output.map { try value($0.name) }
  }

  private func finish(_ proto: Pacer_Onnx_Graph) throws -> Graph {
    for node in proto.node { try read(node) }
    var outputs: [ValueID] = []
    for info in proto.output {
      let id = try value(info.name)
      // An output of its own, by the name it has in the file.
      if case .node = graph[id].source, !outputs.contains(id) { graph[id].name = info.name }
      outputs.append(id)
    }
    graph.setOutputs(outputs)
    graph.removeUnused()
    let read = Set(graph.values.compactMap { if case .parameter = $0.source { $0.name } else { nil } })
    graph.forgetWeights { !read.contains($0) }
    return graph
  }

  private func inputType(_ info: Pacer_Onnx_ValueInfo, _ shape: [Int]?) throws -> TensorType {
    let port = ONNXFile.Port(info)
    guard let kind = port.kind else { throw Unsupported("\(file.path): input \(port.name) is no tensor of numbers") }
    let extents =
      try shape
      ?? port.extents.map { extent in
        guard case .fixed(let number) = extent else {
          throw BadFile(file.path, "the shape of input \(port.words) is not fixed: give its extents")
        }
        return number
      }
    guard port.accepts(extents) else { throw BadFile(file.path, "input \(port.words) cannot be \(Shape(extents))") }
    return TensorType(Shape(extents), kind)
  }

  // MARK: Values

  private func readInitialisers(_ proto: Pacer_Onnx_Graph) throws {
    for initialiser in proto.sparseInitializer {
      let name = initialiser.values.name
      values[name] = graph.addConstant(name, try file.tensor(initialiser))
    }
    for initialiser in proto.initializer {
      let tensor = try file.tensor(initialiser)
      // What is learned goes by name, as in a state dict; what shapes are computed from is part of the graph.
      let isWeight = tensor.type.dtype.isFloat && tensor.shape.count > 1 && outer == nil
      if isWeight, graph.weights[initialiser.name] == nil {
        values[initialiser.name] = graph.addParameter(initialiser.name, tensor.type)!
        graph.weights[initialiser.name] = tensor
      } else {
        values[initialiser.name] = graph.addConstant(initialiser.name, tensor)
      }
    }
  }

  /// - Throws: ``GraphError`` where there is none of the name.
  func value(_ name: String) throws -> ValueID {
    if let id = values[name] { return id }
    guard let outer else { throw GraphError("\(name) is read before anything computes it") }
    let id = try outer.value(name)
    let captured: ValueID
    if let tensor = outer.known(id) {
      captured = graph.addConstant(name, tensor)
    } else {
      captured = addInput(name, outer.graph[id].type)
      captures.append(name)
    }
    values[name] = captured
    return captured
  }

  private func addInput(_ name: String, _ type: TensorType) -> ValueID {
    let id = graph.addInput(name, type)
    unknown.insert(id)
    return id
  }

  /// Values that depend on an input.
  private var unknown = Set<ValueID>()
  /// Indices of the nodes that compute values, and what has been computed of what is known.
  private var producers: [ValueID: Int] = [:]
  private var computed: [ValueID: Tensor] = [:]

  /// The data of what is known before a run; nil where that depends on an input. What a few nodes compute of weights is computed
  /// now.
  func known(_ id: ValueID) -> Tensor? {
    guard !unknown.contains(id) else { return nil }
    return try? compute(id)
  }

  /// Whether a value is made of known integers and their scales, and of nothing else.
  func isStoredWeight(_ id: ValueID) -> Bool {
    guard let index = producers[id], case let node = graph.nodes[index], node.op is DequantizeLinear else {
      return false
    }
    return node.inputs.allSatisfy { graph.data(of: $0) != nil }
  }

  /// The same of what cannot be left for a run: inputs whose values were given are fixed.
  func needed(_ id: ValueID) -> Tensor? { known(id) ?? (try? compute(id, input: fixedValue)) }

  private func fixedValue(_ id: ValueID) -> Tensor? {
    let name = graph[id].name
    if let outer, captures.contains(name) { return (try? outer.value(name)).flatMap(outer.needed) }
    guard let tensor = given[name] else { return nil }
    fixed.insert(name)
    return tensor
  }

  /// - Parameter input: the value of an input; nil where that is not known.
  private func compute(_ id: ValueID, input: (ValueID) -> Tensor? = { _ in nil }) throws -> Tensor? {
    func there(_ id: ValueID) -> Tensor? {
      if let tensor = graph.data(of: id) ?? computed[id] { return tensor }
      return if case .input = graph[id].source { input(id) } else { nil }
    }
    // Not by recursion: a file may have a chain of any length.
    var (needed, waiting) = (Set<Int>(), [id])
    while let next = waiting.popLast() {
      if there(next) != nil { continue }
      guard let index = producers[next], graph[next].type.shape.count <= Node.mostFolded else { return nil }
      // Of a loop nobody knows how long it takes.
      guard !(graph.nodes[index].op is any ControlOp) else { return nil }
      if needed.insert(index).inserted { waiting += graph.nodes[index].inputs }
    }
    for index in needed.sorted() {
      let node = graph.nodes[index]
      let results = try node.evaluate(
        try node.inputs.map { id in
          guard let tensor = there(id) else { throw MissingWeight(graph[id].name) }
          return tensor
        })
      for (id, tensor) in zip(node.outputs, results) { computed[id] = tensor }
    }
    return there(id)
  }

  // MARK: Nodes

  func read(_ proto: Pacer_Onnx_Node) throws {
    if let function = file.function(proto) { return try inline(function, proto) }
    let node = ONNXNode(proto, in: self)
    guard let build = onnxOps[proto.opType] else { throw Unsupported("Pacer has no \(proto.opType)") }
    let outputs: [ValueID]
    do { outputs = try build(node) } catch let error where !(error is Unsupported || error is BadFile) {
      throw BadFile(file.path, "node \(node.name) (\(proto.opType)): \(error)")
    } catch let error as Unsupported where !error.description.hasPrefix(file.path) {
      throw Unsupported("\(file.path): node \(node.name) (\(proto.opType)): \(error)")
    }
    let named = proto.output.filter { !$0.isEmpty }.count
    guard outputs.count >= (proto.output.lastIndex { !$0.isEmpty } ?? -1) + 1 else {
      throw Unsupported(
        "\(file.path): node \(node.name) (\(proto.opType)): \(named) outputs are read; Pacer computes \(outputs.count)")
    }
    for (name, id) in zip(proto.output, outputs) where !name.isEmpty {
      guard values[name] == nil || outer != nil else { throw BadFile(file.path, "\(name) is computed twice") }
      values[name] = id
    }
  }

  /// A function of the model's own: its nodes in the place of the one that calls it.
  private func inline(_ function: Pacer_Onnx_Function, _ call: Pacer_Onnx_Node) throws {
    depth += 1
    defer { depth -= 1 }
    guard depth < 64 else { throw BadFile(file.path, "function \(function.name) calls itself") }
    // Functions that call each other twice are a few lines, and more nodes than anybody can read.
    inlined += function.node.count
    guard inlined <= Self.mostInlined else { throw BadFile(file.path, "its functions are more than a million nodes") }
    let prefix = (call.name.isEmpty ? call.opType : call.name) + "/"
    var names: [String: String] = [:]
    for (inner, outer) in zip(
      function.input, call.input + [String](repeating: "", count: max(0, function.input.count - call.input.count)))
    {
      names[inner] = outer
    }
    for (inner, outer) in zip(function.output, call.output) { names[inner] = outer }
    func rename(_ name: String) -> String { name.isEmpty ? "" : names[name] ?? prefix + name }
    var attributes: [String: Pacer_Onnx_Attribute] = [:]
    for attribute in function.attributeProto + call.attribute { attributes[attribute.name] = attribute }
    for var node in function.node {
      node.name = prefix + node.name
      node.input = node.input.map(rename)
      node.output = node.output.map(rename)
      node.attribute = try node.attribute.compactMap { attribute in
        if attribute.hasG || !attribute.graphs.isEmpty {
          throw Unsupported("\(file.path): function \(function.name) has bodies of its own")
        }
        guard !attribute.refAttrName.isEmpty else { return attribute }
        guard var given = attributes[attribute.refAttrName] else { return nil }
        given.name = attribute.name
        return given
      }
      try read(node)
    }
  }
  private var depth = 0
  private var inlined = 0
  private static let mostInlined = 1 << 20

  /// Adds a node, or what it computes where all that it reads is known.
  func add(_ name: String, _ op: any Op, _ inputs: [ValueID], stored: StoredType? = nil) throws -> [ValueID] {
    let types = inputs.map { graph[$0].type }
    let isKnown = inputs.allSatisfy { if case .constant = graph[$0].source { true } else { false } }
    if isKnown, !(op is any ControlOp) {
      let results = try op.checkedOutputTypes(for: types)
      if Node.mayFold(types, to: results) {
        let node = Node(name: name, op: op, inputs: inputs, outputs: [], placed: nil, stored: stored)
        let computed = try node.evaluate(inputs.map { graph.data(of: $0)! })
        return computed.enumerated().map { index, tensor in
          graph.addConstant(computed.count == 1 ? name : "\(name).\(index)", tensor)
        }
      }
    }
    let outputs = try graph.addNodes(name, op, inputs, stored: stored)
    let isUnknown = inputs.contains { unknown.contains($0) }
    for id in outputs {
      producers[id] = graph.nodes.count - 1
      if isUnknown { unknown.insert(id) }
    }
    return outputs
  }
}
