import BackendCPU
import GraphCore
import RuntimeCore
import TensorCore

/// How a client uses drivers.
struct DriverUse: Sendable {
  /// Choices of what computes underneath, such as an instruction set.
  var computing: [String: String] = [:]
  /// Whether a step whose driver fails is computed by NNAPI's processor code.
  var fallsBack = true
  /// Of each execution, in nanoseconds; nil for none.
  var timeoutNs: Int?
  var priority = ExecutionPriority.medium
  var mode = ExecutionMode.sync
  /// What is told to a library that chooses between devices itself.
  var preference = ExecutionPreference.sustainedSpeed
  var relaxesFloat32 = false
  /// See ``NNAPIDevice``.
  var forgiven: String?
}

/// A driver in a process of its own: what is placed on it goes there as models over shared memory.
struct DriverBackend: ModelDevice {
  let profile: DriverProfile
  let use: DriverUse
  let computing: any Backend
  var forgiven: String? { use.forgiven }

  init(_ profile: DriverProfile, _ use: DriverUse) throws {
    (self.profile, self.use) = (profile, use)
    computing = try profile.computing(use.computing)
  }

  func availability(_ options: PrepareOptions) -> Availability {
    if case .failure(let error) = DriverProcess.program { return .unavailable(reason: error.reason) }
    switch computing.availability(profile.own(options)) {
    case .available(let device):
      return .available(DeviceInfo(name: name, detail: "\(device.name), \(device.detail)"))
    case let unavailable: return unavailable
    }
  }

  func prepare(_ models: DeviceModels) throws -> any PreparedModels { try DriverModels(models, of: self) }
}

/// NNAPI's own processor code, in the process of who uses it, as on Android.
struct ProcessorDevice: NNAPIDevice {
  let profile: DriverProfile
  let computing: any Backend
  let forgiven: String?

  init(_ profile: DriverProfile, _ use: DriverUse) throws {
    (self.profile, forgiven) = (profile, use.forgiven)
    computing = try profile.computing(use.computing)
  }

  func availability(_ options: PrepareOptions) -> Availability { computing.availability(options) }
  func lower(_ nodes: [Int], of graph: Graph, _ options: PrepareOptions) throws -> any Lowering {
    try check(nodes, of: graph, options)
    return try computing.lower(nodes, of: graph, options)
  }
}

/// NNAPI's interpreter: IF and WHILE themselves on the processor, what they run wherever NNAPI places it.
struct InterpreterDevice: Backend {
  let name = "nnapi-interpreter"
  private let processor: CPUBackend

  /// - Parameters:
  ///   - nnapi: places what runs in branches and loops.
  ///   - processor: interprets.
  init(_ nnapi: NNAPIBackend, _ processor: CPUBackend) {
    var processor = processor
    let fallback: (any Backend)? = nnapi.allowsFallback ? CPUBackend(instructionSet: processor.instructionSet) : nil
    processor.bodies = BodyPlacement(nnapi, fallback: fallback, loopTimeoutNs: nnapi.loopTimeoutNs)
    self.processor = processor
  }

  func support(for node: Node, in graph: Graph, _ options: PrepareOptions) -> Support {
    guard node.op is any ControlOp else { return .unsupported(reason: "it runs control flow alone") }
    do { _ = try graph.nnapiOperations(for: node) } catch { return .unsupported(reason: "\(error)") }
    return processor.support(for: node, in: graph, options)
  }
  func target(_ options: PrepareOptions) throws -> any TargetTraits { try processor.target(options) }
  func availability(_ options: PrepareOptions) -> Availability { processor.availability(options) }
  func lower(_ nodes: [Int], of graph: Graph, _ options: PrepareOptions) throws -> any Lowering {
    try check(nodes, of: graph, options)
    return try processor.lower(nodes, of: graph, options)
  }
}
