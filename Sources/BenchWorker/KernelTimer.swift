import BenchProtocol
import BenchStatistics
import Pacer

/// Times the kernels of a graph one by one, each in a session of its own: what it computes on is in cache, as far as it
/// fits. Nodes that run the same kernel on the same shapes are timed once.
struct KernelTimer {
  let job: Job
  let placer: Placer

  /// - Parameter placement: of the graph's nodes, in order.
  func times(of graph: Graph, _ placement: [Placement]) throws -> [WorkerLine.NodeTime] {
    var nodes: [WorkerLine.NodeTime] = []
    var places: [String: Int] = [:]
    for (node, place) in zip(graph.nodes, placement) where place.kernel != "view" {
      let types = graph.inputTypes(of: node)
      // How large those are is known in a whole run alone.
      if types.contains(where: \.isUpperBound) { continue }
      let key =
        "\(place.backend) \(node.op.name) \(node.op.attributes) \(types) \(node.outputs.map { graph[$0].type })"
      if let known = places[key] {
        nodes[known].count! += 1
        continue
      }
      places[key] = nodes.count
      var time = WorkerLine.NodeTime(
        node: node.name, op: node.op.name, kernel: place.kernel, timeNs: try self.time(graph.alone(node)))
      time.macs = graph.cost(of: node).macs
      time.bytes = graph.bytes(of: node)
      time.count = 1
      let weights = node.op.parameterInputs.filter { $0 < types.count && types[$0].shape.rank > 1 }
      let filters = weights.map { " ∗ \(types[$0].shape)" }.joined()
      time.shapes = "\(types[0].shape)\(filters) → \(graph[node.outputs[0]].type.shape)"
      nodes.append(time)
    }
    return nodes
  }

  private func time(_ graph: Graph) throws -> Int {
    let session = try placer.prepare(graph).makeSession()
    for input in session.inputs where input.type.dtype.isFloat {
      let numbers = (0..<input.shape.count).map { Double($0 % 17) / 16 - 0.5 }
      input.write(try Tensor(input.shape, numbers, input.type.dtype).converted(to: input.format))
    }
    let sampler = Sampler(job, work: session.run)
    let (_, iterations) = try sampler.warmUp()
    return Int(median(try sampler.time(iterations).latenciesNs.map(Double.init)))
  }
}
