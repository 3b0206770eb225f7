import CDriver
import GraphCore
import RuntimeCore
import TensorCore

/// A session's end of a driver: a channel, and memory that both see.
final class DriverSession {
  let segments: DriverSegments
  let memory: SharedMemory
  /// Nil where the driver could not be prepared.
  private let channel: DriverChannel?
  /// Where executions are handed in, unless they are sent.
  private let ticket: BurstTicket?
  private var statistics = DelegationStatistics()
  /// Bytes on the device, as far as the driver tells.
  let deviceBytes: Int
  /// Computes in the place of the driver, by segment, once that has failed at it.
  private var substitutes: [Int: Session] = [:]
  /// Why the driver is not asked any more.
  private var end: DriverError?

  init(_ segments: DriverSegments) throws {
    self.segments = segments
    memory = try SharedMemory(byteCount: segments.byteCount)
    statistics.bytesKeptPerRun = segments.bytesKept
    var (channel, end, deviceBytes) = (nil as DriverChannel?, segments.failure, 0)
    let ticket = segments.driver.use.mode == .burst && segments.process != nil ? try BurstTicket() : nil
    if let process = segments.process {
      do {
        let made = try process.connect()
        _ = try DriverProcess.ask(
          .open(byteCount: memory.byteCount), on: made, of: process, with: memory.descriptor)
        for model in segments.models {
          let reply = try DriverProcess.ask(
            .segment(token: model.token, inputs: model.inputs, outputs: model.outputs), on: made, of: process)
          deviceBytes += reply.memoryBytes ?? 0
        }
        if let ticket {
          _ = try DriverProcess.ask(.burst, on: made, of: process, with: ticket.memory.descriptor)
        }
        channel = made
      } catch let error where segments.driver.use.fallsBack && (error is DriverError || error is SystemFailure) {
        end = DriverError(preparing: segments.driver.name, error)
      }
    }
    (self.channel, self.ticket, self.end, self.deviceBytes) = (channel, ticket, end, deviceBytes)
  }

  var delegation: DelegationStatistics { statistics }

  /// Runs a model on the driver; where that fails, on the processor if that is allowed.
  /// - Parameter deadlineNs: on the clock of ``driverClockNs()``; nil for none but the client's own.
  func execute(_ index: Int, deadlineNs: Int?) throws {
    let answer: DriverExecution.Answer
    do {
      if let end { throw end }
      guard let channel, let process = segments.process else {
        throw DriverError(.badState, driver: segments.driver.name, "it was not prepared")
      }
      answer = try ask(index, deadlineNs, channel, process)
    } catch let error as DriverError {
      if error.code == .deadObject { end = error }
      guard segments.driver.use.fallsBack, !error.isFinal else { throw error }
      return try substitute(index, for: error)
    }
    statistics.add(answer)
  }

  private func ask(
    _ index: Int, _ deadlineNs: Int?, _ channel: DriverChannel, _ process: DriverProcess
  ) throws -> DriverExecution.Answer {
    let (driver, use, start) = (segments.driver.name, segments.driver.use, driverClockNs())
    let deadline = min(use.timeoutNs.map { start + $0 } ?? .max, deadlineNs ?? .max)
    let hasDeadline = deadline < .max
    let execution = DriverExecution(segment: index, deadlineNs: hasDeadline ? deadline : 0, priority: use.priority)
    // It has as long again to say that it is late.
    let left = max(deadline - start, 0)
    let timeout = hasDeadline ? max(2 * left, left + 100_000_000) / 1_000_000 + 1 : nil
    do {
      let answer: DriverExecution.Answer?
      if let ticket {
        answer = try ticket.ask(execution, timeout: timeout) { pacer_is_closed(channel.descriptor) }
      } else {
        try withUnsafeBytes(of: execution.numbers) { try channel.send($0) }
        answer = try channel.receive(timeout: timeout) { bytes, _ in DriverExecution.Answer(bytes) }
      }
      guard let answer else { throw DriverError(.opFailed, driver: driver, "its answer is none") }
      guard answer.code == .noError else { throw DriverError(answer.code, driver: driver, answer.reason) }
      return answer
    } catch is DriverChannel.Closed {
      throw DriverError(.deadObject, driver: driver, process.ending())
    } catch is DriverChannel.TimedOut {
      process.stop()
      let words = "it did not answer by its deadline, and was ended"
      end = DriverError(.deadObject, driver: driver, words)
      throw DriverError(.missedDeadlinePersistent, driver: driver, words)
    } catch let error as SystemFailure {
      throw DriverError(.opFailed, driver: driver, "\(error)")
    }
  }

  /// Computes a model with NNAPI's own processor code, from the inputs that the driver was given.
  private func substitute(_ index: Int, for error: DriverError) throws {
    let model = segments.models[index]
    do {
      let session = try substitutes[index] ?? makeSubstitute(model)
      substitutes[index] = session
      try session.run()
    } catch let second {
      throw DriverError(error.code, driver: error.driver, "\(error.reason); and on the processor: \(second)")
    }
    statistics.fallbacks += 1
    statistics.firstFailure = statistics.firstFailure ?? "\(error)"
  }

  private func makeSubstitute(_ model: DriverSegments.Model) throws -> Session {
    let backend = try DriverProfile.reference.computing(segments.driver.use.computing)
    let options = PrepareOptions(threads: segments.options.threads, hugePages: false)
    func tensors(_ ids: [ValueID], _ places: [Int]) -> [Tensor] {
      zip(ids, places).map { id, place in
        let type = model.graph[id].type
        return Tensor(
          type: type, storage: Storage(borrowing: memory.pointer + place, byteCount: type.storageByteCount))
      }
    }
    return try backend.prepare(model.graph, options).makeSession(
      inputs: tensors(model.graph.inputs, model.inputs), outputs: tensors(model.graph.outputs, model.outputs))
  }
}

extension DriverError {
  /// Why a driver could not be prepared. A deadline that it says it missed is none of a client's that waits for no result yet.
  init(preparing driver: String, _ error: any Error) {
    guard let own = error as? DriverError else {
      self.init(.resourceExhaustedTransient, driver: driver, "\(error)")
      return
    }
    self.init(own.isFinal ? .opFailed : own.code, driver: driver, own.reason)
  }
}
