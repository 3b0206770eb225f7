/// A partition of a graph between devices that was planned by measured times, with what it was planned by and what it was expected to take.
public struct MeasuredPartition: Sendable, Codable, Equatable {
  /// What nodes cost on one device, in nanoseconds.
  public struct Device: Sendable, Equatable {
    public var name: String
    /// Whether it computes where the host's tensors lie, so that nothing is copied.
    public var isHost: Bool
    /// Of an execution besides its nodes.
    public var executionNs: Double
    /// By the node's position in the graph; nil where the device does not take it.
    public var nodeNs: [Double?]
    /// Why it takes none, where it failed while it was measured.
    public var failure: String?

    public init(name: String, isHost: Bool, executionNs: Double, nodeNs: [Double?], failure: String? = nil) {
      (self.name, self.isHost, self.executionNs) = (name, isHost, executionNs)
      (self.nodeNs, self.failure) = (nodeNs, failure)
    }
  }

  /// What one inference is expected to cost.
  public struct Cost: Sendable, Codable, Equatable {
    public var nodesNs: Double
    public var executions: Int
    public var executionsNs: Double
    public var copiedBytes: Int
    public var copiesNs: Double
    /// Nodes that run graphs of their own, of which nothing was measured; nil where there are none.
    public var unmeasuredNodes: Int?

    public init(nodesNs: Double, executions: Int, executionsNs: Double, copiedBytes: Int, copiesNs: Double) {
      (self.nodesNs, self.executions, self.executionsNs) = (nodesNs, executions, executionsNs)
      (self.copiedBytes, self.copiesNs) = (copiedBytes, copiesNs)
    }

    public var totalNs: Double { nodesNs + executionsNs + copiesNs }
  }

  /// Digest of the graph's structure, as it was before formats were chosen.
  public var graph: String
  /// As they were measured a second time: what was planned by the first is expected to take what the second says.
  public var devices: [Device]
  /// Nanoseconds for each byte that is copied between the host and a device.
  public var byteNs: Double
  /// For each node the name of its device.
  public var chosen: [String]
  public var cost: Cost
  /// What NNAPI's own choice would cost by the same times; nil where it needs a device that failed.
  public var unmeasuredCost: Cost?

  public init(
    graph: String, devices: [Device], byteNs: Double, chosen: [String], cost: Cost, unmeasuredCost: Cost?
  ) {
    (self.graph, self.devices, self.byteNs) = (graph, devices, byteNs)
    (self.chosen, self.cost, self.unmeasuredCost) = (chosen, cost, unmeasuredCost)
  }
}

extension MeasuredPartition.Device: Codable {
  private enum Key: String, CodingKey { case name, isHost, executionNs, nodeNs, failure }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    name = try container.decode(String.self, forKey: .name)
    isHost = try container.decode(Bool.self, forKey: .isHost)
    executionNs = try container.decode(Double.self, forKey: .executionNs)
    nodeNs = try container.decode([Double].self, forKey: .nodeNs).map { $0 < 0 ? nil : $0 }
    failure = try container.decodeIfPresent(String.self, forKey: .failure)
  }

  /// A node that it does not take has -1.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(name, forKey: .name)
    try container.encode(isHost, forKey: .isHost)
    try container.encode(executionNs, forKey: .executionNs)
    try container.encode(nodeNs.map { $0 ?? -1 }, forKey: .nodeNs)
    try container.encodeIfPresent(failure, forKey: .failure)
  }
}
