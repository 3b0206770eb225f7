import GraphCore
import TensorCore

/// A way to execute graphs: kernels on some device.
public protocol Backend: Sendable {
  var name: String { get }
  /// Whether this machine can run it with these options, and on what; otherwise the reason why not.
  func availability(_ options: PrepareOptions) -> Availability
  /// Every device it can run on, as `PrepareOptions.device` counts them; empty where it is unavailable.
  func devices() -> [DeviceInfo]
  /// Which kernel a node would run on, before anything is prepared.
  func support(for node: Node, in graph: Graph, _ options: PrepareOptions) -> Support
  /// What passes may ask when they optimise for this backend.
  func target(_ options: PrepareOptions) throws -> any TargetTraits
  /// - Throws: ``GraphError`` naming the first node without a kernel.
  func prepare(_ graph: Graph, _ options: PrepareOptions) throws -> any Executable
  /// False for a backend whose outputs mean nothing, so that nobody checks them.
  var computesOutputs: Bool { get }
  /// What shows how fast the device can be at most; empty where there is no such thing.
  func peakWork(_ options: PrepareOptions) throws -> [PeakWork]
}

extension Backend {
  public func availability() -> Availability { availability(PrepareOptions()) }
  public func devices() -> [DeviceInfo] {
    if case .available(let device) = availability() { [device] } else { [] }
  }
  public var computesOutputs: Bool { true }
  public func peakWork(_ options: PrepareOptions) throws -> [PeakWork] { [] }
}

/// Arithmetic that waits for nothing: its speed is the device's limit.
public struct PeakWork: Sendable {
  /// Type of the numbers: `fp32`.
  public var name: String
  /// Operations in one round; a multiply-add is two.
  public var operations: Int
  /// Does so many rounds on the calling thread; nil where the device has no such operation.
  public var run: (@Sendable (Int) -> Void)?

  public init(name: String, operations: Int, run: (@Sendable (Int) -> Void)?) {
    (self.name, self.operations, self.run) = (name, operations, run)
  }
}

public enum Availability: Sendable, Equatable {
  case available(DeviceInfo)
  case unavailable(reason: String)
}

public struct DeviceInfo: Sendable, Equatable {
  public var name: String
  /// Instruction set or driver the kernels use.
  public var detail: String
  public init(name: String, detail: String) {
    self.name = name
    self.detail = detail
  }
}

public enum Support: Sendable, Equatable {
  case kernel(String)
  case unsupported(reason: String)
}

/// Families of kernels, from oracle to fastest.
public enum KernelFamily: String, Sendable, Codable, CaseIterable {
  /// Each op's own `evaluate`: scalar loops.
  case reference
  /// Convolution as a whole im2col matrix times the weights, nothing fused: how first mobile releases worked.
  case im2col
  /// The best kernel there is for the instruction set.
  case fast
}

public enum AllocatorKind: String, Sendable, Codable, CaseIterable {
  /// Each tensor from the C library, and straight back.
  case system
  /// Freed tensors are kept for the next request of their size.
  case caching
  /// Offsets in one block, planned ahead.
  case arena
  /// Each large tensor is a mapping of its own, as on phones whose allocators gave pages back at once.
  case mapped
}

/// How numbers are stored and multiplied.
public enum Precision: String, Sendable, Codable, CaseIterable, CustomStringConvertible {
  case fp32
  /// Stored in 16 bits, multiplied and summed in 32.
  case fp16
  /// Stored and multiplied in 16 bits; a few products are summed in 16 bits, those sums in 32.
  case fp16Arithmetic = "fp16-arithmetic"

  public var description: String { rawValue }
  /// What tensors are stored in.
  package var stored: Precision { self == .fp32 ? .fp32 : .fp16 }
}

/// How a GPU's kernels reach tensors.
public enum TensorStorage: String, Sendable, Codable, CaseIterable {
  /// Through the texture units, four channels at a time.
  case texels
  /// As plain arrays.
  case buffers
}

/// How a graph is to be executed.
public struct PrepareOptions: Sendable, Equatable {
  public var kernels: KernelFamily
  public var allocator: AllocatorKind
  public var threads: Int
  /// Instruction set by name; nil for the best this machine has.
  public var instructionSet: String?
  public var precision: Precision
  /// Device of the backend, by index or a part of its name; nil for the first one.
  public var device: String?
  /// Nil for what suits the device.
  public var storage: TensorStorage?
  /// Whether a GPU's compiled pipelines are kept on disk for the next process.
  public var cachesPipelines: Bool
  /// Whether an output takes the memory of an input that nothing reads any more, where the kernel can do with that.
  public var inPlace: Bool
  /// Whether the system is asked to back weights and planned memory with pages of 2 MiB.
  public var hugePages: Bool

  public init(
    kernels: KernelFamily = .fast, allocator: AllocatorKind = .system, threads: Int = 1, instructionSet: String? = nil,
    precision: Precision = .fp32, device: String? = nil, storage: TensorStorage? = nil,
    cachesPipelines: Bool = true, inPlace: Bool = true, hugePages: Bool = true
  ) {
    self.inPlace = inPlace
    self.hugePages = hugePages
    self.cachesPipelines = cachesPipelines
    self.precision = precision
    self.device = device
    self.storage = storage
    self.kernels = kernels
    self.allocator = allocator
    self.threads = threads
    self.instructionSet = instructionSet
  }
}

/// A graph ready to run; shared by any number of sessions.
public protocol Executable: Sendable {
  /// The kernel each node runs on, in order.
  var placement: [Placement] { get }
  func makeSession() throws -> any Session
}

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
  /// Place of the node in the executable's placement.
  public var node: Int
  /// 0 is the caller.
  public var thread: Int
  public var start: Int
  public var end: Int
  public init(node: Int, thread: Int, start: Int, end: Int) {
    (self.node, self.thread, self.start, self.end) = (node, thread, start, end)
  }
}

public struct Placement: Sendable, Equatable {
  public var node: String
  public var op: String
  public var device: String
  public var kernel: String
  public init(node: String, op: String, device: String, kernel: String) {
    self.node = node
    self.op = op
    self.device = device
    self.kernel = kernel
  }
}

/// One caller's use of an executable, with memory of its own. Not for two threads at once.
public protocol Session: AnyObject {
  /// Write here …
  var inputs: [Tensor] { get }
  func run() throws
  /// Like `run`, with tensors of the caller's in the place of `inputs`, which keep what they hold.
  /// - Throws: ``GraphError`` where number or types are not those of `inputs`, or one is an output of this session.
  func run(with inputs: [Tensor]) throws
  /// Like `run`, with a call after each node of the executable's placement, by its position there.
  /// - Throws: ``NodesNotTold`` where the backend cannot tell its nodes apart.
  func run(afterEach finished: (Int) -> Void) throws
  /// Like `run`, and puts the nanoseconds of each node at its position in the placement: a GPU's own, or the caller's.
  /// - Returns: what a device of its own spent on each phase; nil for a backend without one.
  /// - Throws: ``NodesNotTold`` where the backend cannot tell its nodes apart.
  @discardableResult func runTimed(into times: inout [Double]) throws -> DeviceTimes?
  /// Like `run`, and says which thread worked on what: pieces of nodes on every thread but the caller's.
  /// - Throws: ``NodesNotTold`` where the backend cannot tell its nodes apart.
  func runTraced(afterEach finished: (Int) -> Void) throws -> [TraceSpan]
  /// … and read here, until the next run.
  var outputs: [Tensor] { get }
  /// What the session asked of its allocator so far; nil where it has none.
  var allocationStatistics: AllocationStatistics? { get }
  /// Bytes of the planned block and the least it could be; nil without a plan.
  var arena: (byteCount: Int, lowerBound: Int)? { get }
  /// Which tensors are alive when in a steady run, and where; nil where the backend does not tell.
  func memoryTimeline() throws -> MemoryTimeline?
  /// What one run asks of a device of its own; nil for a backend without one.
  var deviceStatistics: DeviceStatistics? { get throws }
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
}

/// What one run asks of a device.
public struct DeviceStatistics: Sendable, Equatable {
  public var submits: Int
  public var dispatches: Int
  public var barriers: Int
  public var uploadBytes: Int
  public var downloadBytes: Int
  /// Memory on the device: constants, tensors, working memory.
  public var memoryBytes: Int
  public init(
    submits: Int, dispatches: Int, barriers: Int, uploadBytes: Int, downloadBytes: Int, memoryBytes: Int
  ) {
    (self.submits, self.dispatches, self.barriers) = (submits, dispatches, barriers)
    (self.uploadBytes, self.downloadBytes, self.memoryBytes) = (uploadBytes, downloadBytes, memoryBytes)
  }
}

extension Session {
  public func run(with given: [Tensor]) throws {
    try check(given)
    func copies(_ tensors: [Tensor]) throws -> [Tensor] {
      try tensors.map { tensor in
        let copy = try Tensor(uninitialized: tensor.type)
        copy.write(tensor)
        return copy
      }
    }
    // What is given may be these very tensors, in another order.
    let (kept, new) = try (copies(inputs), copies(given))
    for (tensor, new) in zip(inputs, new) { tensor.write(new) }
    defer { for (tensor, old) in zip(inputs, kept) { tensor.write(old) } }
    try run()
  }

  package func check(_ given: [Tensor]) throws {
    guard given.map(\.type) == inputs.map(\.type) else {
      let (wanted, found) = (inputs.map(\.type.description), given.map(\.type.description))
      throw GraphError("inputs are \(wanted.joined(separator: ", ")), not \(found.joined(separator: ", "))")
    }
    guard !given.contains(where: { tensor in outputs.contains { $0.storage === tensor.storage } }) else {
      throw GraphError("an output of a session is no input of the same one: it is written while it is read")
    }
  }
  public func run(afterEach finished: (Int) -> Void) throws {
    throw NodesNotTold()
  }
  public func runTimed(into times: inout [Double]) throws -> DeviceTimes? {
    var start = ContinuousClock.now
    try run(afterEach: { node in
      let end = ContinuousClock.now
      times[node] = (end - start) / .nanoseconds(1)
      start = ContinuousClock.now
    })
    return nil
  }
  public func runTraced(afterEach finished: (Int) -> Void) throws -> [TraceSpan] {
    try trace(others: { [] }, afterEach: finished)
  }

  /// Traces the caller's own work by node.
  /// - Parameter others: what other threads did since it was last asked.
  package func trace(others: () -> [ThreadSpan], afterEach finished: (Int) -> Void) throws -> [TraceSpan] {
    let start = ContinuousClock.now
    func nanoseconds(_ instant: ContinuousClock.Instant) -> Int {
      let passed = (instant - start).components
      return Int(passed.seconds) * 1_000_000_000 + Int(passed.attoseconds / 1_000_000_000)
    }
    var spans: [TraceSpan] = []
    var last = start
    try run(afterEach: { node in
      let all = [ThreadSpan(thread: 0, start: last, end: ContinuousClock.now)] + others()
      spans += all.map {
        TraceSpan(node: node, thread: $0.thread, start: nanoseconds($0.start), end: nanoseconds($0.end))
      }
      finished(node)
      last = ContinuousClock.now
    })
    return spans
  }
  public var allocationStatistics: AllocationStatistics? { nil }
  public var arena: (byteCount: Int, lowerBound: Int)? { nil }
  public var deviceStatistics: DeviceStatistics? { nil }
  public func memoryTimeline() throws -> MemoryTimeline? { nil }
}

/// The traits of a target whose kernels take every weight as it is.
public struct PlainTarget: TargetTraits {
  public init() {}
  public func weightFormats(for node: Node, in graph: Graph) -> [Int: MemoryFormat] { [:] }
  public func addsResidual(in node: Node, of graph: Graph) -> Bool { true }
}
