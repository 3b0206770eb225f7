import GraphCore
import TensorCore

/// What a backend tells of the nodes it runs, so that they can be planned, and what compiles them.
public protocol Lowering: Sendable {
  /// Where its kernels read and write.
  var space: MemorySpace { get }
  /// Name of the device, as placements give it.
  var device: String { get }
  /// Where a node's output lies in its first input's memory, in bytes, so that there is nothing to run; nil of a node that computes.
  func viewOffset(_ node: Int) -> Int?
  /// Whether the output of a node that is no view is its inputs, one behind the other: there is nothing to run where they could be
  /// written there in the first place.
  func joins(_ node: Int) -> Bool
  /// The kernel of a node that is no view.
  func kernel(for node: Int) -> PlannedKernel
  /// Bytes of a value in `space`, if that is a space of its own.
  func byteCount(of value: ValueID) -> Int
  /// - Parameter segments: all of this lowering in the plan.
  /// - Throws: where the device has not what they need.
  func compile(_ segments: [Plan.Segment], of plan: Plan) throws -> any CompiledSegments
}

extension Lowering {
  public func joins(_ node: Int) -> Bool { false }
}

/// What a plan has to know of a kernel.
public struct PlannedKernel: Sendable {
  /// As placements and profiles give it.
  public var name: String
  /// Bytes of each piece of working memory; in the host's memory there is one at most.
  public var scratch: [Int]
  /// Inputs whose memory the first output may take: each of their elements is read before the same element of the output
  /// is written, and never again.
  public var overwritableInputs: [Int]
  /// Of a node that runs graphs of its own.
  public var bodies: [Plan]

  public init(name: String, scratch: [Int] = [], overwritableInputs: [Int] = [], bodies: [Plan] = []) {
    (self.name, self.scratch, self.overwritableInputs) = (name, scratch, overwritableInputs)
    self.bodies = bodies
  }
}

/// Segments of one backend, shared by every session of an executable.
public protocol CompiledSegments: Sendable {
  /// One for each of the plan's segments that were compiled, in their order, with memory of this session.
  func makeSegments() throws -> [any Segment]
}

/// What segments share in a run.
public struct RunContext {
  /// The host's memory: where slots lie.
  public let memory: HostMemory
  /// The session's threads, for kernels in the host's memory.
  public let pool: ThreadPool
  /// When the run is to be over, on the system's monotonic clock in nanoseconds; nil for whenever it is.
  public internal(set) var deadlineNs: Int?
}

/// Steps of a plan that one backend runs in one go, for one session.
public protocol Segment: AnyObject {
  /// Does the steps once: those that copy to and from its own memory, and those of nodes.
  func run(_ context: borrowing RunContext) throws
}

/// Keeps to a run's deadline: fails when it is over.
public protocol DeadlineSegment: Segment {}

/// Can tell its nodes apart.
public protocol StepwiseSegment: Segment {
  /// Like `run`, with a call after each node, by its position in the graph.
  func run(_ context: borrowing RunContext, afterEach finished: (Int) -> Void) throws
}

/// Its device has a clock.
public protocol TimedSegment: Segment {
  /// Like `run`, and puts the nanoseconds of each node at its position in the graph.
  /// - Throws: ``NodesNotTold`` where this device cannot.
  func runTimed(_ context: borrowing RunContext, into times: inout [Double]) throws -> DeviceTimes
}

/// Runs on a device with memory of its own.
public protocol DeviceReporting: Segment {
  /// What one run asks of the device; what a session's segments share, the first of them reports.
  var deviceStatistics: DeviceStatistics { get throws }
  /// Bytes of the planned block and the least it could be; nil without a plan.
  var arena: (byteCount: Int, lowerBound: Int)? { get }
  /// Which tensors are alive on the device when, and where.
  func memoryTimeline() throws -> MemoryTimeline
}

/// A backend that cannot tell when a single node has run.
public struct NodesNotTold: Error, CustomStringConvertible {
  public let description: String
  public init(_ reason: String = "this backend cannot time single nodes") { description = reason }
}

/// Nanoseconds a device spent on one run, by its own clock.
public struct DeviceTimes: Sendable, Equatable {
  /// Bringing inputs, and weights that are not constants, into the layout of the kernels.
  public var upload: Double
  public var compute: Double
  /// Bringing outputs where the host reads them.
  public var download: Double
  public init(upload: Double, compute: Double, download: Double) {
    (self.upload, self.compute, self.download) = (upload, compute, download)
  }

  static func + (a: DeviceTimes, b: DeviceTimes) -> DeviceTimes {
    DeviceTimes(upload: a.upload + b.upload, compute: a.compute + b.compute, download: a.download + b.download)
  }
}

/// What one run asks of a device.
public struct DeviceStatistics: Sendable, Equatable {
  public var submits: Int
  public var dispatches: Int
  public var barriers: Int
  public var uploadBytes: Int
  public var downloadBytes: Int
  /// Memory on the device: constants, tensors, working memory.
  /// Nil where one does not tell.
  public var memoryBytes: Int?
  public init(
    submits: Int, dispatches: Int, barriers: Int, uploadBytes: Int, downloadBytes: Int, memoryBytes: Int?
  ) {
    (self.submits, self.dispatches, self.barriers) = (submits, dispatches, barriers)
    (self.uploadBytes, self.downloadBytes, self.memoryBytes) = (uploadBytes, downloadBytes, memoryBytes)
  }

  static func + (a: DeviceStatistics, b: DeviceStatistics) -> DeviceStatistics {
    DeviceStatistics(
      submits: a.submits + b.submits, dispatches: a.dispatches + b.dispatches, barriers: a.barriers + b.barriers,
      uploadBytes: a.uploadBytes + b.uploadBytes, downloadBytes: a.downloadBytes + b.downloadBytes,
      memoryBytes: a.memoryBytes.flatMap { own in b.memoryBytes.map { own + $0 } })
  }
}
