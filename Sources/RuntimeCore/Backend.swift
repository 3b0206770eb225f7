import GraphCore
import TensorCore

/// A way to execute graphs: kernels on some device.
public protocol Backend: Sendable {
  var name: String { get }
  /// Whether this machine can run it, and on what; otherwise the reason why not.
  func availability() -> Availability
  /// Which kernel a node would run on, before anything is prepared.
  func support(for node: Node, in graph: Graph, _ options: PrepareOptions) -> Support
  /// What passes may ask when they optimise for this backend.
  func target(_ options: PrepareOptions) throws -> any TargetTraits
  /// - Throws: ``GraphError`` naming the first node without a kernel.
  func prepare(_ graph: Graph, _ options: PrepareOptions) throws -> any Executable
  /// False for a backend whose outputs mean nothing, so that nobody checks them.
  var computesOutputs: Bool { get }
}

extension Backend {
  public var computesOutputs: Bool { true }
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
}

/// How a graph is to be executed.
public struct PrepareOptions: Sendable, Equatable {
  public var kernels: KernelFamily
  public var allocator: AllocatorKind
  public var threads: Int
  /// Instruction set by name; nil for the best this machine has.
  public var instructionSet: String?

  public init(
    kernels: KernelFamily = .fast, allocator: AllocatorKind = .system, threads: Int = 1, instructionSet: String? = nil
  ) {
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
  /// Like `run`, with a call after each node of the executable's placement, by its position there.
  /// - Throws: ``GraphError`` where the backend cannot tell its nodes apart.
  func run(afterEach finished: (Int) -> Void) throws
  /// … and read here, until the next run.
  var outputs: [Tensor] { get }
  /// What the session asked of its allocator so far; nil where it has none.
  var allocationStatistics: AllocationStatistics? { get }
  /// Bytes of the planned block and the least it could be; nil without a plan.
  var arena: (byteCount: Int, lowerBound: Int)? { get }
}

extension Session {
  public func run(afterEach finished: (Int) -> Void) throws {
    throw GraphError("this backend cannot time single nodes")
  }
  public var allocationStatistics: AllocationStatistics? { nil }
  public var arena: (byteCount: Int, lowerBound: Int)? { nil }
}

/// The traits of a target whose kernels take every weight as it is.
public struct PlainTarget: TargetTraits {
  public init() {}
  public func weightFormat(for node: Node, in graph: Graph) -> MemoryFormat? { nil }
}
