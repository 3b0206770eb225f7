import GraphCore
import TensorCore

/// Computes nothing. What the harness measures with it is the harness's own cost.
public struct NullBackend: Backend {
  public let name = "null"
  public var computesOutputs: Bool { false }

  public init() {}

  /// Kernels that compute nothing are all alike.
  public func choosing(_ option: String, _ value: String) -> NullBackend? { option == "kernels" ? self : nil }

  public func availability(_ options: PrepareOptions) -> Availability {
    .available(DeviceInfo(name: "null", detail: "no work: shows the harness's own overhead"))
  }
  public func support(for node: Node, in graph: Graph, _ options: PrepareOptions) -> Support { .kernel("null") }
  public func target(_ options: PrepareOptions) -> any TargetTraits { PlainTarget() }
  public func lower(_ nodes: [Int], of graph: Graph, _ options: PrepareOptions) -> any Lowering { NullLowering() }
}

/// All is on a device that has no memory.
private struct NullLowering: Lowering {
  var space: MemorySpace { .device("null") }
  var device: String { "null" }
  func viewOffset(_ node: Int) -> Int? { nil }
  func kernel(for node: Int) -> PlannedKernel { PlannedKernel(name: "null") }
  func byteCount(of value: ValueID) -> Int { 0 }
  func compile(_ segments: [Plan.Segment], of plan: Plan) -> any CompiledSegments {
    NullSegments(count: segments.count)
  }
}

private struct NullSegments: CompiledSegments {
  final class Instance: Segment { func run(_ context: borrowing RunContext) {} }
  let count: Int
  func makeSegments() -> [any Segment] { (0..<count).map { _ in Instance() } }
}
