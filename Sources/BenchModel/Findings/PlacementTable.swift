import BenchProtocol
import RuntimeCore

/// Where the nodes of a configuration run, and why not elsewhere.
public struct PlacementTable: Codable, Sendable {
  public struct Node: Codable, Sendable {
    public var node: String
    public var op: String
    public var backend: String
    public var device: String
    public var kernel: String
    public var macs: Int
    /// Backends that are preferred, and why they do not run it.
    public var refusals: [String: String]

    /// Whether a device runs it, rather than the processor behind.
    public var isDelegated: Bool { WorkerLine.Prepared.Placement.isDevice(backend) }
  }

  /// How NNAPI would place the graph if drivers did not refuse nodes for some reason.
  public struct Lifted: Codable, Sendable {
    public var reason: String
    /// Nodes that are refused for it now.
    public var refused: Int
    public var delegated: Int
    public var segments: Int
    public var copies: Int
    public var copiedBytes: Int
    /// Nanoseconds of executions and copies by measured times; nil where none were measured.
    public var borderNs: Double?
  }

  public var configuration: Configuration
  public var nodes: [Node]
  /// Runs of nodes on one backend, one after the other.
  public var segments: Int
  /// Copies of tensors between the host and devices with memory of their own in one inference, and their bytes.
  public var copies: Int
  public var copiedBytes: Int
  /// Nodes on devices, rather than on the processor behind them.
  public var delegated: Int
  /// Of a measured partition.
  public var partition: MeasuredPartition?
  /// NNAPI's own choice as it is, and without one reason of refusal each; empty where nothing was refused.
  public var lifted: [Lifted] = []
  /// Slots and steps, as text.
  public var plan: String

  public init(_ configuration: Configuration, _ planned: PlannedGraph) {
    self.configuration = configuration
    let graph = planned.plan.graph
    nodes = zip(planned.placement, graph.nodes).map { place, node in
      Node(
        node: place.node, op: place.op, backend: place.backend, device: place.device, kernel: place.kernel,
        macs: graph.cost(of: node).macs,
        refusals: Dictionary(place.refusals.map { ($0.backend, $0.reason) }) { first, _ in first })
    }
    segments = planned.plan.segments.count { $0.backend != nil }
    (copies, copiedBytes) = planned.plan.borderCopies
    delegated = planned.delegated
    plan = planned.plan.description
  }

  /// - Parameters:
  ///   - reason: For which nothing is refused any more in `planned`; empty for its being as it is.
  ///   - refused: Nodes that are, for now.
  public mutating func add(lifting reason: String, refused: Int, _ planned: PlannedGraph) {
    let (copies, copiedBytes) = planned.plan.borderCopies
    let segments = planned.plan.segments.compactMap(\.backend)
    // Unknown where a device would run some of which nothing was measured.
    let borderNs = partition.flatMap { partition in
      segments.reduce(Double(copiedBytes) * partition.byteNs as Double?) { sum, segment in
        let device = partition.devices.first { $0.name == planned.backends[segment] }
        guard let device, device.isHost || device.nodeNs.contains(where: { $0 != nil }) else { return nil }
        return sum.map { $0 + device.executionNs }
      }
    }
    lifted.append(
      Lifted(
        reason: reason, refused: refused, delegated: planned.delegated, segments: segments.count, copies: copies,
        copiedBytes: copiedBytes, borderNs: borderNs))
  }
}

extension PlannedGraph {
  /// Nodes on devices.
  fileprivate var delegated: Int { placement.count { WorkerLine.Prepared.Placement.isDevice($0.backend) } }
}
