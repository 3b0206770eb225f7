import GraphCore
import RuntimeCore
import TensorCore

/// Android's choice and order (`ExecutionPlan.cpp` of API level 30): each operation on the driver that promises the best performance for
/// the type of its first operand, ties to the processor; then queues, the last one first, each drained into one step. It knows neither
/// transfers nor the cost of a step.
struct NNAPIPlacement: PlacementPolicy {
  let preference: ExecutionPreference
  let isRelaxed: Bool
  /// Gets all that it takes, whatever others promise; nil for none.
  var sole: String?

  func choose(
    _ graph: Graph, among backends: [any Backend], _ options: PrepareOptions, isFinal: Bool
  ) -> [PlacementChoice] {
    let devices = backends.map { $0 as? any NNAPIDevice }
    // Each driver is asked once about the whole model.
    let answers = zip(backends, devices).map { backend, device in
      device?.supportedOperations(graph, options, checksLayout: isFinal)
        ?? graph.nodes.map { backend.support(for: $0, in: graph, options).refusal }
    }
    return graph.nodes.enumerated().map { position, node in
      let refusals = zip(backends, answers).compactMap { backend, answer in
        // That nodes are no control flow is nothing to tell of.
        backend is InterpreterDevice && !(node.op is any ControlOp)
          ? nil : answer[position].map { Placement.Refusal(backend: backend.name, reason: $0) }
      }
      if let placed = node.placed, answers.indices.contains(placed), answers[placed][position] == nil {
        return PlacementChoice(placed, refusals: refusals)
      }
      let processor = devices.firstIndex { $0?.isProcessor == true }
      let interpreter = backends.firstIndex { $0 is InterpreterDevice }
      let types = (node.inputs + node.outputs).map { graph[$0].type }
      if node.op is any ControlOp, types.contains(where: \.isUpperBound) {
        // Of sizes that are not known the processor alone makes something.
        let isTaken = processor.map { answers[$0][position] == nil } ?? false
        return PlacementChoice(isTaken ? processor! : backends.count - 1, refusals: refusals)
      }
      let best = bestDevice(for: node, in: graph, devices) { answers[$0][position] == nil }
      if node.op is any ControlOp, best == nil || best == processor, let interpreter,
        answers[interpreter][position] == nil
      {
        // Its branches may be a driver's.
        return PlacementChoice(interpreter, refusals: refusals)
      }
      // What nobody takes is the last one's, which says why not; of an interpreter that would say nothing.
      let last = interpreter == backends.count - 1 ? processor : nil
      return PlacementChoice(best ?? last ?? backends.count - 1, refusals: refusals)
    }
  }

  /// The driver with the lowest ratio; of those alike the first, or the processor. Nil where none takes the node.
  private func bestDevice(
    for node: Node, in graph: Graph, _ devices: [(any NNAPIDevice)?], isSupported: (Int) -> Bool
  ) -> Int? {
    var best: (device: Int, perf: Float)?
    for (index, device) in devices.enumerated() {
      guard let device, isSupported(index) else { continue }
      if device.name == sole { return index }
      let perf = perf(of: node, in: graph, on: device.profile.capabilities)
      guard let found = best else {
        best = (index, perf)
        continue
      }
      if perf < found.perf || perf == found.perf && device.isProcessor { best = (index, perf) }
    }
    return best?.device
  }

  /// What a driver promises of a node, over what the processor takes.
  func perf(of node: Node, in graph: Graph, on capabilities: Capabilities) -> Float {
    func sum(_ body: GraphBody) -> Float {
      body.graph.nodes.reduce(0) { $0 + perf(of: $1, in: body.graph, on: capabilities) }
    }
    switch node.op {
    case let op as If:
      return (capabilities.if ?? .cpu).perf(preference) + 0.5 * (sum(op.then) + sum(op.otherwise))
    // Condition and body are one graph here.
    case let op as any ControlOp:
      return (capabilities.while ?? .cpu).perf(preference) + op.bodies.reduce(0) { $0 + sum($1) }
    default:
      let type = node.inputs.first.flatMap { OperandType(graph.nnapiType(of: $0)) } ?? .tensorFloat32
      return capabilities.performance(type, isRelaxed: isRelaxed).perf(preference)
    }
  }

  func order(_ graph: Graph, placed: [Int]) -> [Int] { Dependencies(graph).order(placed) }
}

/// Which nodes of a graph wait for which.
struct Dependencies {
  /// Of each node how many values it waits for, and the nodes that wait for each that it computes.
  private let waits: [Int]
  private let users: [[Int]]

  init(_ graph: Graph) {
    waits = graph.nodes.map { node in Set(node.inputs).count { graph.producer(of: $0) != nil } }
    users = graph.nodes.map { node in node.outputs.flatMap { graph.users(of: $0) } }
  }

  /// NNAPI's order of nodes on devices: a queue for each device, the last one first, each drained into one step.
  func order(_ placed: [Int]) -> [Int] {
    guard let most = placed.max(), placed.contains(where: { $0 != most }) else { return Array(placed.indices) }
    var waits = waits
    var queues = [[Int]](repeating: [], count: most + 1)
    var order: [Int] = []
    for node in waits.indices where waits[node] == 0 { queues[placed[node]].append(node) }
    while let device = queues.lastIndex(where: { !$0.isEmpty }) {
      var next = 0
      while next < queues[device].count {
        let node = queues[device][next]
        next += 1
        order.append(node)
        for user in users[node] {
          waits[user] -= 1
          if waits[user] == 0 { queues[placed[user]].append(user) }
        }
      }
      queues[device] = []
    }
    return order
  }
}

/// A driver, or NNAPI's own processor code, as a backend among others.
protocol NNAPIDevice: Backend {
  var profile: DriverProfile { get }
  /// What computes underneath.
  var computing: any Backend { get }
  /// A reason for which it refuses nodes that is taken for none, to see what it costs.
  var forgiven: String? { get }
}

extension NNAPIDevice {
  /// Whether it is what NNAPI falls back on, which wins ties.
  var isProcessor: Bool { profile.name == DriverProfile.reference.name }

  var name: String { profile.name }

  func support(for node: Node, in graph: Graph, _ options: PrepareOptions) -> Support {
    support(for: node, in: graph, options, checksLayout: true)
  }

  private func support(
    for node: Node, in graph: Graph, _ options: PrepareOptions, checksLayout: Bool
  ) -> Support {
    if let reason = profile.refusal(of: node, in: graph, checksLayout: checksLayout, forgiving: forgiven) {
      return .unsupported(reason: reason)
    }
    return computing.support(for: node, in: graph, profile.own(options))
  }

  func target(_ options: PrepareOptions) throws -> any TargetTraits { try computing.target(profile.own(options)) }

  /// Why it does not take each node of a model; nil where it does.
  /// - Parameter checksLayout: false where images do not lie yet as they will.
  func supportedOperations(_ graph: Graph, _ options: PrepareOptions, checksLayout: Bool) -> [String?] {
    var taken = 0
    return graph.nodes.map { node in
      if let reason = support(for: node, in: graph, options, checksLayout: checksLayout).refusal { return reason }
      if let most = profile.limits.maxNodes, taken == most { return "\(profile.name) takes \(most) nodes at most" }
      taken += 1
      return nil
    }
  }
}

extension Backend {
  /// - Throws: ``Unsupported`` naming the first of some nodes that it does not run.
  func check(_ nodes: [Int], of graph: Graph, _ options: PrepareOptions) throws {
    for node in nodes.map({ graph.nodes[$0] }) {
      if let reason = support(for: node, in: graph, options).refusal { throw Unsupported("\(node.name): \(reason)") }
    }
  }
}
