import CDriver
import Foundation
import GraphCore
import ModelFiles
import RuntimeCore
import Synchronization
import TensorCore

/// The process of a driver: prepares models and executes them in memory that it shares with its client, and ends with it.
public enum DriverService {
  /// Serves the client at the other end of standard input, until that is gone.
  /// - Returns: the status to exit with.
  public static func serve() -> Int32 {
    guard pacer_end_with(0) == 0 else { return 1 }
    let channel = DriverChannel(0)
    do {
      let (profile, computing) = try channel.receive { bytes, _ in
        guard
          case .configure(let profile, let computing) = try JSONDecoder().decode(DriverRequest.self, from: Data(bytes))
        else { throw DriverError(.badState, "the first message says which driver this is to be") }
        return (profile, computing)
      }
      let device = try DriverDevice(profile, computing)
      try channel.send(DriverReply(code: .noError, reason: ""))
      DriverConnection(channel, device).serve()
      return 0
    } catch is DriverChannel.Closed {
      return 0
    } catch {
      try? channel.send(DriverReply(code: .unavailableDevice, reason: "\(error)"))
      return 1
    }
  }
}

/// What all of a driver's connections share: its models, and the device that one execution uses at a time.
final class DriverDevice: Sendable {
  let profile: DriverProfile
  let backend: any Backend
  private struct State {
    var models: [String: Executable] = [:]
    /// Calls so far, of which faults are told apart.
    var calls: [DriverProfile.Fault.Call: Int] = [:]
    /// The time that each model took to execute last, in nanoseconds.
    var durations: [String: Int] = [:]
  }
  private let state = Mutex(State())
  let turns = ExecutionTurns()

  init(_ profile: DriverProfile, _ computing: [String: String]) throws {
    self.profile = profile
    backend = try profile.computing(computing)
  }

  func forget(_ token: String) {
    state.withLock { state in
      state.models[token] = nil
      state.durations[token] = nil
    }
  }
  func model(_ token: String) -> Executable? { state.withLock { $0.models[token] } }
  func duration(_ token: String) -> Int? { state.withLock { $0.durations[token] } }
  func forgetDuration(of token: String) { state.withLock { $0.durations[token] = nil } }
  func note(_ duration: Int, of token: String) { state.withLock { $0.durations[token] = duration } }

  func prepare(_ token: String, _ options: PrepareOptions, _ model: Descriptor) throws {
    let graph = try PacerFile("/proc/self/fd/\(model.number)").graph()
    let executable = try backend.prepare(graph, profile.own(options))
    state.withLock { $0.models[token] = executable }
  }

  /// Does what is to go wrong at this call.
  /// - Throws: the error that the driver is to answer with.
  func misbehave(at call: DriverProfile.Fault.Call) throws {
    let number = state.withLock { state in
      state.calls[call, default: 0] += 1
      return state.calls[call]!
    }
    for fault in profile.faults where fault.applies(to: call, number: number) {
      switch fault.effect {
      case .die: kill(getpid(), SIGKILL)
      case .hang: while true { pause() }
      case .delay(let milliseconds): usleep(UInt32(milliseconds) * 1000)
      case .fail(let code): throw DriverError(code, "the driver's profile has it fail")
      }
    }
  }
}

/// Lets executions onto a device one at a time, those of higher priority first, and those alike as they came.
final class ExecutionTurns: @unchecked Sendable {
  private let condition = NSCondition()
  private var isTaken = false
  private var waiting: [(priority: ExecutionPriority, number: Int)] = []
  private var count = 0

  /// Executions that wait now.
  var waitingCount: Int {
    condition.lock()
    defer { condition.unlock() }
    return waiting.count
  }

  /// - Returns: false where the deadline passed first.
  func take(_ priority: ExecutionPriority, deadlineNs: Int) -> Bool {
    condition.lock()
    defer { condition.unlock() }
    let own = (priority: priority, number: count)
    count += 1
    waiting.append(own)
    func isFirst() -> Bool {
      waiting.allSatisfy {
        $0.number == own.number || $0.priority < own.priority
          || $0.priority == own.priority && $0.number > own.number
      }
    }
    var isInTime = true
    while isInTime, isTaken || !isFirst() {
      if deadlineNs == 0 {
        condition.wait()
        continue
      }
      let left = deadlineNs - driverClockNs()
      isInTime = left > 0
      if isInTime { _ = condition.wait(until: Date(timeIntervalSinceNow: Double(left) / 1e9)) }
    }
    waiting.removeAll { $0.number == own.number }
    if isInTime { isTaken = true } else { condition.broadcast() }
    return isInTime
  }

  func give() {
    condition.lock()
    isTaken = false
    condition.broadcast()
    condition.unlock()
  }
}

/// A driver's end of one channel, with the segments of one session.
private final class DriverConnection: @unchecked Sendable {
  private let channel: DriverChannel
  private let device: DriverDevice
  private var memory: SharedMemory?
  private var segments: [(session: Session, token: String)] = []
  /// Whether executions come from a ticket.
  private var isBurst = false
  /// Whether the client is gone.
  private let isClosed = Atomic(false)
  private let client = getppid()

  init(_ channel: DriverChannel, _ device: DriverDevice) { (self.channel, self.device) = (channel, device) }

  /// Until the other end is gone.
  func serve() {
    defer { isClosed.store(true, ordering: .releasing) }
    while true {
      do {
        try channel.receive { bytes, passed in
          if let execution = DriverExecution(bytes) {
            try execute(execution).bytes.withUnsafeBytes { try channel.send($0) }
          } else {
            try channel.send(answer(Data(bytes), passed))
          }
        }
      } catch { return }
    }
  }

  private func answer(_ message: Data, _ passed: Descriptor?) -> DriverReply {
    do {
      switch try JSONDecoder().decode(DriverRequest.self, from: message) {
      case .configure: throw DriverError(.badState, "the driver is configured already")
      case .prepare(let token, let options, let hasModel, let left):
        for other in left { device.forget(other) }
        if device.model(token) != nil { return DriverReply(code: .noError, reason: "", isPrepared: true) }
        guard hasModel, let passed else { return DriverReply(code: .noError, reason: "", isPrepared: false) }
        try device.misbehave(at: .prepare)
        try device.prepare(token, options.options, passed)
        return DriverReply(code: .noError, reason: "", isPrepared: true)
      case .connect:
        guard let passed else { throw DriverError(.badData, "no channel came with the message") }
        let own = dup(passed.number)
        guard own >= 0 else { throw DriverError(.resourceExhaustedTransient, "\(SystemFailure("another channel"))") }
        let connection = DriverConnection(DriverChannel(own), device)
        Self.begin { connection.serve() }
        return DriverReply(code: .noError, reason: "")
      case .open(let byteCount):
        guard let passed else { throw DriverError(.badData, "no memory came with the message") }
        guard memory == nil else { throw DriverError(.badState, "the channel has memory already") }
        memory = try SharedMemory(passed, byteCount: byteCount)
        return DriverReply(code: .noError, reason: "")
      case .burst:
        guard let passed else { throw DriverError(.badData, "no memory came with the message") }
        guard !isBurst else { throw DriverError(.badState, "the channel has a ticket already") }
        isBurst = true
        let memory = try SharedMemory(passed, byteCount: BurstTicket.byteCount)
        // A client waits for its answer before it asks anything else, whichever way.
        Self.begin { [self] in
          BurstTicket(memory).serve(until: { isClosed.load(ordering: .acquiring) }, execute)
        }
        return DriverReply(code: .noError, reason: "")
      case .segment(let token, let inputs, let outputs):
        let session = try makeSession(token, inputs, outputs)
        segments.append((session, token))
        return DriverReply(code: .noError, reason: "", memoryBytes: try session.deviceStatistics?.memoryBytes)
      }
    } catch let error as DriverError {
      return DriverReply(code: error.code, reason: error.reason)
    } catch let error as OutOfMemory {
      return DriverReply(code: .outOfMemory, reason: "\(error)")
    } catch {
      return DriverReply(code: .opFailed, reason: "\(error)")
    }
  }

  private static func begin(_ work: @escaping @Sendable () -> Void) {
    let thread = Thread(block: work)
    thread.stackSize = 8 << 20
    thread.start()
  }

  private func makeSession(_ token: String, _ inputs: [Int], _ outputs: [Int]) throws -> Session {
    guard let model = device.model(token) else { throw DriverError(.badState, "no model was prepared as \(token)") }
    guard let memory else { throw DriverError(.badState, "the channel has no memory yet") }
    let graph = model.plan.graph
    func tensors(_ places: [Int], _ ids: [ValueID]) throws -> [Tensor] {
      guard places.count == ids.count else {
        throw DriverError(.badData, "\(places.count) places for \(ids.count) tensors")
      }
      return try zip(places, ids).map { place, id in
        let type = graph[id].type
        guard place >= 0, place % Storage.alignment == 0, place <= memory.byteCount,
          type.storageByteCount <= memory.byteCount - place
        else { throw DriverError(.badData, "\(graph[id].name) does not lie in the memory") }
        return Tensor(
          type: type, storage: Storage(borrowing: memory.pointer + place, byteCount: type.storageByteCount))
      }
    }
    return try model.makeSession(inputs: tensors(inputs, graph.inputs), outputs: tensors(outputs, graph.outputs))
  }

  private func execute(_ execution: DriverExecution) -> DriverExecution.Answer {
    let start = driverClockNs()
    guard segments.indices.contains(execution.segment) else {
      return DriverExecution.Answer(.badData, reason: "there is no segment \(execution.segment)")
    }
    let (session, token) = segments[execution.segment]
    let deadline = execution.deadlineNs
    if deadline > 0, let usual = device.duration(token), start + usual > deadline {
      // Asked again it may try: what it took may have been a matter of the moment.
      device.forgetDuration(of: token)
      return DriverExecution.Answer(
        deadline - start <= 0 ? .missedDeadlineTransient : .missedDeadlinePersistent,
        reason: "\((deadline - start) / 1000) µs are left, and the last execution took \(usual / 1000)")
    }
    guard device.turns.take(execution.priority, deadlineNs: deadline) else {
      return DriverExecution.Answer(
        .missedDeadlineTransient, inDriverNs: driverClockNs() - start, queuedNs: driverClockNs() - start,
        reason: "the deadline passed while other executions had the device")
    }
    defer { device.turns.give() }
    let (begun, before) = (driverClockNs(), Int(pacer_processor_time()))
    pacer_follow_processors(client)
    do {
      try device.misbehave(at: .execute)
      try session.run()
      let end = driverClockNs()
      device.note(end - begun, of: token)
      let isLate = deadline > 0 && end > deadline
      return DriverExecution.Answer(
        isLate ? .missedDeadlineTransient : .noError, inDriverNs: end - start, queuedNs: begun - start,
        processorNs: Int(pacer_processor_time()) - before, reason: isLate ? "it was done too late" : "")
    } catch let error as DriverError {
      return DriverExecution.Answer(error.code, inDriverNs: driverClockNs() - start, reason: error.reason)
    } catch {
      return DriverExecution.Answer(.opFailed, inDriverNs: driverClockNs() - start, reason: "\(error)")
    }
  }
}
