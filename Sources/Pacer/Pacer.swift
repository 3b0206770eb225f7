@_exported import BackendCPU
@_exported import BackendMetal
@_exported import BackendNNAPI
@_exported import BackendVulkan
@_exported import BenchKit
@_exported import GraphCore
@_exported import GraphPasses
@_exported import ModelZoo
@_exported import RuntimeCore
@_exported import TensorCore

/// Pacer's release. A version in a result adds commit and changes to it.
public let pacerRelease = "0.8.0"

/// Rewrites a graph for fast inference and returns the new graph; the one given stays as it is.
///
/// Runs every pass in PyTorch Mobile's order, verifies the graph around each, and holds its outputs against the
/// reference ops after each pass that changed anything.
/// - Parameters:
///   - backend: Where the graph will run; its kernels decide how weights are packed.
///   - disabling: Names of passes to leave out, PyTorch's blocklist.
/// - Throws: `UnknownName` for a pass that does not exist, ``GraphError`` where a pass breaks the graph.
public func optimizeForMobile(
  _ graph: Graph, backend: some Backend = CPUBackend(), options: PrepareOptions = PrepareOptions(),
  disabling: Set<String> = []
) throws -> Graph {
  for name in disabling.sorted() where !standardPasses.contains(where: { $0.name == name }) {
    throw UnknownName(kind: "pass", name: name, known: standardPasses.map(\.name))
  }
  let passes = standardPasses.filter { !disabling.contains($0.name) }
  return try Pipeline(passes).run(on: graph, for: backend.target(options)).graph
}

extension Backend where Self == CPUBackend {
  public static var cpu: CPUBackend { CPUBackend() }
}
extension Backend where Self == VulkanBackend {
  public static var vulkan: VulkanBackend { VulkanBackend() }
}

extension Catalog {
  /// Everything that comes with Pacer.
  public static func standard(heapCounter: HeapCounter? = nil) -> Catalog {
    Catalog(
      version: pacerRelease, models: [.mobileNetV2, .resNet18],
      backends: [CPUBackend(), VulkanBackend(), MetalBackend(), NNAPIBackend(), NullBackend()], passes: standardPasses,
      instructionSets: InstructionSet.allCases.map(\.rawValue),
      availableInstructionSets: InstructionSet.available.map(\.rawValue),
      processorName: InstructionSet.processorName, heapCounter: heapCounter)
  }
}
