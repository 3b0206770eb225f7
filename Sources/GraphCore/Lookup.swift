import Synchronization
import TensorCore

/// Which nodes compute and read each value, found out when it is first asked for.
final class Lookup: Sendable {
  /// By a value's index: its producer, and its readers, each once.
  typealias Tables = (producers: [Int?], users: [[Int]])
  private let known = Mutex<Tables?>(nil)

  func tables(of nodes: [Node], _ valueCount: Int) -> Tables {
    known.withLock { known in
      // Values may have been added since; no node knows them.
      if let known, known.users.count == valueCount { return known }
      var tables = Tables([Int?](repeating: nil, count: valueCount), [[Int]](repeating: [], count: valueCount))
      for (index, node) in nodes.enumerated() {
        // A graph that is not verified yet may name values that it does not have.
        for id in node.outputs where id.index < valueCount { tables.producers[id.index] = index }
        for id in node.inputs where id.index < valueCount && tables.users[id.index].last != index {
          tables.users[id.index].append(index)
        }
      }
      known = tables
      return tables
    }
  }
}
