import Foundation
import GraphCore
import GraphPasses
import Pacer
import RuntimeCore
import TensorCore
import TestSupport
import Testing

@testable import Delegation

/// How executions reach drivers, and inferences that are started and waited for.
@Suite struct ExecutionTests {
  private static func profile(
    _ name: String, without: Set<OperationCode> = [], faults: [DriverProfile.Fault] = []
  ) -> DriverProfile {
    DriverProfile(
      "\(name)\(UInt32.random(in: 0 ... .max))",
      capabilities: Capabilities(others: PerformanceInfo(time: 0.5, power: 0.5)),
      limits: DriverProfile.Limits(withoutOperations: without), faults: faults)
  }

  private func prepared(
    _ backend: any Backend, fallback: (any Backend)? = CPUBackend()
  ) throws -> (executable: Executable, input: Tensor, expected: Tensor) {
    let (graph, input) = try seeded(.resNet18, [1, 3, 32, 32])
    let placer = try Placer(backend, fallback: fallback, PrepareOptions(allocator: .arena))
    let optimised = try Pipeline(standardPasses, checksNumbers: false).run(on: graph, for: placer).graph
    return (try placer.prepare(optimised), input, try optimised.evaluate([input])[0])
  }

  @Test func `a burst gives the bits that messages do, however many models an inference has`() throws {
    for without in [[], [.add], [.maxPool2d]] as [Set<OperationCode>] {
      var outputs: [[Float]] = []
      for mode in ExecutionMode.allCases {
        var backend = NNAPIBackend(drivers: [Self.profile("modes", without: without)])
        backend.mode = mode
        let (executable, input, _) = try prepared(backend)
        let session = try executable.makeSession()
        session.inputs[0].write(input)
        for _ in 0..<20 { if mode == .fenced { try session.start().wait() } else { try session.run() } }
        let parts = executable.plan.segments.count { $0.backend == 0 }
        #expect(session.delegation?.executions == 20 * parts && session.delegation?.fallbacks == 0)
        outputs.append(session.outputs[0].values)
        // Late enough that nobody looks at the ticket any more.
        usleep(20_000)
        try session.run()
        #expect(session.outputs[0].values == outputs.last)
      }
      #expect(Set(outputs).count == 1)
    }
  }

  @Test func `a driver that ends between two executions of a burst is seen to be gone`() throws {
    let profile = Self.profile("ends")
    var backend = NNAPIBackend(drivers: [profile])
    backend.mode = .burst
    let (executable, input, expected) = try prepared(backend)
    let session = try executable.makeSession()
    try session.run(with: [input])
    DriverProcesses.endAll { $0 == profile.name }
    try session.run(with: [input])
    #expect(session.delegation?.executions == 1 && session.delegation?.fallbacks == 1)
    #expect(session.delegation?.firstFailure?.contains("DEAD_OBJECT") == true)
    #expect(session.outputs[0].relativeError(to: expected) < 1e-4)
  }

  @Test func `a ticket that holds no execution is answered as bad data`() throws {
    let memory = try SharedMemory(byteCount: BurstTicket.byteCount)
    let (client, driver) = (BurstTicket(memory), BurstTicket(memory))
    var answers = 0
    let isRead = DispatchSemaphore(value: 0)
    let thread = Thread {
      let answer = try? BurstTicket(memory).ask(
        DriverExecution(segment: 7, deadlineNs: 0, priority: .medium), timeout: 60_000, isClosed: { false })
      #expect(answer?.code == .noError && answer?.reason == "7")
      isRead.signal()
    }
    thread.start()
    driver.serve(until: { answers == 1 }) { execution in
      answers += 1
      return DriverExecution.Answer(.noError, reason: "\(execution.segment)")
    }
    isRead.wait()
    // The number of the next one, and nothing behind it.
    memory.pointer.storeBytes(of: 0, toByteOffset: 128, as: Int64.self)
    memory.pointer.storeBytes(of: 2, toByteOffset: 0, as: UInt32.self)
    var looks = 0
    let next = BurstTicket(memory)
    next.serve(until: {
      looks += 1; return looks > 2
    }) { _ in
      Issue.record("it was executed")
      return DriverExecution.Answer(.noError)
    }
    let code = memory.pointer.load(fromByteOffset: 200, as: Int64.self)
    #expect(code == Int64(ResultCode.badData.rawValue))
    // An answer that says it is longer than there is room for is none.
    memory.pointer.storeBytes(of: 1 << 40, toByteOffset: 192, as: Int64.self)
    memory.pointer.storeBytes(of: 9, toByteOffset: 64, as: UInt32.self)
    let answer = try client.ask(
      DriverExecution(segment: 0, deadlineNs: 0, priority: .low), timeout: 1000, isClosed: { false })
    #expect(answer == nil)
  }

  @Test func `nobody waits longer for a ticket than its time, or than there is a driver`() throws {
    let execution = DriverExecution(segment: 0, deadlineNs: 0, priority: .medium)
    #expect(throws: DriverChannel.TimedOut.self) {
      try BurstTicket().ask(execution, timeout: 1, isClosed: { false })
    }
    #expect(throws: DriverChannel.Closed.self) { try BurstTicket().ask(execution, timeout: nil, isClosed: { true }) }
  }

  // MARK: Events

  @Test func `what is started waits for what it depends on, and is waited for`() throws {
    let (executable, input, expected) = try prepared(NNAPIBackend(drivers: [Self.profile("fenced")]))
    let session = try executable.makeSession()
    session.inputs[0].write(input)
    let frame = Event()
    let event = try session.start(after: [frame])
    usleep(30_000)
    #expect(!event.isFinished && session.delegation?.executions == 0)
    frame.finish()
    try event.wait()
    #expect(event.isFinished && session.delegation?.executions == 1)
    #expect(session.outputs[0].relativeError(to: expected) < 1e-4)
    // Finished once is finished.
    frame.finish(.failure(GraphError("late")))
    try frame.wait()
  }

  @Test func `one session's inferences follow each other, and two sessions' as their events say`() throws {
    let (executable, input, expected) = try prepared(CPUBackend(), fallback: nil)
    let (first, second) = (try executable.makeSession(), try executable.makeSession())
    for session in [first, second] { session.inputs[0].write(input) }
    let frame = Event()
    let one = try first.start(after: [frame])
    let two = try second.start(after: [one])
    let three = try first.start(after: [two])
    #expect(![one, two, three].contains { $0.isFinished })
    frame.finish()
    try three.wait()
    #expect([one, two, three].allSatisfy { $0.isFinished })
    // An inference that is run follows what was started.
    let last = try first.start()
    try first.run()
    #expect(last.isFinished)
    for session in [first, second] { #expect(session.outputs[0].relativeError(to: expected) < 1e-4) }
  }

  @Test func `where an event fails, what depends on it fails, and nothing is executed`() throws {
    let (executable, input, _) = try prepared(NNAPIBackend(drivers: [Self.profile("never")]))
    let session = try executable.makeSession()
    session.inputs[0].write(input)
    let frame = Event()
    let event = try session.start(after: [frame])
    let next = try session.start(after: [event])
    frame.finish(.failure(GraphError("no frame")))
    let errors = [event, next].map { event in #expect(throws: GraphError.self) { try event.wait() } }
    #expect(errors.allSatisfy { $0?.description == "no frame" })
    #expect(session.delegation?.executions == 0)
    // The session goes on.
    try session.start().wait()
    #expect(session.delegation?.executions == 1)
  }

  @Test func `a duration counts from the last event on, and not from the start`() throws {
    let backend = NNAPIBackend(
      drivers: [Self.profile("late", faults: [.init(.delay(milliseconds: 2200), from: 2, count: 1)])], isExplicit: true)
    let (executable, input, _) = try prepared(backend, fallback: nil)
    let session = try executable.makeSession()
    session.inputs[0].write(input)
    let frame = Event()
    let event = try session.start(after: [frame], durationAfterFence: .milliseconds(2000))
    usleep(2_200_000)
    frame.finish()
    try event.wait()
    let late = try session.start(durationAfterFence: .milliseconds(2000))
    let error = #expect(throws: DriverError.self) { try late.wait() }
    #expect(error?.code == .missedDeadlineTransient)
    // It was that inference's alone.
    try session.run()
  }

  @Test func `a duration after the fence of a plan with more than one device is bad data`() throws {
    for backend in [NNAPIBackend(), CPUBackend()] as [any Backend] {
      let session = try prepared(backend).executable.makeSession()
      let error = #expect(throws: Unsupported.self) { try session.start(durationAfterFence: .seconds(1)) }
      #expect(error?.description.hasPrefix("BAD_DATA") == true)
    }
    let session = try prepared(NNAPIBackend(isExplicit: true), fallback: nil).executable.makeSession()
    #expect(throws: Unsupported.self) { try session.start(durationAfterFence: .seconds(Int64.max)) }
  }

  @Test func `what is run with other inputs waits for what was started with the session's own`() throws {
    let (executable, input, expected) = try prepared(CPUBackend(), fallback: nil)
    let session = try executable.makeSession()
    session.inputs[0].write(input)
    let (frame, isRun) = (Event(), Event())
    let event = try session.start(after: [frame])
    let other = try Tensor(zeros: input.type)
    let thread = Thread { [outputs = session.outputs] in
      // Only now may anything happen.
      usleep(50_000)
      #expect(outputs[0].values.allSatisfy { $0 == 0 })
      frame.finish()
      try? event.wait()
      isRun.finish()
    }
    thread.start()
    try session.run(with: [other])
    try isRun.wait()
    #expect(event.isFinished && session.outputs[0].relativeError(to: expected) > 1e-3)
    try session.run(with: [input])
    #expect(session.outputs[0].relativeError(to: expected) < 1e-4)
  }
}
