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
    /// Backends that are preferred, and why they do not run it.
    public var refusals: [String: String]
  }

  public var configuration: Configuration
  public var nodes: [Node]
  /// Runs of nodes on one backend, one after the other.
  public var segments: Int
  /// Copies of tensors between the host and devices with memory of their own in one inference, and their bytes.
  public var copies: Int
  public var copiedBytes: Int
  /// Slots and steps, as text.
  public var plan: String

  public init(_ configuration: Configuration, _ planned: PlannedGraph) {
    self.configuration = configuration
    nodes = planned.placement.map { place in
      Node(
        node: place.node, op: place.op, backend: place.backend, device: place.device, kernel: place.kernel,
        refusals: Dictionary(place.refusals.map { ($0.backend, $0.reason) }) { first, _ in first })
    }
    segments = planned.plan.segments.count { $0.backend != nil }
    (copies, copiedBytes) = planned.plan.borderCopies
    plan = planned.plan.description
  }
}
