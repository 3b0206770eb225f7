import RuntimeCore

/// What a call of NNAPI answers; numbers and names are those of the NDK's `NeuralNetworks.h`, API level 30.
public enum ResultCode: Int32, NamedNumber {
  case noError = 0
  case outOfMemory = 1
  case incomplete = 2
  case unexpectedNull = 3
  case badData = 4
  case opFailed = 5
  case badState = 6
  case unmappable = 7
  case outputInsufficientSize = 8
  case unavailableDevice = 9
  case missedDeadlineTransient = 10
  case missedDeadlinePersistent = 11
  case resourceExhaustedTransient = 12
  case resourceExhaustedPersistent = 13
  case deadObject = 14

  public static let names = [
    "NO_ERROR", "OUT_OF_MEMORY", "INCOMPLETE", "UNEXPECTED_NULL", "BAD_DATA", "OP_FAILED", "BAD_STATE", "UNMAPPABLE",
    "OUTPUT_INSUFFICIENT_SIZE", "UNAVAILABLE_DEVICE", "MISSED_DEADLINE_TRANSIENT", "MISSED_DEADLINE_PERSISTENT",
    "RESOURCE_EXHAUSTED_TRANSIENT", "RESOURCE_EXHAUSTED_PERSISTENT", "DEAD_OBJECT",
  ]
}

/// A driver, or the plan that it is part of, did not do what was asked.
public struct DriverError: FinalError, Sendable, CustomStringConvertible {
  public let code: ResultCode
  /// Name of the driver; nil of errors of the whole plan.
  public let driver: String?
  public let reason: String

  public init(_ code: ResultCode, driver: String? = nil, _ reason: String) {
    (self.code, self.driver, self.reason) = (code, driver, reason)
  }

  /// Missing a deadline is an answer, which a later result does not mend.
  public var isFinal: Bool { [.missedDeadlineTransient, .missedDeadlinePersistent].contains(code) }

  public var description: String { (driver.map { "driver \($0): " } ?? "") + "\(code): \(reason)" }
}
