/// What the caller wants most: how NNAPI chooses between drivers.
public enum ExecutionPreference: String, Sendable, CaseIterable {
  /// For frames of a camera; what PyTorch asks for.
  case sustainedSpeed = "sustained-speed"
  case fastSingleAnswer = "fast-single-answer"
  /// For what is computed often.
  case lowPower = "low-power"
}

/// How a device compares with NNAPI's own processor code, which is 1 in both: a ratio that its driver states and nobody measured.
public struct PerformanceInfo: Sendable, Codable, Equatable {
  /// Time over the processor's.
  public var time: Float
  /// Power over the processor's.
  public var power: Float

  public init(time: Float, power: Float) { (self.time, self.power) = (time, power) }

  public static let cpu = PerformanceInfo(time: 1, power: 1)

  func perf(_ preference: ExecutionPreference) -> Float { preference == .lowPower ? power : time }
}

/// What a driver says of its device's speed.
public struct Capabilities: Sendable, Codable, Equatable {
  /// By the type of an operation's first operand.
  public var operands: [OperandType: PerformanceInfo]
  /// Of what `operands` does not name.
  public var others: PerformanceInfo
  /// Of float32 that may be computed in 16 bits.
  public var relaxedFloat: PerformanceInfo?
  /// Of IF and WHILE themselves, without what they run.
  public var `if`: PerformanceInfo?
  public var `while`: PerformanceInfo?

  public init(
    _ operands: [OperandType: PerformanceInfo] = [:], others: PerformanceInfo = .cpu,
    relaxedFloat: PerformanceInfo? = nil, if branch: PerformanceInfo? = nil, while loop: PerformanceInfo? = nil
  ) {
    (self.operands, self.others, self.relaxedFloat) = (operands, others, relaxedFloat)
    (self.if, self.while) = (branch, loop)
  }

  /// - Parameter isRelaxed: whether float32 may be computed in 16 bits.
  func performance(_ type: OperandType, isRelaxed: Bool) -> PerformanceInfo {
    if isRelaxed, type == .tensorFloat32 || type == .float32, let relaxedFloat { return relaxedFloat }
    return operands[type] ?? others
  }
}
