import Foundation
import GraphCore
import TensorCore

/// Builds a graph of ONNX from one of ours, a model's or a body's.
final class ONNXGraphWriter {
  let graph: Graph
  let file: ONNXFileWriter
  private var output = Pacer_Onnx_Graph()
  private var names: [ValueID: String] = [:]
  /// Whether it is an op's.
  private let isBody: Bool
  /// Inputs that are values of the graph around it.
  private let captured: Set<ValueID>

  /// - Parameter captures: what a body's inputs at the end are called in the graph around it; nil for a model's graph.
  init(_ graph: Graph, in file: ONNXFileWriter, captures: [String]? = nil) {
    (self.graph, self.file, isBody) = (graph, file, captures != nil)
    let captures = captures ?? []
    let ids = graph.inputs.suffix(captures.count)
    captured = Set(ids)
    for (id, name) in zip(ids, captures) { names[id] = name }
  }

  func write() throws -> Pacer_Onnx_Graph {
    output.name = graph.name
    // What callers name comes first: where a name is there twice, others change.
    for id in graph.inputs + graph.outputs { _ = name(of: id) }
    output.input = try graph.inputs.filter { !captured.contains($0) }.map { try info($0, name(of: $0)) }
    for node in graph.nodes { try add(node) }
    var seen = Set<ValueID>()
    for id in graph.outputs {
      var name = name(of: id)
      let isComputed = if case .node = graph[id].source { true } else { false }
      if !isComputed || seen.contains(id) {
        try addInitialiser(id)
        let copy = file.fresh(name + ".output")
        append("Identity", [name], [copy], [])
        name = copy
      }
      seen.insert(id)
      output.output.append(try info(id, name))
    }
    removeUnused()
    return output
  }

  func name(of id: ValueID) -> String {
    if let name = names[id] { return name }
    let name = file.fresh(graph[id].name)
    names[id] = name
    return name
  }

  // MARK: Nodes

  private func add(_ node: Node) throws {
    guard let translation = onnxTranslations[ObjectIdentifier(type(of: node.op))] else {
      throw Unsupported("\(node.name): ONNX export knows no \(node.op.name)")
    }
    let types = graph.inputTypes(of: node)
    for id in node.inputs { try addInitialiser(id) }
    for type in types + node.outputs.map({ graph[$0].type }) where type.quantization != nil {
      throw Unsupported("\(node.name): ONNX export writes no tensor like \(type), which stands for other numbers")
    }
    let names = node.inputs.map(name(of:))
    let plain = ONNXNodeWriter(node, in: self, inputs: names, types: types, results: node.outputs.map(name(of:)))
    func isNarrow(_ dtype: DType?) -> Bool { dtype == .float16 || dtype == .bfloat16 }
    guard !node.op.elementTypes.isAny, isNarrow(node.stored?.dtype) || types.contains(where: { isNarrow($0.dtype) })
    else {
      return try translation(node.op, plain)
    }
    // One operator of ONNX stores what it computes in its inputs' type, as ours does. Several would round in between.
    let storesOwn =
      node.stored == .float16 || !plain.results.indices.contains { graph[node.outputs[$0]].type.dtype.isFloat }
    if storesOwn, types.allSatisfy({ $0.dtype == .float16 || !$0.dtype.isStoredFloat }) {
      let (nodes, initialisers, mark) = (output.node.count, output.initializer.count, file.mark)
      try translation(node.op, plain)
      if output.node.count == nodes + 1 { return }
      output.node.removeSubrange(nodes...)
      output.initializer.removeSubrange(initialisers...)
      file.goBack(to: mark)
    }
    var wide = plain
    for index in wide.inputs.indices where isNarrow(types[index].dtype) {
      wide.inputs[index] = plain.cast(names[index], to: .float32, "input\(index)")
      wide.types[index] = types[index].widened
    }
    if let stored = node.stored {
      wide.results = plain.results.map { file.fresh("\($0).wide") }
      try translation(node.op, wide)
      for (result, wide) in zip(plain.results, wide.results) {
        append("Cast", [wide], [result], [.integer("to", Int(stored.dtype.onnx))])
      }
    } else {
      try translation(node.op, wide)
    }
  }

  func append(_ type: String, _ inputs: [String], _ outputs: [String], _ attributes: [Pacer_Onnx_Attribute]) {
    var node = Pacer_Onnx_Node()
    node.opType = type
    node.name = outputs.first { !$0.isEmpty } ?? type
    node.input = Array(inputs[...(inputs.lastIndex { !$0.isEmpty } ?? -1)])
    node.output = outputs
    node.attribute = attributes
    output.node.append(node)
  }

  /// Drops nodes and constants that nothing reads.
  private func removeUnused() {
    var read = Set(output.output.map(\.name))
    var kept: [Pacer_Onnx_Node] = []
    func names(in body: Pacer_Onnx_Graph) -> [String] {
      body.output.map(\.name) + body.node.flatMap { $0.input + $0.attribute.flatMap { names(in: $0.g) } }
    }
    for node in output.node.reversed() where node.output.contains(where: read.contains) {
      read.formUnion(node.input)
      for attribute in node.attribute where attribute.hasG { read.formUnion(names(in: attribute.g)) }
      kept.append(node)
    }
    output.node = kept.reversed()
    output.initializer.removeAll { !read.contains($0.name) }
  }

  // MARK: Constants

  private func addInitialiser(_ id: ValueID) throws {
    guard !isWritten.contains(id) else { return }
    switch graph[id].source {
    case .input, .node: return
    case .constant, .parameter:
      guard let tensor = graph.data(of: id) else { throw MissingWeight(graph[id].name, graph[id].type) }
      isWritten.insert(id)
      try addConstant(name(of: id), tensor)
    }
  }
  private var isWritten: Set<ValueID> = []

  func addConstant(_ name: String, _ tensor: Tensor) throws {
    guard tensor.type.quantization == nil else {
      throw Unsupported("\(name): ONNX export writes no tensor like \(tensor.type), which stands for other numbers")
    }
    let dense = try tensor.converted(to: .nchw)
    var initialiser = Pacer_Onnx_Tensor()
    initialiser.name = name
    initialiser.dims = dense.shape.extents.map(Int64.init)
    initialiser.dataType = dense.type.dtype.onnx
    initialiser.rawData = Data(bytes: dense.storage.pointer, count: dense.type.byteCount)
    withExtendedLifetime(dense) {}
    output.initializer.append(initialiser)
  }

  // MARK: Types

  private func info(_ id: ValueID, _ name: String) throws -> Pacer_Onnx_ValueInfo {
    let type = graph[id].type
    guard type.quantization == nil else {
      throw Unsupported("\(name): ONNX export writes no tensor like \(type), which stands for other numbers")
    }
    var info = Pacer_Onnx_ValueInfo()
    info.name = name
    info.type.tensorType.elemType = type.dtype.onnx
    // Also of no axes: without a shape its rank would be anything.
    info.type.tensorType.shape = Pacer_Onnx_TensorShape()
    info.type.tensorType.shape.dim = type.shape.extents.enumerated().map { axis, extent in
      var dimension = Pacer_Onnx_TensorShape.Dimension()
      // A body takes its inputs as they come, of any extents up to those it was made for.
      if isBody { return dimension }
      if type.isUpperBound { dimension.dimParam = "\(name).\(axis)" } else { dimension.dimValue = Int64(extent) }
      return dimension
    }
    return info
  }
}
