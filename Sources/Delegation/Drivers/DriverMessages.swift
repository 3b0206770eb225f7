import Foundation
import RuntimeCore

/// What a client asks of a driver, as JSON in one message; executions have a form of their own.
enum DriverRequest: Codable {
  /// The first message of a process: who it is to be.
  case configure(DriverProfile, computing: [String: String])
  /// Prepares the model that comes with the message, or finds the one that was prepared under the token; drops others, which sessions
  /// that run them keep.
  case prepare(token: String, options: DriverOptions, hasModel: Bool, forgetting: [String])
  /// Talks with whoever holds the other end of the channel that comes with the message, too.
  case connect
  /// Maps the memory that comes with the message, which the channel's segments read and write from then on.
  case open(byteCount: Int)
  /// Takes executions from the memory that comes with the message from then on, besides those that come as messages.
  case burst
  /// Makes the channel's next segment, of a prepared model, with the places of its inputs and outputs in that memory.
  case segment(token: String, inputs: [Int], outputs: [Int])
}

/// What of ``PrepareOptions`` a driver is told.
struct DriverOptions: Codable, Hashable {
  var allocator: AllocatorKind
  var threads: Int
  var inPlace: Bool

  init(_ options: PrepareOptions) {
    (allocator, threads, inPlace) = (options.allocator, options.threads, options.inPlace)
  }
  var options: PrepareOptions {
    PrepareOptions(allocator: allocator, threads: threads, inPlace: inPlace, hugePages: false)
  }
}

struct DriverReply: Codable {
  var code: ResultCode
  var reason: String
  /// Of `prepare`: whether the model is there.
  var isPrepared: Bool?
  /// Bytes of the device's memory that a segment takes.
  var memoryBytes: Int?
}

/// What is asked of a segment, and what came of it, in the fixed form of both directions: numbers of 64 bits, and behind an answer's
/// its reason.
struct DriverExecution {
  /// Tells it from JSON, which begins otherwise.
  static let mark: Int64 = -0x5061_6365_72

  var segment: Int
  /// On the machine's monotonic clock, in nanoseconds; 0 for none.
  var deadlineNs: Int
  var priority: ExecutionPriority

  var numbers: (Int64, Int64, Int64, Int64) { (Self.mark, Int64(segment), Int64(deadlineNs), priority.number) }

  init(segment: Int, deadlineNs: Int, priority: ExecutionPriority) {
    (self.segment, self.deadlineNs, self.priority) = (segment, deadlineNs, priority)
  }

  /// Nil where the bytes are no execution.
  init?(_ raw: UnsafeRawBufferPointer) {
    guard raw.count == 32 else { return nil }
    func number(_ index: Int) -> Int64 { raw.loadUnaligned(fromByteOffset: 8 * index, as: Int64.self) }
    guard number(0) == Self.mark, let priority = ExecutionPriority.allCases.first(where: { $0.number == number(3) })
    else { return nil }
    self.init(segment: Int(number(1)), deadlineNs: Int(number(2)), priority: priority)
  }

  struct Answer {
    var code: ResultCode
    /// Nanoseconds that the device computed; nil where it has no clock.
    var onHardwareNs: Int?
    /// Nanoseconds in the driver, with waiting for other executions; nil where it does not tell.
    var inDriverNs: Int?
    /// Of those, for other executions.
    var queuedNs: Int?
    /// Processor time of the driver's process.
    var processorNs: Int?
    var reason: String

    var bytes: [UInt8] {
      let numbers =
        [Int64(code.rawValue)] + [onHardwareNs, inDriverNs, queuedNs, processorNs].map { Int64($0 ?? -1) }
      return numbers.withUnsafeBytes { Array($0) } + Array(reason.utf8)
    }

    init(
      _ code: ResultCode, onHardwareNs: Int? = nil, inDriverNs: Int? = nil, queuedNs: Int? = nil,
      processorNs: Int? = nil, reason: String = ""
    ) {
      (self.code, self.onHardwareNs, self.inDriverNs) = (code, onHardwareNs, inDriverNs)
      (self.queuedNs, self.processorNs, self.reason) = (queuedNs, processorNs, reason)
    }

    init?(_ raw: UnsafeRawBufferPointer) {
      guard raw.count >= 40 else { return nil }
      func number(_ index: Int) -> Int? {
        let number = raw.loadUnaligned(fromByteOffset: 8 * index, as: Int64.self)
        return number < 0 ? nil : Int(number)
      }
      guard let code = number(0).flatMap(Int32.init(exactly:)).flatMap(ResultCode.init(rawValue:)) else { return nil }
      self.init(
        code, onHardwareNs: number(1), inDriverNs: number(2), queuedNs: number(3), processorNs: number(4),
        reason: raw.count > 40 ? String(decoding: raw[40...], as: UTF8.self) : "")
    }
  }
}

/// Which of several executions on one device goes first; within one process alone.
public enum ExecutionPriority: String, Sendable, CaseIterable, Comparable {
  case low, medium, high

  /// As NNAPI counts them.
  var number: Int64 {
    switch self {
    case .low: 90
    case .medium: 100
    case .high: 110
    }
  }
  public static func < (a: ExecutionPriority, b: ExecutionPriority) -> Bool { a.number < b.number }
}

extension DelegationStatistics {
  mutating func add(_ answer: DriverExecution.Answer) {
    executions += 1
    let isFirst = executions == 1
    // Not known of one is not known of all. Without key paths, which allocate.
    func added(_ sum: Int?, _ time: Int?) -> Int? {
      guard let time else { return nil }
      return isFirst ? time : sum.map { $0 + time }
    }
    onHardwareNs = added(onHardwareNs, answer.onHardwareNs)
    inDriverNs = added(inDriverNs, answer.inDriverNs)
    queuedNs = added(queuedNs, answer.queuedNs)
    processorNs = added(processorNs, answer.processorNs)
  }
}
