import GraphCore
import TensorCore

/// Which memory a slot lies in: the host's, or that of a device that has memory of its own.
public enum MemorySpace: Hashable, Sendable, CustomStringConvertible {
  case host
  /// By the name of its backend.
  case device(String)

  public var description: String {
    switch self {
    case .host: "host"
    case .device(let name): name
    }
  }
}

/// A graph as steps over slots of memory: what runs when, where each value lies, and from when to when.
///
/// It is a pure function of the graph and of what backends say of its nodes and values (``Lowering``), needs no device, and
/// prints as text.
public struct Plan: Sendable {
  /// Memory for one value, or for several one after the other.
  public struct Slot: Sendable {
    public enum Source: Sendable, Equatable {
      /// The caller's tensors, by position among the graph's inputs and outputs.
      case input(Int)
      case output(Int)
      /// There before the first run.
      case constant
      /// Looked up in the graph's weight map at each run.
      case parameter
      /// Written by a step.
      case computed
      /// A part of another slot, which is none itself, from a byte on.
      case part(of: Int, offset: Int)
    }

    public let space: MemorySpace
    public let source: Source
    /// The values it holds, one after the other; views of all of it take no slot, those of a part are slots without memory of their own.
    public internal(set) var values: [ValueID]
    /// Bytes in its space.
    public let byteCount: Int
  }

  /// Brings the bytes of one slot to another, in another space or of the caller.
  public struct Copy: Sendable, Equatable {
    /// Slots.
    public let source: Int
    public let target: Int
    public init(source: Int, target: Int) { (self.source, self.target) = (source, target) }
  }

  /// One node, or copies that are made at one time.
  public struct Step: Sendable {
    /// Position of its node in the graph; nil for copies.
    public let node: Int?
    /// Empty for a node.
    public let copies: [Copy]
    /// Kernel that runs the node; `copy` for copies.
    public let kernel: String
    /// Slots it reads and writes, in the order of the node's inputs and outputs, or of the copies.
    public let inputs: [Int]
    public let outputs: [Int]
    /// Whether the output takes the memory of an input that nothing reads any more.
    public let isInPlace: Bool
    /// Bytes of each piece of working memory.
    public let scratch: [Int]
    /// Computed slots whose bytes nothing reads after it.
    public internal(set) var released: [Int]
    /// Of a node that runs graphs of its own: how each of them runs.
    public internal(set) var bodies: [Plan] = []
  }

  /// Steps that one backend runs in one go.
  public struct Segment: Sendable, Equatable {
    /// Position of its backend among those the graph was placed on; nil for copies between tensors of the caller.
    public let backend: Int?
    /// Positions among the plan's.
    public let steps: Range<Int>
  }

  /// What is planned; slots and steps name its values and nodes.
  public let graph: Graph
  public let slots: [Slot]
  public let steps: [Step]
  public let segments: [Segment]
  /// The slot in the host's memory that holds each of the graph's outputs.
  public let outputs: [Int]
}

extension Plan {
  /// Plans a graph.
  /// - Parameters:
  ///   - placed: for each node the position of its lowering; nil where all run on the first.
  ///   - inPlace: whether outputs may take the memory of inputs.
  package init(_ graph: Graph, on lowerings: [any Lowering], placed: [Int]? = nil, inPlace: Bool = true) {
    let placed = placed ?? [Int](repeating: 0, count: graph.nodes.count)
    let planner = Planner(graph, lowerings, placed, joins: true)
    let plan = planner.plan(inPlace: inPlace)
    guard planner.joinsAny else {
      self = plan
      return
    }
    // What is joined is there from its first part on. Where that takes more memory than copies do, as with a long way round a
    // bottleneck, they are made.
    let apart = Planner(graph, lowerings, placed, joins: false).plan(inPlace: inPlace)
    self = plan.computedBytes <= apart.computedBytes ? plan : apart
  }
}
