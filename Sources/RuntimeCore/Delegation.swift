/// What a session's runs so far asked of drivers, and what came of it.
public struct DelegationStatistics: Sendable, Equatable {
  /// Models that drivers executed.
  public var executions = 0
  /// Models that the processor computed since a driver had failed, and why it failed first.
  public var fallbacks = 0
  public var firstFailure: String?
  /// Nanoseconds in drivers, of which for other executions, and of their processes' processor time; nil where one does not tell.
  public var inDriverNs: Int?
  public var queuedNs: Int?
  public var processorNs: Int?
  /// Nanoseconds that devices computed; nil where they have no clock.
  public var onHardwareNs: Int?
  /// Bytes that one run does not copy, since they stay in a driver's memory from one of its models to another.
  public var bytesKeptPerRun = 0

  public init() {}

  public static func + (a: DelegationStatistics, b: DelegationStatistics) -> DelegationStatistics {
    var sum = a
    sum.executions += b.executions
    sum.fallbacks += b.fallbacks
    sum.firstFailure = a.firstFailure ?? b.firstFailure
    /// Of a driver that executed nothing there is nothing to know.
    func added(_ path: KeyPath<DelegationStatistics, Int?>) -> Int? {
      if a.executions == 0 { return b[keyPath: path] }
      if b.executions == 0 { return a[keyPath: path] }
      return a[keyPath: path].flatMap { own in b[keyPath: path].map { own + $0 } }
    }
    sum.inDriverNs = added(\.inDriverNs)
    sum.queuedNs = added(\.queuedNs)
    sum.processorNs = added(\.processorNs)
    sum.onHardwareNs = added(\.onHardwareNs)
    sum.bytesKeptPerRun += b.bytesKeptPerRun
    return sum
  }
}

/// An error that may be one that computing again elsewhere does not mend: a time is over.
public protocol FinalError: Error {
  var isFinal: Bool { get }
}

/// Is computed by a driver, which may fail at a part of it.
public protocol DelegatingSegment: Segment {
  /// Of all segments of its session on the same driver; nil of all but the first of them.
  var delegation: DelegationStatistics? { get }
}

extension Session {
  /// What runs so far asked of drivers; nil where nothing is delegated to one.
  public var delegation: DelegationStatistics? {
    let all = segments.compactMap { ($0 as? any DelegatingSegment)?.delegation }
    return all.dropFirst().reduce(all.first) { $0! + $1 }
  }
}
