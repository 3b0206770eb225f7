/// A driver: what it says of itself, what it refuses, what computes underneath, and what goes wrong in it.
///
/// Those that come with Pacer compute on this machine. A profile says what a real driver would accept and how fast it claims to be, so
/// that its partitions and fallbacks can be studied on a desk; its times are those of what computes underneath.
public struct DriverProfile: Sendable, Codable, Equatable {
  public enum Kind: String, Sendable, Codable, CaseIterable {
    case unknown, other, cpu, gpu, accelerator
  }

  /// What computes.
  public enum Compute: String, Sendable, Codable, CaseIterable {
    /// Pacer's best kernels for the processor.
    case cpu
    /// Convolutions as whole matrices, one kernel behind the other: as NNAPI's own processor code.
    case im2col
    /// The reference loops.
    case reference
    case vulkan
    /// Android's own neural networks library, in the process of who uses it.
    case android
  }

  public var name: String
  public var version: String
  public var kind: Kind
  /// What it is, in a sentence, with the source of its limits.
  public var summary: String
  public var compute: Compute
  /// Of Android's library the one device that it is, by its name there; nil for all, between which the library divides.
  public var device: String?
  public var capabilities: Capabilities
  public var limits: Limits
  public var faults: [Fault]
  /// Whether it stands for a driver of another machine.
  public var isProfile: Bool

  public init(
    _ name: String, version: String = "1", kind: Kind = .other, summary: String = "", compute: Compute = .cpu,
    capabilities: Capabilities = Capabilities(), limits: Limits = Limits(), faults: [Fault] = [],
    isProfile: Bool = false
  ) {
    (self.name, self.version, self.kind, self.summary) = (name, version, kind, summary)
    (self.compute, self.capabilities, self.limits, self.faults) = (compute, capabilities, limits, faults)
    self.isProfile = isProfile
  }

  /// What a driver accepts of what NNAPI can express.
  public struct Limits: Sendable, Codable, Equatable {
    /// Nil for all.
    public var operations: Set<OperationCode>?
    /// Of these none, whatever `operations` says.
    public var withoutOperations: Set<OperationCode>
    /// Of operands that are computed or given; nil for all.
    public var operandTypes: Set<OperandType>?
    /// Axes of an operand.
    public var maxRank: Int?
    /// Batch of an operand: the first extent.
    public var maxBatch: Int?
    /// How images may lie; nil for both ways.
    public var layout: ImageLayout?
    /// Nodes of a model that it takes, the first ones; nil for any number.
    public var maxNodes: Int?

    public init(
      operations: Set<OperationCode>? = nil, withoutOperations: Set<OperationCode> = [],
      operandTypes: Set<OperandType>? = nil, maxRank: Int? = nil, maxBatch: Int? = nil, layout: ImageLayout? = nil,
      maxNodes: Int? = nil
    ) {
      (self.operations, self.withoutOperations, self.operandTypes) = (operations, withoutOperations, operandTypes)
      (self.maxRank, self.maxBatch, self.layout, self.maxNodes) = (maxRank, maxBatch, layout, maxNodes)
    }
  }

  public enum ImageLayout: String, Sendable, Codable, CaseIterable { case nchw, nhwc }

  /// Something that goes wrong at some call of its kind.
  public struct Fault: Sendable, Codable, Equatable {
    public enum Call: String, Sendable, Codable, CaseIterable { case prepare, execute }
    public enum Effect: Sendable, Equatable {
      /// The process ends.
      case die
      /// It answers no more.
      case hang
      /// It answers later.
      case delay(milliseconds: Int)
      /// It answers with an error.
      case fail(ResultCode)
    }

    public var call: Call
    /// The first call of its kind that it is about, from 1 on.
    public var from: Int
    /// How many calls it is about; nil for all that follow.
    public var count: Int?
    public var effect: Effect

    public init(_ effect: Effect, at call: Call = .execute, from: Int = 1, count: Int? = nil) {
      (self.effect, self.call, self.from, self.count) = (effect, call, from, count)
    }

    func applies(to call: Call, number: Int) -> Bool {
      call == self.call && number >= from && count.map { number - from < $0 } ?? true
    }
  }

  /// NNAPI's own processor code, which is always there and takes everything NNAPI has.
  public static let reference = DriverProfile(
    "nnapi-reference", kind: .cpu, summary: "NNAPI's own processor code: slow, always there, takes everything",
    compute: .im2col, capabilities: Capabilities(if: .cpu, while: .cpu))
  /// Pacer's fast kernels as a driver.
  public static let cpuFast = DriverProfile(
    "cpu-fast", kind: .cpu, summary: "Pacer's fast kernels in a process of their own",
    capabilities: Capabilities(others: PerformanceInfo(time: 0.5, power: 0.7)))
  /// The first Vulkan device.
  public static let vulkan = DriverProfile(
    "vulkan", kind: .gpu, summary: "a Vulkan device, driven from a process of its own", compute: .vulkan,
    capabilities: Capabilities(
      others: PerformanceInfo(time: 0.4, power: 0.5), relaxedFloat: PerformanceInfo(time: 0.3, power: 0.4)))
  /// Android's own library with all its devices. It tells no ratios, and stands for a tenth of the processor's time.
  public static let android = DriverProfile(
    "android", kind: .unknown,
    summary: "Android's own neural networks library; android:NAME is one of its devices", compute: .android,
    capabilities: Capabilities(others: PerformanceInfo(time: 0.1, power: 0.1)))
  /// Those that come with Pacer.
  public static let shipped = [cpuFast, vulkan, reference, android]

  /// One device of Android's library.
  public static func android(_ device: String) -> DriverProfile {
    var profile = android
    (profile.name, profile.device) = ("\(android.name):\(device)", device)
    return profile
  }

  /// The device that a driver's name asks of Android's library; nil where it does not.
  public static func androidDevice(_ name: String) -> String? {
    let prefix = android.name + ":"
    return name.hasPrefix(prefix) && name.count > prefix.count ? String(name.dropFirst(prefix.count)) : nil
  }
}

extension DriverProfile.Fault.Effect: Codable {
  /// `die`, `hang`, `delay 20 ms`, or a result code's name.
  public var text: String {
    switch self {
    case .die: "die"
    case .hang: "hang"
    case .delay(let milliseconds): "delay \(milliseconds) ms"
    case .fail(let code): "\(code)"
    }
  }

  public init?(_ text: String) {
    let words = text.split(separator: " ")
    switch words.first {
    case "die" where words.count == 1: self = .die
    case "hang" where words.count == 1: self = .hang
    case "delay":
      guard words.count == 3, words[2] == "ms", let milliseconds = Int(words[1]), (0...3_600_000).contains(milliseconds)
      else { return nil }
      self = .delay(milliseconds: milliseconds)
    default:
      guard let code = ResultCode(name: text), code != .noError else { return nil }
      self = .fail(code)
    }
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let effect = Self(text) else {
      throw DecodingError.dataCorruptedError(
        in: container,
        debugDescription: "a fault is die, hang, \"delay 20 ms\" or a result code such as OP_FAILED, not \"\(text)\"")
    }
    self = effect
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(text)
  }
}
