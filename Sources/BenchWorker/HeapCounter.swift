/// Switches counting on, and says what was counted since.
public struct HeapCounter: Sendable {
  public var start: @Sendable () -> Void
  public var stop: @Sendable () -> (allocations: Int, bytes: Int)
  /// Why it cannot count in this process; nil where it can.
  public var unavailable: @Sendable () -> String?

  public init(
    start: @escaping @Sendable () -> Void, stop: @escaping @Sendable () -> (allocations: Int, bytes: Int),
    unavailable: @escaping @Sendable () -> String?
  ) {
    self.start = start
    self.stop = stop
    self.unavailable = unavailable
  }
}
