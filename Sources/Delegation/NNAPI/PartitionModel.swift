import GraphCore
import RuntimeCore
import TensorCore

/// What partitions of a graph cost by measured times, and which one costs least.
struct PartitionModel {
  private let graph: Graph
  private let devices: [MeasuredPartition.Device]
  private let byteNs: Double
  /// The order in which nodes run, of their devices.
  private let order: ([Int]) -> [Int]
  /// Of each value that is given or computed: the node that computes it, its bytes, the nodes that read it, and whether it is a result.
  private let values: [(producer: Int?, byteCount: Int, users: [Int], isResult: Bool)]

  init(
    _ graph: Graph, _ devices: [MeasuredPartition.Device], byteNs: Double, order: @escaping (Graph, [Int]) -> [Int]
  ) {
    (self.graph, self.devices, self.byteNs) = (graph, devices, byteNs)
    self.order = { order(graph, $0) }
    let results = Set(graph.outputs)
    values = (graph.inputs + graph.nodes.flatMap(\.outputs)).map { id in
      (graph.producer(of: id), graph[id].type.storageByteCount, graph.users(of: id), results.contains(id))
    }
  }

  /// - Parameter placed: for each node the position of its device.
  /// - Returns: nil where a device does not take a node that is placed on it.
  func cost(_ placed: [Int]) -> MeasuredPartition.Cost? {
    var cost = MeasuredPartition.Cost(nodesNs: 0, executions: 0, executionsNs: 0, copiedBytes: 0, copiesNs: 0)
    for (node, device) in placed.enumerated() {
      guard let time = devices[device].nodeNs[node] else { return nil }
      cost.nodesNs += time
    }
    var last = -1
    for device in order(placed).map({ placed[$0] }) where device != last {
      last = device
      guard !devices[device].isHost else { continue }
      cost.executions += 1
      cost.executionsNs += devices[device].executionNs
    }
    for value in values {
      let home = value.producer.map { placed[$0] }.flatMap { devices[$0].isHost ? nil : $0 }
      let readers = Set(value.users.map { placed[$0] })
      let others = readers.count { !devices[$0].isHost && $0 != home }
      let isRead = value.isResult || others > 0 || readers.contains { devices[$0].isHost }
      // From one device to another it goes by the host's memory.
      cost.copiedBytes += value.byteCount * (others + (home != nil && isRead ? 1 : 0))
    }
    cost.copiesNs = Double(cost.copiedBytes) * byteNs
    return cost
  }

  /// The cheapest partition that is found from some: single nodes are moved, and runs of nodes at either end of what runs on one device,
  /// for as long as that makes it cheaper. The same from the same starts.
  /// - Parameter isFixed: of each node, whether it stays where the starts have it.
  func best(from starts: [[Int]], isFixed: [Bool]) -> (placed: [Int], cost: MeasuredPartition.Cost)? {
    var best: (placed: [Int], cost: MeasuredPartition.Cost)?
    var seen = Set<[Int]>()
    for start in starts where seen.insert(start).inserted {
      guard let found = improved(start, isFixed) else { continue }
      if best.map({ found.cost.totalNs < $0.cost.totalNs }) ?? true { best = found }
    }
    return best
  }

  private func improved(
    _ start: [Int], _ isFixed: [Bool]
  ) -> (placed: [Int], cost: MeasuredPartition.Cost)? {
    guard var cost = cost(start) else { return nil }
    var placed = start
    /// Moves nodes to a device if that is cheaper.
    func move(_ nodes: ArraySlice<Int>, to device: Int) -> Bool {
      var other = placed
      for node in nodes where !isFixed[node] { other[node] = device }
      // Less than a nanosecond is the order of additions.
      guard other != placed, let changed = self.cost(other), changed.totalNs < cost.totalNs - 1 else { return false }
      (placed, cost) = (other, changed)
      return true
    }
    var isBetter = true
    while isBetter {
      isBetter = false
      for node in placed.indices {
        for device in devices.indices where move([node], to: device) { isBetter = true }
      }
      let order = order(placed)
      var first = 0
      while first < order.count {
        let end = order[first...].firstIndex { placed[$0] != placed[order[first]] } ?? order.count
        let moved = (1...(end - first)).contains { length in
          devices.indices.contains { device in
            move(order[first..<first + length], to: device) || move(order[end - length..<end], to: device)
          }
        }
        // The order may be another one now.
        if moved {
          isBetter = true
          break
        }
        first = end
      }
    }
    return (placed, cost)
  }
}
