import CDriver
import RuntimeCore

/// How a session has its models executed.
public enum ExecutionMode: String, Sendable, CaseIterable {
  /// Each with a message, and an answer that is waited for.
  case sync
  /// Through memory that both see, for sessions that run often: nothing is sent. Who waits sleeps: to look at the memory again and again
  /// meanwhile was measured to cost more than waking, on two processors that share what is slow.
  case burst
  /// As ``sync``, of inferences that are started and waited for by events: see ``Session/start(after:durationAfterFence:)``.
  case fenced
}

/// Where a client puts an execution and finds its answer: memory of its own that it shares with a driver.
final class BurstTicket {
  static let byteCount = 4096
  let memory: SharedMemory

  // Client and driver each write to lines of their own.
  private static let request = 0
  private static let answer = 64
  private static let execution = 128
  private static let answered = 192
  private static let longest = byteCount - answered - 8

  init() throws { memory = try SharedMemory(byteCount: Self.byteCount) }

  /// A client's.
  init(_ memory: SharedMemory) { self.memory = memory }

  private func word(_ place: Int) -> UnsafeMutablePointer<UInt32> {
    (memory.pointer + place).assumingMemoryBound(to: UInt32.self)
  }
  private func wait(_ place: Int, after old: UInt32, _ timeoutNs: Int) -> Bool {
    pacer_await_change(word(place), word(place + 4), old, Int64(timeoutNs))
  }
  private func change(_ place: Int, to number: UInt32) { pacer_change(word(place), word(place + 4), number) }

  /// A client's: hands in an execution, and waits for its answer.
  /// - Parameters:
  ///   - timeout: milliseconds; nil for as long as it takes.
  ///   - isClosed: whether the driver is gone.
  /// - Throws: ``DriverChannel/Closed``, ``DriverChannel/TimedOut``. After these the ticket is used no more.
  func ask(
    _ execution: DriverExecution, timeout: Int?, isClosed: () -> Bool
  ) throws -> DriverExecution.Answer? {
    withUnsafeBytes(of: execution.numbers) {
      (memory.pointer + Self.execution).copyMemory(from: $0.baseAddress!, byteCount: $0.count)
    }
    // The driver's last word is the number of the execution before.
    let before = word(Self.request).pointee
    let start = driverClockNs()
    change(Self.request, to: before &+ 1)
    while !wait(Self.answer, after: before, 20_000_000) {
      if isClosed() { throw DriverChannel.Closed() }
      if let timeout, driverClockNs() - start > timeout * 1_000_000 { throw DriverChannel.TimedOut() }
    }
    let count = (memory.pointer + Self.answered).load(as: Int64.self)
    guard (0...Int64(Self.longest)).contains(count) else { return nil }
    return DriverExecution.Answer(
      UnsafeRawBufferPointer(start: memory.pointer + Self.answered + 8, count: Int(count)))
  }

  /// A driver's: answers executions until there is nobody to answer.
  func serve(until isClosed: () -> Bool, _ execute: (DriverExecution) -> DriverExecution.Answer) {
    var last: UInt32 = 0
    while !isClosed() {
      guard wait(Self.request, after: last, 100_000_000) else { continue }
      last &+= 1
      let bytes = UnsafeRawBufferPointer(start: memory.pointer + Self.execution, count: 32)
      let answer =
        DriverExecution(bytes).map(execute) ?? DriverExecution.Answer(.badData, reason: "the ticket holds no execution")
      let reply = answer.bytes.prefix(Self.longest)
      (memory.pointer + Self.answered).storeBytes(of: Int64(reply.count), as: Int64.self)
      reply.withUnsafeBytes {
        (memory.pointer + Self.answered + 8).copyMemory(from: $0.baseAddress!, byteCount: $0.count)
      }
      change(Self.answer, to: last)
    }
  }
}
