import BackendCPU
import GraphCore
import RuntimeCore
import TensorCore

/// Delegation to accelerator drivers after the manner of Android's NNAPI: the graph is split between drivers by what each can do and
/// promises; what NNAPI cannot express, or no driver takes, stays with the processor.
public struct NNAPIBackend: Backend {
  public let name = "nnapi"
  /// Those that are installed, in order; NNAPI's own processor code is always behind them.
  public var drivers: [DriverProfile]
  /// Drivers that may be named, by what they are named.
  public var known: [String: DriverProfile]
  public var preference: ExecutionPreference
  /// Whether float32 may be computed in 16 bits.
  public var relaxesFloat32: Bool
  /// NNAPI's list of devices: `drivers` are all there are, and nothing falls back.
  public var isExplicit: Bool
  /// Whether a step that a driver fails at is computed by the processor.
  public var fallsBack: Bool
  /// Of each execution, in nanoseconds; only of one explicit device.
  public var timeoutNs: Int?
  public var priority: ExecutionPriority
  /// How drivers are asked.
  public var mode = ExecutionMode.sync
  /// Of each loop that the processor interprets, in nanoseconds: 2 seconds unless it is chosen, 15 at most.
  public var loopTimeoutNs = 2_000_000_000 { didSet { loopTimeoutNs = min(loopTimeoutNs, 15_000_000_000) } }
  /// How graphs are divided between devices.
  public var partition = PartitionMode.nnapi
  /// Gets all nodes that it takes; nil for none.
  var sole: String?
  /// A reason for which drivers refuse nodes that is taken for none: what a plan would be without it, which nothing may run.
  package var forgiven: String?
  private var computing: [String: String] = [:]

  /// Drivers that come with Pacer, by name.
  public static let shipped = Dictionary(uniqueKeysWithValues: DriverProfile.shipped.map { ($0.name, $0) })

  /// - Parameters: as the properties of the same names.
  public init(
    drivers: [DriverProfile] = [.cpuFast], known: [String: DriverProfile] = NNAPIBackend.shipped,
    preference: ExecutionPreference = .sustainedSpeed, relaxesFloat32: Bool = false, isExplicit: Bool = false,
    fallsBack: Bool = true, timeoutNs: Int? = nil, priority: ExecutionPriority = .medium
  ) {
    (self.drivers, self.known, self.preference) = (drivers, known, preference)
    (self.relaxesFloat32, self.isExplicit, self.fallsBack) = (relaxesFloat32, isExplicit, fallsBack)
    (self.timeoutNs, self.priority) = (timeoutNs, priority)
  }

  public func choosing(_ option: String, _ value: String) throws -> NNAPIBackend? {
    var backend = self
    func isOn() throws -> Bool {
      guard ["on", "off"].contains(value) else { throw Unsupported("\(option) is on or off, not \(value)") }
      return value == "on"
    }
    switch option {
    case "driver":
      backend.drivers = try value.split(separator: "+").map { name in
        if let device = DriverProfile.androidDevice(String(name)) { return .android(device) }
        guard let found = known[String(name)] else {
          throw UnknownName(kind: "driver", name: String(name), known: known.keys.sorted())
        }
        return found
      }
    case "partition":
      guard PartitionMode.names.contains(value) else {
        throw UnknownName(kind: option, name: value, known: PartitionMode.names)
      }
      backend.partition = value == "measured" ? .measured(nil) : .nnapi
    case "preference":
      backend.preference = try Self.choice(option, value)
    case "relax-fp32": backend.relaxesFloat32 = try isOn()
    case "explicit-device": backend.isExplicit = try isOn()
    case "fallback": backend.fallsBack = try isOn()
    case "driver-timeout":
      guard let milliseconds = Int(value), milliseconds > 0, milliseconds <= 3_600_000 else {
        throw Unsupported("a time-out is 1 to 3,600,000 milliseconds, not \(value)")
      }
      backend.timeoutNs = milliseconds * 1_000_000
    case "execution": backend.mode = try Self.choice(option, value)
    case "loop-timeout":
      guard let milliseconds = Int(value), milliseconds > 0, milliseconds <= 15_000 else {
        throw Unsupported("a loop's time-out is 1 to 15,000 milliseconds, not \(value)")
      }
      backend.loopTimeoutNs = milliseconds * 1_000_000
    case "priority":
      backend.priority = try Self.choice(option, value)
    case "isa", "kernels", "device", "storage", "pipeline-cache":
      let all = drivers + [.reference]
      guard try all.contains(where: { try $0.computing([:]).choosing(option, value) != nil }) else { return nil }
      backend.computing[option] = value
    default: return nil
    }
    return backend
  }

  private static func choice<Value: RawRepresentable<String> & CaseIterable>(
    _ option: String, _ text: String
  ) throws -> Value {
    if let value = Value(rawValue: text) { return value }
    throw UnknownName(kind: option, name: text, known: Value.allCases.map(\.rawValue))
  }

  /// Behind explicit devices there is nothing.
  public var allowsFallback: Bool { fallsBack && !isExplicit }

  private var use: DriverUse {
    DriverUse(
      computing: computing, fallsBack: allowsFallback, timeoutNs: timeoutNs, priority: priority, mode: mode,
      preference: preference, relaxesFloat32: relaxesFloat32, forgiven: forgiven)
  }

  /// Drivers, then the processor's own code; of explicit devices those that are named.
  var installed: [any NNAPIDevice] {
    get throws {
      let isNamed = drivers.contains { $0.name == DriverProfile.reference.name }
      let all = drivers.filter { $0.name != DriverProfile.reference.name }
      let processor = isExplicit && !isNamed ? [] : [try ProcessorDevice(.reference, use)]
      let devices: [any NNAPIDevice] = try all.map { profile in
        if profile.compute == .android { LibraryDevice(profile, use) } else { try DriverBackend(profile, use) }
      }
      return devices + processor
    }
  }

  /// Why it cannot be as it was chosen.
  private var fault: DriverError? {
    if drivers.isEmpty, isExplicit { return DriverError(.badData, "a list of explicit devices names one at least") }
    if Set(drivers.map(\.name)).count < drivers.count { return DriverError(.badData, "a driver is named twice") }
    if let timeoutNs, !(1...3_600_000_000_000).contains(timeoutNs) {
      return DriverError(.badData, "a time-out is at most an hour, not \(timeoutNs) ns")
    }
    if timeoutNs != nil, !isExplicit || drivers.count != 1 {
      return DriverError(
        .badData,
        "a time-out needs exactly one explicit device; "
          + (isExplicit ? "named are \(drivers.count)" : "this plan is partitioned"))
    }
    if case .measured(nil) = partition {
      return DriverError(.badState, "what a partition is to be measured by was not measured: see measuredPartition")
    }
    if forgiven != nil { return DriverError(.badState, "it stands for drivers that do not refuse what they do") }
    return nil
  }

  public func availability(_ options: PrepareOptions) -> Availability {
    if let fault { return .unavailable(reason: "\(fault)") }
    do {
      let devices = try installed
      for device in devices {
        if case .unavailable(let reason) = device.availability(options) {
          return .unavailable(reason: "driver \(device.name): \(reason)")
        }
      }
      let labels = devices.map { $0.name + ($0.profile.isProfile ? " (profile)" : "") }
      let others = labels.dropFirst().joined(separator: ", ")
      return .available(
        DeviceInfo(name: labels[0], detail: others.isEmpty ? "no driver behind it" : "behind it \(others)"))
    } catch { return .unavailable(reason: "\(error)") }
  }

  public func support(for node: Node, in graph: Graph, _ options: PrepareOptions) -> Support {
    let devices: [any NNAPIDevice]
    do { devices = try installed } catch { return .unsupported(reason: "\(error)") }
    var refusal = "no driver is installed"
    for device in devices {
      switch device.support(for: node, in: graph, options) {
      case .kernel(let name): return .kernel(name)
      case .unsupported(let reason): refusal = reason
      }
    }
    return .unsupported(reason: refusal)
  }

  /// Of the first device: what passes ask of a node, they ask of where it is placed.
  public func target(_ options: PrepareOptions) throws -> any TargetTraits {
    try installed.first?.target(options) ?? PlainTarget()
  }

  public func lower(_ nodes: [Int], of graph: Graph, _ options: PrepareOptions) throws -> any Lowering {
    throw Unsupported("nnapi hands nodes on to drivers")
  }

  /// Devices, and behind NNAPI's processor code its interpreter.
  public var members: [any Backend] {
    guard let installed = try? installed else { return [] }
    guard let processor = installed.last(where: \.isProcessor)?.computing as? CPUBackend else { return installed }
    return installed + [InterpreterDevice(self, processor)]
  }
  public var policy: any PlacementPolicy {
    guard case .measured(let partition?) = partition else { return placement }
    return MeasuredPlacement(partition: partition, nnapi: placement)
  }
  /// NNAPI's own choice.
  var placement: NNAPIPlacement {
    NNAPIPlacement(preference: preference, isRelaxed: relaxesFloat32, sole: sole)
  }

  /// What a driver promises of a node, over what the processor takes: IF counts itself and half of each branch, WHILE itself and once
  /// what it runs.
  public func performance(of node: Node, in graph: Graph, on capabilities: Capabilities) -> Float {
    placement.perf(of: node, in: graph, on: capabilities)
  }
}
