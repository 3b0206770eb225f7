import CNeuralNetworks
import GraphCore
import RuntimeCore
import TensorCore

/// Which nodes Android's library computes: what support is asked of.
struct AndroidBackend: Backend {
  let name = "android"
  let profile: DriverProfile

  func availability(_ options: PrepareOptions) -> Availability {
    do {
      let devices = try NeuralNetworks.shared.get().devices(of: profile)
      let text = devices.map { "\($0.name) (\($0.kind.rawValue), version \($0.version), level \($0.level))" }
      return .available(DeviceInfo(name: profile.name, detail: text.joined(separator: ", ")))
    } catch { return .unavailable(reason: error.reason) }
  }

  func support(for node: Node, in graph: Graph, _ options: PrepareOptions) -> Support {
    guard !(node.op is any ControlOp) else {
      return .unsupported(reason: "Pacer's interpreter runs control flow, and \(profile.name) what it runs")
    }
    do {
      let library = try NeuralNetworks.shared.get()
      let model = try NNAPIModel(node, in: graph)
      let codes = model.operations.map(\.code)
      let built = try LibraryModel(model, of: graph, isRelaxed: false, driver: profile.name, library)
      // NNAPI's own processor code takes everything: it is no reason to delegate, unless it is named.
      let devices = try library.devices(of: profile)
      let asked = profile.device == nil ? devices.filter { $0.kind != .cpu } : devices
      guard !asked.isEmpty else {
        return .unsupported(reason: "\(profile.name) has no device but the processor; --driver android:NAME takes that")
      }
      let supported = try built.supported(by: asked, driver: profile.name)
      if let refused = zip(codes, supported).first(where: { !$1 })?.0 {
        return .unsupported(reason: "\(profile.name) has no \(refused) like this")
      }
      return .kernel(codes.map(\.description).joined(separator: "+"))
    } catch { return .unsupported(reason: (error as? DriverError)?.reason ?? "\(error)") }
  }

  func lower(_ nodes: [Int], of graph: Graph, _ options: PrepareOptions) throws -> any Lowering {
    throw Unsupported("\(profile.name) is a driver of nnapi's")
  }
}

/// Android's own library as a driver, in the process of who uses it: one of its devices, or all of them as it divides a model itself.
struct LibraryDevice: ModelDevice {
  let profile: DriverProfile
  let use: DriverUse
  let computing: any Backend
  var forgiven: String? { use.forgiven }

  init(_ profile: DriverProfile, _ use: DriverUse) {
    (self.profile, self.use) = (profile, use)
    computing = AndroidBackend(profile: profile)
  }

  func availability(_ options: PrepareOptions) -> Availability { computing.availability(options) }
  func prepare(_ models: DeviceModels) throws -> any PreparedModels { try LibraryModels(models, of: self) }
}

/// A plan's models, compiled by the library.
final class LibraryModels: PreparedModels, @unchecked Sendable {
  fileprivate struct Compiled {
    let model: LibraryModel
    let pointer: OpaquePointer
    /// Where each input and output lies, and its bytes.
    let inputs: [(offset: Int, byteCount: Int)]
    let outputs: [(offset: Int, byteCount: Int)]
  }
  fileprivate let library: NeuralNetworks
  fileprivate let device: LibraryDevice
  fileprivate private(set) var compiled: [Compiled] = []
  /// Whether there is exactly one device, which alone has time-outs and tells times.
  fileprivate var isSingle: Bool { device.profile.device != nil }

  init(_ models: DeviceModels, of device: LibraryDevice) throws {
    (library, self.device) = (try NeuralNetworks.shared.get(), device)
    let (functions, name, use) = (library.functions, device.name, device.use)
    func check(_ answer: Int32, _ call: String) throws(DriverError) {
      try NeuralNetworks.check(answer, call, driver: name)
    }
    for model in models.models {
      let own: NNAPIModel
      do { own = try NNAPIModel(model.graph, types: model.types) } catch let error as NotInNNAPI {
        throw DriverError(.badData, driver: name, "\(error)")
      }
      let built = try LibraryModel(own, of: model.graph, isRelaxed: use.relaxesFloat32, driver: name, library)
      var created: OpaquePointer?
      if isSingle {
        let pointers = try library.devices(of: device.profile).map(\.pointer)
        try check(
          functions.Compilation_createForDevices(built.pointer, pointers, UInt32(pointers.count), &created),
          "Compilation_createForDevices")
      } else {
        try check(functions.Compilation_create(built.pointer, &created), "Compilation_create")
      }
      guard let created else { throw DriverError(.unexpectedNull, driver: name, "Compilation_create makes none") }
      func places(_ ids: [ValueID], _ offsets: [Int]) -> [(offset: Int, byteCount: Int)] {
        zip(ids, offsets).map { ($1, model.graph[$0].type.byteCount) }
      }
      compiled.append(
        Compiled(
          model: built, pointer: created, inputs: places(model.graph.inputs, model.inputs),
          outputs: places(model.graph.outputs, model.outputs)))
      try check(functions.Compilation_setPreference(created, use.preference.number), "Compilation_setPreference")
      // What is not asked for is as the library has it.
      if use.priority != .medium {
        guard let setPriority = functions.Compilation_setPriority else {
          throw DriverError(.badData, driver: name, "priorities are there since Android 11 (API level 30)")
        }
        try check(setPriority(created, Int32(use.priority.number)), "Compilation_setPriority")
      }
      try check(functions.Compilation_finish(created), "Compilation_finish")
    }
  }

  deinit { for compiled in compiled { library.functions.Compilation_free(compiled.pointer) } }

  func makeExecutor(_ memory: SharedMemory) throws -> any ModelExecutor { try LibraryExecutor(self, memory) }
}

/// A session's executions by the library.
final class LibraryExecutor: ModelExecutor {
  private let models: LibraryModels
  private let memory: SharedMemory
  /// One for each model, of a session that runs in bursts.
  private var bursts: [OpaquePointer] = []
  /// The library does not say how much its devices keep.
  let deviceBytes: Int? = nil

  private var functions: PacerNeuralNetworks { models.library.functions }
  private var name: String { models.device.name }

  init(_ models: LibraryModels, _ memory: SharedMemory) throws {
    (self.models, self.memory) = (models, memory)
    guard models.device.use.mode == .burst else { return }
    for compiled in models.compiled {
      var burst: OpaquePointer?
      try check(functions.Burst_create(compiled.pointer, &burst), "Burst_create")
      guard let burst else { throw DriverError(.unexpectedNull, driver: name, "Burst_create makes none") }
      bursts.append(burst)
    }
  }

  deinit { for burst in bursts { functions.Burst_free(burst) } }

  private func check(_ answer: Int32, _ call: String) throws(DriverError) {
    try NeuralNetworks.check(answer, call, driver: name)
  }

  func execute(_ index: Int, deadlineNs: Int?) throws(DriverError) -> DriverExecution.Answer {
    let (compiled, use, start) = (models.compiled[index], models.device.use, driverClockNs())
    var created: OpaquePointer?
    try check(functions.Execution_create(compiled.pointer, &created), "Execution_create")
    guard let execution = created else {
      throw DriverError(.unexpectedNull, driver: name, "Execution_create makes none")
    }
    defer { functions.Execution_free(execution) }
    for (position, place) in compiled.inputs.enumerated() {
      try check(
        functions.Execution_setInput(execution, Int32(position), nil, memory.pointer + place.offset, place.byteCount),
        "Execution_setInput")
    }
    for (position, place) in compiled.outputs.enumerated() {
      try check(
        functions.Execution_setOutput(execution, Int32(position), nil, memory.pointer + place.offset, place.byteCount),
        "Execution_setOutput")
    }
    if models.isSingle {
      try check(functions.Execution_setMeasureTiming(execution, true), "Execution_setMeasureTiming")
    }
    let deadline = min(use.timeoutNs.map { start + $0 } ?? .max, deadlineNs ?? .max)
    if deadline < .max {
      guard models.isSingle, let setTimeout = functions.Execution_setTimeout else {
        throw DriverError(
          .badData, driver: name,
          "a time-out needs exactly one explicit device (--driver android:NAME) and Android 11 (API level 30)")
      }
      try check(setTimeout(execution, UInt64(max(deadline - start, 1))), "Execution_setTimeout")
    }
    try compute(execution, index)
    let isFenced = use.mode == .fenced && functions.Execution_startComputeWithDependencies != nil
    func duration(_ kind: Int32) -> Int? {
      var nanoseconds = UInt64.max
      guard models.isSingle, functions.Execution_getDuration(execution, kind, &nanoseconds) == 0,
        nanoseconds != .max
      else { return nil }
      return Int(clamping: nanoseconds)
    }
    return DriverExecution.Answer(
      .noError, onHardwareNs: duration(isFenced ? 2 : 0), inDriverNs: duration(isFenced ? 3 : 1), queuedNs: nil,
      processorNs: nil)
  }

  private func compute(_ execution: OpaquePointer, _ index: Int) throws(DriverError) {
    switch models.device.use.mode {
    case .burst: try check(functions.Execution_burstCompute(execution, bursts[index]), "Execution_burstCompute")
    case .fenced:
      guard let startCompute = functions.Execution_startComputeWithDependencies, let wait = functions.Event_wait,
        let free = functions.Event_free
      else { fallthrough }
      var event: OpaquePointer?
      try check(startCompute(execution, nil, 0, 0, &event), "Execution_startComputeWithDependencies")
      guard let event else {
        throw DriverError(.unexpectedNull, driver: name, "an execution was started without an event")
      }
      defer { free(event) }
      try check(wait(event), "Event_wait")
    case .sync: try check(functions.Execution_compute(execution), "Execution_compute")
    }
  }
}

extension ExecutionPreference {
  /// As NNAPI counts them.
  var number: Int32 {
    switch self {
    case .lowPower: 0
    case .fastSingleAnswer: 1
    case .sustainedSpeed: 2
    }
  }
}
