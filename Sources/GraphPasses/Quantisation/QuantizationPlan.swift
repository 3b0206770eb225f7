import GraphCore
import TensorCore

/// Which nodes compute on integers, and which values are stored as such.
struct QuantizationPlan {
  /// What convolutions and linear layers compute.
  var products: Set<ValueID> = []
  /// In the order in which they are computed.
  var stored: [ValueID] = []
  /// Those that a node of their own makes integers of, as something else needs the numbers.
  var requantized: Set<ValueID> = []
  /// What has the type of what it is made of.
  var followers: [ValueID: ValueID] = [:]
  /// Concatenations of integers.
  private var joined: Set<ValueID> = []
  /// By what one of those alone reads, that one: it is rounded as the whole.
  private var parts: [ValueID: ValueID] = [:]

  init(_ graph: Rewriter, _ options: QuantizeInt8.Options) {
    var needed: Set<ValueID> = []
    let handles = graph.handles
    /// Ops that take tensors of any type would hand the integers on.
    func isReadAsNumbers(_ id: ValueID) -> Bool {
      graph.outputs.contains(id)
        || graph.users(of: id).contains { user in
          let node = graph[user]!
          guard case .any = node.op.elementTypes else { return false }
          return !node.outputs.allSatisfy {
            joined.contains($0) || Self.follows(node) && needed.contains($0) && !graph.outputs.contains($0)
          }
        }
    }
    func takesIntegers(_ handle: Rewriter.Handle) -> Bool {
      let node = graph[handle]!
      return Self.carries(node) || node.outputs.contains { products.contains($0) || joined.contains($0) }
    }
    for handle in handles.reversed() {
      let node = graph[handle]!
      if Self.multiplies(node, in: graph), !options.kept.contains(node.name) {
        products.formUnion(node.outputs)
        needed.insert(node.inputs[0])
      } else if Self.carries(node), !options.kept.contains(node.name), let output = node.outputs.first,
        needed.contains(output), !Self.follows(node) || !graph.outputs.contains(output)
      {
        for id in node.inputs where Self.isNumbers(graph[id].type) && graph.data(of: id) == nil { needed.insert(id) }
      } else if node.op is Concat, node.stored == nil, !options.kept.contains(node.name),
        needed.contains(node.outputs[0]),
        node.inputs.allSatisfy({ Self.isNumbers(graph[$0].type) }), !isReadAsNumbers(node.outputs[0]),
        graph.users(of: node.outputs[0]).allSatisfy(takesIntegers)
      {
        joined.insert(node.outputs[0])
        for id in node.inputs where graph.data(of: id) == nil { needed.insert(id) }
      }
    }
    func isProduct(_ handle: Rewriter.Handle) -> Bool { graph[handle]!.outputs.contains(where: products.contains) }
    // Of an addition, the later convolution adds the other side.
    var sums: Set<ValueID> = []
    let order = Dictionary(uniqueKeysWithValues: handles.enumerated().map { ($1, $0) })
    for handle in handles {
      let node = graph[handle]!
      guard Binary.computes(.add, node.op), node.inputs[0] != node.inputs[1],
        graph[node.inputs[0]].type == graph[node.inputs[1]].type
      else { continue }
      guard let last = node.inputs.compactMap({ graph.producer(of: $0) }).max(by: { order[$0]! < order[$1]! }),
        isProduct(last), let op = graph[last]!.op as? Conv2D, op.epilogue == nil,
        graph.onlyUser(of: graph[last]!.outputs[0]) == handle,
        !op.isDepthwise(graph[graph[last]!.inputs[0]].type.shape, graph[graph[last]!.inputs[1]].type.shape)
      else { continue }
      sums.insert(graph[last]!.outputs[0])
    }
    for input in graph.inputs where needed.contains(input) {
      stored.append(input)
      requantized.insert(input)
    }
    for handle in handles {
      let node = graph[handle]!
      for id in node.outputs where needed.contains(id) && !sums.contains(id) {
        if Self.follows(node), !graph.outputs.contains(id), let source = node.inputs.first,
          stored.contains(source) || followers[source] != nil
        {
          followers[id] = source
          continue
        }
        stored.append(id)
        let isAlone =
          graph.users(of: id).allSatisfy(takesIntegers) && !graph.outputs.contains(id)
        if !(isProduct(handle) || Self.carries(node)) && !isAlone || !(Self.stores(node) || joined.contains(id))
          || isReadAsNumbers(id)
        {
          requantized.insert(id)
        } else if let user = graph.onlyUser(of: id), let whole = graph[user]!.outputs.first, joined.contains(whole) {
          parts[id] = whole
        }
      }
    }
  }

  private static func isNumbers(_ type: TensorType) -> Bool {
    type.dtype == .float32 && type.quantization == nil && !type.isUpperBound
  }

  /// A convolution or linear layer whose weights are known.
  static func hasKnownWeights(_ node: Node, in graph: Rewriter) -> Bool {
    (node.op is Linear || (node.op as? Conv2D).map({ $0.algorithm == .direct && !$0.multipliesFloat16 }) == true)
      && node.stored == nil && node.inputs.count <= 3
      && node.inputs.allSatisfy({ isNumbers(graph[$0].type) })
      && graph.data(of: node.inputs[0]) == nil
      && node.inputs[1...].allSatisfy({ graph.data(of: $0)?.format == .nchw })
  }

  /// One that does no more to its sums than hold them within limits.
  private static func multiplies(_ node: Node, in graph: Rewriter) -> Bool {
    guard hasKnownWeights(node, in: graph), let op = node.op as? any FusingOp else { return false }
    switch op.epilogue {
    case nil, .clamp, .clampChannels: return true
    default: return false
    }
  }

  /// What hands numbers on, more or less as they are.
  static func carries(_ node: Node) -> Bool {
    guard node.stored == nil, node.outputs.count == 1 else { return false }
    return switch node.op {
    case is Activation, is GlobalAveragePool, is AveragePool2D, is Resize: true
    case let op as Binary: op.function == .add || op.function == .multiply
    default: follows(node)
    }
  }

  /// What gives some of its input's numbers and no others.
  static func follows(_ node: Node) -> Bool {
    switch node.op {
    case is Reshape, is Dropout, is Transpose, is MaxPool2D: true
    default: false
    }
  }

  /// Whether its result can be stored as integers.
  private static func stores(_ node: Node) -> Bool {
    guard node.stored == nil, node.outputs.count == 1 else { return false }
    if case .any = node.op.elementTypes { return false }
    return true
  }

  /// What each value is stored as, from what those that are observed are.
  func types(_ ranges: [ValueID: StoredType], in graph: Graph) -> [ValueID: StoredType] {
    var types = ranges
    // Of a concatenation within another the type is known once the outer one's is.
    for node in graph.nodes.reversed() {
      for id in node.outputs { if let whole = parts[id] { types[id] = types[whole] } }
    }
    for node in graph.nodes {
      for id in node.outputs { if let source = followers[id] { types[id] = types[source] } }
    }
    return types
  }

  /// What the weights of convolutions and linear layers become, by what they compute.
  /// - Parameter types: of all values.
  /// - Throws: ``GraphError`` where a weight is no finite number.
  func weights(
    _ types: [ValueID: StoredType], in graph: Graph, _ options: QuantizeInt8.Options
  ) throws -> [ValueID: IntegerWeights] {
    var made: [ValueID: IntegerWeights] = [:]
    for node in graph.nodes where node.outputs.contains(where: products.contains) {
      guard let input = types[node.inputs[0]]?.quantization, let weight = graph.data(of: node.inputs[1]) else {
        continue
      }
      let conv = node.op as? Conv2D
      let isDepthwise = conv?.isDepthwise(graph[node.inputs[0]].type.shape, weight.shape) == true
      made[node.outputs[0]] = try IntegerWeights(
        node, weight, bias: node.inputs.count > 2 ? graph.data(of: node.inputs[2]) : nil, input: input,
        bits: isDepthwise ? 8 : options.weightBits, scalesChannels: options.scalesChannels)
    }
    return made
  }

  /// - Parameters:
  ///   - types: of all values.
  ///   - shifts: what the products with rounded weights are larger by, in the mean, for each output.
  func apply(
    to graph: inout Rewriter, _ types: [ValueID: StoredType], _ weights: [ValueID: IntegerWeights],
    shifts: [ValueID: [Float]]
  ) throws -> Int {
    var rewrites = 0
    // Nodes that make integers of what others need as numbers.
    var integers: [ValueID: ValueID] = [:]
    func source(_ id: ValueID, in graph: inout Rewriter, before handle: Rewriter.Handle?) throws -> ValueID {
      if let made = integers[id] { return made }
      let made = try graph.insert(
        graph[id].name + ".int8", Requantize(), [id], before: handle, placed: nil, stored: types[id])
      integers[id] = made
      rewrites += 1
      return made
    }
    for handle in graph.handles {
      let before = graph[handle]!
      let isProduct = before.outputs.contains(where: products.contains)
      if let output = before.outputs.first, joined.contains(output), let type = types[output] {
        rewrites += try graph.giveParts(of: handle, type) {
          ($0, isThat: !requantized.contains($0) && types[$0] == type)
        }
      } else if isProduct
        || Self.carries(before) && before.outputs.contains(where: { types[$0] != nil && !requantized.contains($0) })
      {
        for id in before.inputs where requantized.contains(id) {
          let narrow = try source(id, in: &graph, before: handle)
          graph.replaceUses(of: id, with: narrow, in: handle)
        }
      }
      if isProduct, let weights = weights[before.outputs[0]] {
        try quantise(handle, in: &graph, weights, shifts[before.outputs[0]])
        rewrites += 1
      }
      let node = graph[handle]!
      if let id = node.outputs.first, let type = types[id], !requantized.contains(id), node.outputs.count == 1,
        node.stored == nil
      {
        if case .any = node.op.elementTypes {} else { graph.update(handle) { $0.stored = type } }
        rewrites += 1
      }
      try graph.inferTypes(of: handle)
    }
    return rewrites
  }

  /// Gives a convolution or linear layer weights and a bias of integers.
  private func quantise(
    _ handle: Rewriter.Handle, in graph: inout Rewriter, _ weights: IntegerWeights, _ shift: [Float]?
  ) throws {
    let node = graph[handle]!
    var inputs = node.inputs
    // What several nodes read is another for each: their inputs have scales of their own.
    func name(_ id: ValueID, _ type: String) -> String {
      graph[id].name + "." + type + (graph.uses(of: id) > 1 ? "." + node.name : "")
    }
    inputs[1] = graph.addWeight(name(inputs[1], "int8"), weights.weight, like: inputs[1])
    let bias = inputs.count > 2 ? graph.data(of: inputs[2])?.values : nil
    if let values = bias ?? shift.map({ [Float](repeating: 0, count: $0.count) }) {
      let moved = shift.map { zip(values, $0).map { $0 - $1 } } ?? values
      let tensor = try weights.bias(moved)
      if inputs.count > 2 {
        inputs[2] = graph.addWeight(name(inputs[2], "int32"), tensor, like: inputs[2])
      } else {
        inputs.append(graph.addWeight(node.name + ".bias.int32", tensor, like: node.inputs[1]))
      }
    }
    graph.update(handle) { $0.inputs = inputs }
  }
}

extension Rewriter {
  /// Gives a concatenation parts that are integers of one type.
  /// - Parameter part: what a part is read from, and whether it is that already.
  /// - Returns: nodes that are new.
  mutating func giveParts(
    of handle: Handle, _ type: StoredType, _ part: (ValueID) -> (source: ValueID, isThat: Bool)
  ) throws -> Int {
    let node = self[handle]!
    var count = 0
    for (place, id) in node.inputs.enumerated() where !node.inputs[..<place].contains(id) {
      let (source, isThat) = part(id)
      var integers = source
      if !isThat {
        integers = try insert(
          "\(self[id].name).\(node.name)", Requantize(), [source], before: handle, placed: nil, stored: type)
        count += 1
      }
      replaceUses(of: id, with: integers, in: handle)
    }
    return count
  }
}
