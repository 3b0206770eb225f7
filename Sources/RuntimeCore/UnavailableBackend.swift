import GraphCore

/// A backend that this build or machine cannot run, so that it is a row with a reason and not a hole.
public protocol UnavailableBackend: Backend {
  var reason: String { get }
}

extension UnavailableBackend {
  /// Whatever it would be asked for is missing for the same reason.
  public func choosing(_ option: String, _ value: String) -> Self? { self }
  public func availability(_ options: PrepareOptions) -> Availability { .unavailable(reason: reason) }
  public func support(for node: Node, in graph: Graph, _ options: PrepareOptions) -> Support {
    .unsupported(reason: reason)
  }
  public func target(_ options: PrepareOptions) throws -> any TargetTraits { PlainTarget() }
  public func lower(_ nodes: [Int], of graph: Graph, _ options: PrepareOptions) throws -> any Lowering {
    throw Unsupported("backend \(name) is unavailable: \(reason)")
  }
}
