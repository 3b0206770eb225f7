@_exported import BackendCPU
@_exported import BackendMetal
@_exported import BackendVulkan
@_exported import Delegation
@_exported import GraphCore
@_exported import GraphPasses
@_exported import ModelFiles
@_exported import ModelZoo
@_exported import RuntimeCore
@_exported import TensorCore

/// Pacer's release. A version in a result adds commit and changes to it.
public let pacerRelease = "0.9.0"

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

/// Everything that graphs can be built from, optimised with and run on, as a value: whoever builds one decides what is in
/// it.
public struct Runtime: Sendable {
  public var models: [ModelDescription]
  public var backends: [any Backend]
  /// In the order in which they run.
  public var passes: [any Pass]
  /// Runs the nodes that a backend has no kernel for, and the inferences in which one fails; nil for none.
  public var fallback: (any Backend)?

  public init(
    models: [ModelDescription], backends: [any Backend], passes: [any Pass], fallback: (any Backend)? = CPUBackend()
  ) {
    (self.models, self.backends, self.passes, self.fallback) = (models, backends, passes, fallback)
  }

  /// What comes with Pacer.
  public static let standard = Runtime(
    models: [.mobileNetV2, .resNet18, .mobileNetV3Small],
    backends: [CPUBackend(), VulkanBackend(), MetalBackend(), NNAPIBackend(), NullBackend()], passes: standardPasses)

  /// - Throws: ``UnknownName``.
  public func model(_ name: String) throws -> ModelDescription {
    if let model = models.first(where: { $0.name == name || $0.aliases.contains(name) }) { return model }
    throw UnknownName(kind: "model", name: name, known: models.map(\.name))
  }

  /// The same, with drivers that nnapi may be given besides its own, by what they are named.
  public func knowing(_ drivers: [String: DriverProfile]) -> Runtime {
    var copy = self
    copy.backends = backends.map { backend in
      guard var nnapi = backend as? NNAPIBackend else { return backend }
      nnapi.known.merge(drivers) { $1 }
      return nnapi
    }
    return copy
  }

  /// - Throws: ``UnknownName``.
  public func backend(_ name: String) throws -> any Backend {
    if let backend = backends.first(where: { $0.name == name }) { return backend }
    throw UnknownName(kind: "backend", name: name, known: backends.map(\.name))
  }

  /// The passes of these names, in the order in which they run.
  /// - Throws: ``UnknownName``.
  public func passes(_ names: [String]) throws -> [any Pass] {
    for name in names where !passes.contains(where: { $0.name == name }) {
      throw UnknownName(kind: "pass", name: name, known: passes.map(\.name))
    }
    return passes.filter { names.contains($0.name) }
  }
}
