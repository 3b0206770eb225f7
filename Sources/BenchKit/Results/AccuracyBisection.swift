import Foundation
import GraphCore
import RuntimeCore
import TensorCore

/// Where a backend's numbers leave those of the reference: every node's output, held against the scalar oracle's.
public struct AccuracyBisection: Codable, Sendable {
  /// One node's output on the backend.
  public struct NodeOutput: Codable, Sendable {
    public var node: String
    public var op: String
    public var kernel: String
    /// Largest difference from the oracle over its largest value, of the op alone on the oracle's inputs.
    public var alone: Double
    /// The same in the whole network, where the differences of all ops before it have grown.
    public var inNetwork: Double
    public var hasNaN: Bool
    /// Zero everywhere, where the oracle is not.
    public var isZero: Bool
    /// Whether a second run gave the same bits.
    public var repeats: Bool
  }

  public var cell: Cell
  public var device: String
  public var tolerance: Double
  /// In the order in which they run.
  public var nodes: [NodeOutput]
  /// How far the output of the graph as it is usually run is off: with every output kept, tensors share no memory.
  public var asRun: Double
  /// How much more than an op alone its output in the network may be off: differences grow from op to op, in
  /// MobileNetV2 about twentyfold. A wrong one is off by everything.
  static let growth = 50.0

  /// - Parameter tolerance: of an op alone; nil for what op cases are held to: 1e-5 of the largest, in fp16 1e-2.
  /// - Throws: ``UserError`` where the backend cannot run the cell.
  package init(_ catalog: Catalog, _ cell: Cell, tolerance: Double?) throws {
    let backend = try catalog.backend(cell.backend)
    let options = cell.prepareOptions
    let info: DeviceInfo
    switch backend.availability(options) {
    case .available(let device): info = device
    case .unavailable(let reason): throw UserError("backend \(backend.name) is unavailable: \(reason)")
    }
    let (graph, input) = try ModelInput(cell, catalog.model(cell.model)).load()
    var optimised = try Pipeline(catalog.passes(cell.passes), checksNumbers: false)
      .run(on: graph, for: backend.target(options)).graph
    let usual = try backend.prepare(optimised, options).makeSession()
    usual.inputs[0].write(input.values)
    for _ in 0..<2 { try usual.run() }
    let output = optimised.outputs[0]
    optimised.setOutputs(optimised.nodes.map { $0.outputs[0] })
    let executable = try backend.prepare(optimised, options)
    let session = try executable.makeSession()
    session.inputs[0].write(input.values)
    func outputs() throws -> [Tensor] {
      try session.run()
      return try session.outputs.map { try Tensor($0.shape, $0.values) }
    }
    let (first, second) = (try outputs(), try outputs())

    let kernels = Dictionary(executable.placement.map { ($0.node, $0.kernel) }) { first, _ in first }
    var nodes: [NodeOutput] = []
    var computed = Dictionary(uniqueKeysWithValues: zip(optimised.inputs, [input]))
    _ = try optimised.evaluate([input]) { node, outputs in
      let index = nodes.count
      let (values, expected) = (first[index].values, try outputs[0].converted(to: .nchw))
      let alone = try Self.run(node, of: optimised, computed, backend, options)
      computed[node.outputs[0]] = outputs[0]
      nodes.append(
        NodeOutput(
          node: node.name, op: type(of: node.op).name, kernel: kernels[node.name] ?? "–",
          alone: Self.error(alone, expected), inNetwork: Self.error(first[index], expected),
          hasNaN: (alone.values + values).contains { !$0.isFinite },
          isZero: values.allSatisfy { $0 == 0 } && !expected.values.allSatisfy { $0 == 0 },
          repeats: zip(values, second[index].values).allSatisfy { $0.bitPattern == $1.bitPattern }))
    }
    guard let expected = computed[output] ?? optimised.data(of: output) else {
      throw GraphError("the oracle did not compute the output")
    }
    (self.cell, device, self.nodes) = (cell, info.name, nodes)
    self.tolerance = tolerance ?? Conformance.tolerance(options.precision)
    asRun = Self.error(usual.outputs[0], expected)
  }

  /// One node on the backend, its activations those of the oracle.
  private static func run(
    _ node: Node, of graph: Graph, _ computed: [ValueID: Tensor], _ backend: any Backend, _ options: PrepareOptions
  ) throws -> Tensor {
    var single = Graph(name: node.name)
    var arguments: [Tensor] = []
    let inputs = try node.inputs.map { id in
      if let tensor = graph.data(of: id) { return single.addConstant(graph[id].name, tensor) }
      guard let tensor = computed[id] else { throw GraphError("\(graph[id].name) was not computed") }
      arguments.append(tensor)
      return single.addInput(graph[id].name, tensor.type)
    }
    single.setOutputs([try single.addNode(node.name, node.op, inputs)])
    let session = try backend.prepare(single, options).makeSession()
    for (tensor, argument) in zip(session.inputs, arguments) {
      _ = tensor.floats.update(fromContentsOf: argument.floats)
    }
    try session.run()
    return session.outputs[0]
  }

  /// Largest difference over the largest expected value; a huge number where a value is none, as JSON has no NaN.
  private static func error(_ tensor: Tensor, _ expected: Tensor) -> Double {
    let error = tensor.relativeError(to: expected)
    return error.isFinite ? error : .greatestFiniteMagnitude
  }

  public func isWrong(_ node: NodeOutput) -> Bool {
    node.hasNaN || node.isZero || !node.repeats || isOff(node)
  }
  private func isOff(_ node: NodeOutput) -> Bool {
    node.alone > tolerance || node.inNetwork > Self.growth * tolerance
  }
  /// The first node whose output is not what it should be: its kernel is the one to look at.
  public var culprit: NodeOutput? { nodes.first(where: isWrong) }

  /// Whether only the network as it is usually run is wrong.
  public var sharesWrongly: Bool { culprit == nil && asRun > Self.growth * tolerance }
  public var isRight: Bool { culprit == nil && !sharesWrongly }

  public var report: Document {
    var document = Document("First divergence from the reference: \(cell.model) on \(cell.backend)")
    if sharesWrongly {
      document.text(
        "Every op is right, alone and with all outputs kept, but the network as it is usually run is "
          + "\(scientific(asRun)) off: look at tensors that share memory, and try `--allocator system`.")
    } else if let culprit {
      var faults: [String] = []
      if culprit.hasNaN { faults.append("it has NaN or infinity") }
      if culprit.isZero { faults.append("it is zero everywhere") }
      if !culprit.repeats { faults.append("a second run gave other bits") }
      if culprit.alone > tolerance {
        faults.append("alone it is \(scientific(culprit.alone)) off, where \(scientific(tolerance)) is allowed")
      } else if isOff(culprit) {
        faults.append(
          "alone it is right, in the network \(scientific(culprit.inNetwork)) off: look at the order in which it runs, not at it"
        )
      }
      document.text(
        "First wrong: `\(culprit.node)` (\(culprit.op), kernel \(culprit.kernel)): \(faults.joined(separator: "; ")).")
    } else {
      let worst = nodes.map(\.alone).max() ?? 0
      let within = nodes.map(\.inNetwork).max() ?? 0
      document.text(
        "Each of the \(nodes.count) ops alone is within \(scientific(tolerance)) of the reference (largest difference "
          + "\(scientific(worst))) and repeats to the bit. In the whole network, where differences add up and "
          + "\(scientific(Self.growth * tolerance)) is allowed, the largest of a node is \(scientific(within)), and the "
          + "network's output as it is usually run is \(scientific(asRun)) off.")
    }
    document.text("Device: \(device). Errors are relative to the largest value of the scalar oracle's output.")
    document.table(
      Table(
        ["node", "op", "kernel", "alone", "in the network", ""], left: 3,
        nodes.map { node in
          let marks = [
            node.hasNaN ? "no number" : nil, node.isZero ? "all zero" : nil, node.repeats ? nil : "not repeatable",
            isOff(node) ? "off" : nil,
          ]
          return [
            node.node, node.op, node.kernel, scientific(node.alone), scientific(node.inNetwork),
            marks.compactMap { $0 }.joined(separator: ", "),
          ]
        }))
    return document
  }

  private func scientific(_ value: Double) -> String { String(format: "%.1e", value) }
}
