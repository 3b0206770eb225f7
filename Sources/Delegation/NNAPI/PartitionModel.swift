import GraphCore
import RuntimeCore
import TensorCore

/// What partitions of a graph cost by measured times, and which one costs least.
struct PartitionModel {
  private let devices: [MeasuredPartition.Device]
  private let byteNs: Double
  /// A bit for each device that computes where the host's tensors lie.
  private let hosts: UInt64
  private let dependencies: Dependencies
  /// Of each value that is given or computed: the node that computes it, its bytes, the nodes that read it, and whether it is a result.
  private let values: [(producer: Int?, byteCount: Int, users: [Int], isResult: Bool)]
  /// Of each node the positions of the values that it reads and writes.
  private let touched: [[Int]]

  init(_ graph: Graph, _ devices: [MeasuredPartition.Device], byteNs: Double) {
    precondition(devices.count <= UInt64.bitWidth, "devices are counted in bits")
    (self.devices, self.byteNs, dependencies) = (devices, byteNs, Dependencies(graph))
    hosts = devices.enumerated().reduce(0) { $1.element.isHost ? $0 | 1 << UInt64($1.offset) : $0 }
    let results = Set(graph.outputs)
    values = (graph.inputs + graph.nodes.flatMap(\.outputs)).map { id in
      (graph.producer(of: id), graph[id].type.storageByteCount, graph.users(of: id), results.contains(id))
    }
    var touched = [[Int]](repeating: [], count: graph.nodes.count)
    for (position, value) in values.enumerated() {
      for node in value.users + [value.producer].compactMap({ $0 }) { touched[node].append(position) }
    }
    self.touched = touched
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
    for device in dependencies.order(placed).map({ placed[$0] }) where device != last {
      last = device
      guard !devices[device].isHost else { continue }
      cost.executions += 1
      cost.executionsNs += devices[device].executionNs
    }
    cost.copiedBytes = values.indices.reduce(0) { $0 + copiedBytes(of: $1, placed) }
    cost.copiesNs = Double(cost.copiedBytes) * byteNs
    return cost
  }

  /// Bytes that are copied of one value, by its position.
  private func copiedBytes(of position: Int, _ placed: [Int]) -> Int {
    let value = values[position]
    let home = value.producer.map { 1 << UInt64(placed[$0]) & ~hosts } ?? 0
    let readers = value.users.reduce(0 as UInt64) { $0 | 1 << UInt64(placed[$1]) }
    let others = (readers & ~hosts & ~home).nonzeroBitCount
    let isRead = value.isResult || others > 0 || readers & hosts != 0
    // From one device to another it goes by the host's memory.
    return value.byteCount * (others + (home != 0 && isRead ? 1 : 0))
  }

  /// How much more some nodes and what they read and write cost in other places, without executions; nil where one is not taken there.
  private func difference(_ nodes: ArraySlice<Int>, from placed: [Int], to other: [Int]) -> Double? {
    var (sum, seen) = (0.0, Set<Int>())
    for node in nodes {
      guard let time = devices[other[node]].nodeNs[node] else { return nil }
      sum += time - devices[placed[node]].nodeNs[node]!
      for value in touched[node] where seen.insert(value).inserted {
        sum += Double(copiedBytes(of: value, other) - copiedBytes(of: value, placed)) * byteNs
      }
    }
    return sum
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
    // What a move saves of executions is hardly more than that of what is moved, and that of what it then follows: others are not tried.
    let most = 2 * (devices.map(\.executionNs).max() ?? 0)
    /// Moves nodes to a device if that is cheaper.
    func move(_ nodes: ArraySlice<Int>, to device: Int) -> Bool {
      var other = placed
      for node in nodes where !isFixed[node] { other[node] = device }
      // Less than a nanosecond is the order of additions.
      guard other != placed, let difference = difference(nodes, from: placed, to: other), difference < most - 1,
        let changed = self.cost(other), changed.totalNs < cost.totalNs - 1
      else { return false }
      (placed, cost) = (other, changed)
      return true
    }
    var isBetter = true
    while isBetter {
      isBetter = false
      for node in placed.indices {
        for device in devices.indices where move([node], to: device) { isBetter = true }
      }
      var order = dependencies.order(placed)
      var first = 0
      while first < order.count {
        let end = order[first...].firstIndex { placed[$0] != placed[order[first]] } ?? order.count
        let moved = (1...(end - first)).contains { length in
          devices.indices.contains { device in
            move(order[first..<first + length], to: device) || move(order[end - length..<end], to: device)
          }
        }
        if moved {
          // What comes here may be something else now.
          isBetter = true
          order = dependencies.order(placed)
        } else {
          first = end
        }
      }
    }
    return (placed, cost)
  }
}
