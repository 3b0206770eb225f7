import GraphCore
import TensorCore

/// A way to execute graphs: kernels on some device.
///
/// Three members make one: its name, what it supports, and what it makes of the nodes that are placed on it. What it has of its
/// own to choose, an instruction set or a device, are properties of its own type.
public protocol Backend: Sendable {
  var name: String { get }
  /// The same backend with one of its own options chosen, as suites and command lines write key and value; nil where it has no
  /// such option.
  /// - Throws: where it cannot be that.
  func choosing(_ option: String, _ value: String) throws -> Self?
  /// Whether this machine can run it with these options, and on what; otherwise the reason why not.
  func availability(_ options: PrepareOptions) -> Availability
  /// Every device it can run on, in the order in which they are counted; empty where it is unavailable.
  func devices() -> [DeviceInfo]
  /// Which kernel a node would run on, before anything is prepared.
  func support(for node: Node, in graph: Graph, _ options: PrepareOptions) -> Support
  /// What passes may ask when they optimise for this backend.
  func target(_ options: PrepareOptions) throws -> any TargetTraits
  /// Chooses kernels for some nodes of a graph, by their positions.
  /// - Throws: ``Unsupported`` naming the first node without a kernel, or why the backend cannot run here.
  func lower(_ nodes: [Int], of graph: Graph, _ options: PrepareOptions) throws -> any Lowering
  /// False for a backend whose outputs mean nothing, so that nobody checks them.
  var computesOutputs: Bool { get }
  /// What shows how fast the device can be at most; empty where there is no such thing.
  func peakWork(_ options: PrepareOptions) throws -> [PeakWork]
  /// Backends that it hands all nodes on to, in order of preference; itself where it runs them.
  var members: [any Backend] { get }
  /// Whether another backend may take what it does not, where it is given one.
  var allowsFallback: Bool { get }
  /// Chooses between its members, and a fallback behind them.
  var policy: any PlacementPolicy { get }
}

extension Backend {
  public func choosing(_ option: String, _ value: String) throws -> Self? { nil }
  public func availability(_ options: PrepareOptions) -> Availability {
    .available(DeviceInfo(name: name, detail: "no details"))
  }
  public func target(_ options: PrepareOptions) throws -> any TargetTraits { PlainTarget() }
  public func availability() -> Availability { availability(PrepareOptions()) }
  public func devices() -> [DeviceInfo] {
    if case .available(let device) = availability() { [device] } else { [] }
  }
  public var computesOutputs: Bool { true }
  public func peakWork(_ options: PrepareOptions) throws -> [PeakWork] { [] }
  public var members: [any Backend] { [self] }
  public var allowsFallback: Bool { true }
  public var policy: any PlacementPolicy { FirstCapable() }
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

  public var isUnavailable: Bool { if case .unavailable = self { true } else { false } }
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

  /// Name of the kernel that is an op's own `evaluate`.
  public static let reference = "reference"
  /// How the name of a kernel ends around which numbers are widened and rounded.
  public static let widenedSuffix = "-widened"

  /// Why not; nil where there is a kernel.
  public var refusal: String? { if case .unsupported(let reason) = self { reason } else { nil } }

  /// Whether a kernel made for the element types runs.
  public var isFast: Bool {
    switch self {
    case .kernel(let name): name != Self.reference && !name.hasSuffix(Self.widenedSuffix)
    case .unsupported: false
    }
  }
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

/// How a GPU's kernels reach tensors.
public enum TensorStorage: String, Sendable, Codable, CaseIterable {
  /// Through the texture units, four channels at a time.
  case texels
  /// As plain arrays.
  case buffers
}

/// How a graph is to be executed, wherever it is: what a backend has of its own to choose is part of the backend.
public struct PrepareOptions: Sendable, Equatable {
  public var allocator: AllocatorKind
  public var threads: Int
  /// Whether an output takes the memory of an input that nothing reads any more, where the kernel can do with that.
  public var inPlace: Bool
  /// Whether the system is asked to back weights and planned memory with pages of 2 MiB.
  public var hugePages: Bool

  public init(allocator: AllocatorKind = .system, threads: Int = 1, inPlace: Bool = true, hugePages: Bool = true) {
    (self.allocator, self.threads, self.inPlace, self.hugePages) = (allocator, threads, inPlace, hugePages)
  }
}

/// A backend was asked for an option that it does not have.
public struct NoSuchOption: Error, CustomStringConvertible {
  public let description: String
  public init(_ backend: String, _ option: String, _ value: String) {
    description = "backend \(backend) has no option \(option) (asked for: \(value))"
  }
}

/// The traits of a target whose kernels take every weight as it is.
public struct PlainTarget: TargetTraits {
  public init() {}
  public func addsResidual(in node: Node, of graph: Graph) -> Bool { true }
}
