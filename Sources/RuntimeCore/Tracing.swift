/// A thread at work.
package struct ThreadSpan: Sendable {
  package var thread: Int
  package var start: ContinuousClock.Instant
  package var end: ContinuousClock.Instant
  package init(thread: Int, start: ContinuousClock.Instant, end: ContinuousClock.Instant) {
    (self.thread, self.start, self.end) = (thread, start, end)
  }
}

/// What one thread did for one node in a traced inference; times are nanoseconds since its start.
public struct TraceSpan: Codable, Sendable, Equatable {
  /// Position of the node in the executable's placement.
  public var node: Int
  /// 0 is the caller.
  public var thread: Int
  public var start: Int
  public var end: Int
  public init(node: Int, thread: Int, start: Int, end: Int) {
    (self.node, self.thread, self.start, self.end) = (node, thread, start, end)
  }
}
