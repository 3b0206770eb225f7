import CDriver
import GraphCore
import ModelFiles
import RuntimeCore
import TensorCore

/// Models of a plan in a driver's process.
final class DriverModels: PreparedModels {
  fileprivate let models: DeviceModels
  fileprivate let use: DriverUse
  fileprivate let process: DriverProcess
  fileprivate let tokens: [String]
  /// What the driver keeps for them.
  private let prepared: [PreparedModel]

  init(_ models: DeviceModels, of driver: DriverBackend) throws {
    let process = try DriverProcess.shared(driver.profile, driver.use.computing)
    let tokens = models.models.map { Self.token($0.graph, models.options) }
    (self.models, self.tokens, self.process, use) = (models, tokens, process, driver.use)
    prepared = try zip(models.models, tokens).map { model, token in
      try PreparedModel(token, models.options, in: process) {
        let portable = PacerContents.Variant(nil, model.graph, passes: [])
        return PacerContents(name: model.graph.name, release: "driver", variants: [portable], targetPasses: [])
      }
    }
  }

  /// The same for the same model, prepared the same way.
  private static func token(_ graph: Graph, _ options: PrepareOptions) -> String {
    var digest = Digest()
    digest.combine("\(DriverOptions(options))")
    digest.combine(graph.structureDigest.value)
    // With those of bodies.
    digest.combine(graph.weightDigest.value)
    return digest.hex
  }

  func makeExecutor(_ memory: SharedMemory) throws -> any ModelExecutor { try DriverExecutor(self, memory) }
}

/// A session's end of a driver: a channel, over which it asks.
final class DriverExecutor: ModelExecutor {
  private let driver: DriverModels
  private let channel: DriverChannel
  /// Where executions are handed in, unless they are sent.
  private let ticket: BurstTicket?
  let deviceBytes: Int?
  /// Why the driver is not asked any more.
  private var end: DriverError?

  init(_ driver: DriverModels, _ memory: SharedMemory) throws {
    let process = driver.process
    ticket = driver.use.mode == .burst ? try BurstTicket() : nil
    channel = try process.connect()
    self.driver = driver
    _ = try DriverProcess.ask(.open(byteCount: memory.byteCount), on: channel, of: process, with: memory.descriptor)
    var bytes: Int? = 0
    for (model, token) in zip(driver.models.models, driver.tokens) {
      let reply = try DriverProcess.ask(
        .segment(token: token, inputs: model.inputs, outputs: model.outputs), on: channel, of: process)
      bytes = bytes.flatMap { sum in reply.memoryBytes.map { sum + $0 } }
    }
    if let ticket { _ = try DriverProcess.ask(.burst, on: channel, of: process, with: ticket.memory.descriptor) }
    deviceBytes = bytes
  }

  func execute(_ index: Int, deadlineNs: Int?) throws(DriverError) -> DriverExecution.Answer {
    if let end { throw end }
    let (name, use, start) = (driver.process.name, driver.use, driverClockNs())
    let deadline = min(use.timeoutNs.map { start + $0 } ?? .max, deadlineNs ?? .max)
    let hasDeadline = deadline < .max
    let execution = DriverExecution(segment: index, deadlineNs: hasDeadline ? deadline : 0, priority: use.priority)
    // It has as long again to say that it is late.
    let left = max(deadline - start, 0)
    let timeout = hasDeadline ? max(2 * left, left + 100_000_000) / 1_000_000 + 1 : nil
    let answer: DriverExecution.Answer?
    do {
      if let ticket {
        answer = try ticket.ask(execution, timeout: timeout) { pacer_is_closed(channel.descriptor) }
      } else {
        try withUnsafeBytes(of: execution.numbers) { try channel.send($0) }
        answer = try channel.receive(timeout: timeout) { bytes, _ in DriverExecution.Answer(bytes) }
      }
    } catch is DriverChannel.Closed {
      throw DriverError(.deadObject, driver: name, driver.process.ending())
    } catch is DriverChannel.TimedOut {
      driver.process.stop()
      let words = "it did not answer by its deadline, and was ended"
      end = DriverError(.deadObject, driver: name, words)
      throw DriverError(.missedDeadlinePersistent, driver: name, words)
    } catch {
      throw DriverError(.opFailed, driver: name, "\(error)")
    }
    guard let answer else { throw DriverError(.opFailed, driver: name, "its answer is none") }
    guard answer.code == .noError else { throw DriverError(answer.code, driver: name, answer.reason) }
    return answer
  }
}
