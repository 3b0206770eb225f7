import CDriver
import Foundation
import GraphCore
import GraphPasses
import Pacer
import RuntimeCore
import Synchronization
import TensorCore
import TestSupport
import Testing

@testable import Delegation

/// Drivers really run in processes of their own here, and are really ended.
@Suite struct DriverTests {
  static let models: [(ModelDescription, Shape)] = [(.mobileNetV2, [1, 3, 64, 64]), (.resNet18, [1, 3, 32, 32])]

  private static func profile(
    _ name: String, without: Set<OperationCode> = [], faults: [DriverProfile.Fault] = []
  ) -> DriverProfile {
    DriverProfile(
      name, capabilities: Capabilities(others: PerformanceInfo(time: 0.5, power: 0.5)),
      limits: DriverProfile.Limits(withoutOperations: without), faults: faults)
  }

  private func prepared(
    _ model: ModelDescription, _ shape: Shape, _ backend: any Backend, fallback: (any Backend)? = CPUBackend(),
    threads: Int = 1
  ) throws -> (executable: Executable, input: Tensor, expected: [Float]) {
    let (graph, input) = try seeded(model, shape)
    let options = PrepareOptions(allocator: .arena, threads: threads)
    let placer = try Placer(backend, fallback: fallback, options)
    let optimised = try Pipeline(standardPasses, checksNumbers: false).run(on: graph, for: placer).graph
    let alone = try CPUBackend().prepare(optimised, options).makeSession()
    try alone.run(with: [input])
    return (try placer.prepare(optimised), input, alone.outputs[0].values)
  }

  @Test(arguments: models.indices, [1, 2])
  func `a whole model and one in parts give the bits of the processor alone`(index: Int, threads: Int) throws {
    let (model, shape) = Self.models[index]
    for without in [[], [.add], [.depthwiseConv2d], [.fullyConnected, .maxPool2d]] as [Set<OperationCode>] {
      let backend = NNAPIBackend(drivers: [Self.profile("half", without: without)], fallsBack: false)
      let (executable, input, _) = try prepared(model, shape, backend, threads: threads)
      let session = try executable.makeSession()
      for _ in 0..<3 { try session.run(with: [input]) }
      // What is left goes to the processor's im2col, which adds in another order: the same plan without a process says what is right.
      let own = executable.plan.graph
      let expected = try own.evaluate([input])[0]
      #expect(session.outputs[0].relativeError(to: expected) < 1e-4)
      let delegation = try #require(session.delegation)
      let parts = executable.plan.segments.count { segment in segment.backend == 0 }
      #expect(delegation.executions == 3 * parts && delegation.fallbacks == 0)
      #expect(try #require(delegation.processorNs) > 0 && delegation.onHardwareNs == nil)
      if without.isEmpty { #expect(parts == 1) }
    }
  }

  @Test func `delegated whole, each bit is the processor's own`() throws {
    for (model, shape) in Self.models {
      let (executable, input, expected) = try prepared(model, shape, NNAPIBackend(drivers: [.cpuFast]))
      #expect(Set(executable.placement.map(\.backend)) == ["cpu-fast"])
      let session = try executable.makeSession()
      for _ in 0..<2 { try session.run(with: [input]) }
      #expect(session.outputs[0].values == expected)
      #expect(executable.plan.borderCopies.count == 2)
    }
  }

  /// Each that comes with Pacer and can run here, the reference loops, and as a list of its own NNAPI's processor code.
  private static let shipped: [(name: String, backend: NNAPIBackend)] =
    ([.cpuFast, .vulkan, DriverProfile("loops", compute: .reference)].map { ($0.name, NNAPIBackend(drivers: [$0])) } + [
      ("nnapi-reference", NNAPIBackend(drivers: []))
    ]).filter { !$0.backend.availability(PrepareOptions()).isUnavailable }

  @Test(arguments: opCases, shipped.indices)
  func `every op case is right on every driver`(opCase: OpCase, driver: Int) throws {
    let outcome = try Conformance.run(
      opCase, on: Self.shipped[driver].backend, fallback: CPUBackend(), passes: standardPasses.filter(\.isForTarget),
      PrepareOptions())
    guard case .correct = outcome else {
      Issue.record("\(outcome)")
      return
    }
  }

  // MARK: Faults

  private func run(
    _ faults: [DriverProfile.Fault], without: Set<OperationCode> = [], falls: Bool = true, explicit: Bool = false,
    timeout: Int? = nil, runs: Int = 3, mode: ExecutionMode = .sync
  ) throws -> (session: Session, isRight: Bool) {
    var backend = NNAPIBackend(
      drivers: [Self.profile("faulty\(UInt32.random(in: 0 ... .max))", without: without, faults: faults)],
      isExplicit: explicit, fallsBack: falls, timeoutNs: timeout)
    backend.mode = mode
    let (executable, input, _) = try prepared(.resNet18, [1, 3, 32, 32], backend, fallback: falls ? CPUBackend() : nil)
    let session = try executable.makeSession()
    for _ in 0..<runs { try session.run(with: [input]) }
    let expected = try executable.plan.graph.evaluate([input])[0]
    return (session, session.outputs[0].relativeError(to: expected) < 1e-4)
  }

  @Test(arguments: ExecutionMode.allCases)
  func `a driver that was ended at its deadline is not asked again`(mode: ExecutionMode) throws {
    var backend = NNAPIBackend(
      drivers: [Self.profile("late\(UInt32.random(in: 0 ... .max))", faults: [.init(.hang, from: 2)])],
      isExplicit: true,
      timeoutNs: 2_000_000_000)
    backend.mode = mode
    let (executable, input, _) = try prepared(.resNet18, [1, 3, 32, 32], backend, fallback: nil)
    let session = try executable.makeSession()
    try session.run(with: [input])
    for expected in [ResultCode.missedDeadlinePersistent, .deadObject, .deadObject] {
      do {
        try session.run(with: [input])
        Issue.record("it answered")
      } catch let error as DriverError {
        #expect(error.code == expected && error.reason == "it did not answer by its deadline, and was ended")
      }
    }
    #expect(session.delegation?.executions == 1)
  }

  @Test(arguments: ExecutionMode.allCases)
  func `a driver that dies is made good step by step, counted and said`(mode: ExecutionMode) throws {
    let (session, isRight) = try run([.init(.die, from: 2)], mode: mode)
    #expect(isRight)
    let delegation = try #require(session.delegation)
    #expect(delegation.executions == 1 && delegation.fallbacks == 2 && session.failure == nil)
    #expect(delegation.firstFailure?.contains("DEAD_OBJECT: it was ended by signal 9") == true)
  }

  @Test(arguments: ExecutionMode.allCases)
  func `one that fails once is asked again`(mode: ExecutionMode) throws {
    let (session, isRight) = try run([.init(.fail(.opFailed), from: 2, count: 1)], mode: mode)
    #expect(isRight && session.delegation?.executions == 2 && session.delegation?.fallbacks == 1)
    #expect(session.delegation?.firstFailure?.contains("OP_FAILED") == true)
  }

  @Test func `one that cannot prepare is never asked`() throws {
    for effect in [.die, .fail(.resourceExhaustedPersistent)] as [DriverProfile.Fault.Effect] {
      let (session, isRight) = try run([.init(effect, at: .prepare)])
      #expect(isRight && session.delegation?.executions == 0 && session.delegation?.fallbacks == 3)
    }
  }

  @Test(arguments: ExecutionMode.allCases)
  func `without a fallback each is an error with its code`(mode: ExecutionMode) throws {
    func code(_ faults: [DriverProfile.Fault], timeout: Int? = nil) -> ResultCode? {
      do {
        _ = try run(faults, falls: false, explicit: true, timeout: timeout, mode: mode)
        return nil
      } catch { return (error as? DriverError)?.code }
    }
    #expect(code([]) == nil)
    #expect(code([.init(.die, from: 2)]) == .deadObject)
    #expect(code([.init(.die, at: .prepare)]) == .deadObject)
    #expect(code([.init(.fail(.outOfMemory))]) == .outOfMemory)
    // One that hangs is ended when its time is over.
    #expect(code([.init(.hang)], timeout: 300_000_000) == .missedDeadlinePersistent)
    // Late once, it is a matter of the moment; whoever always takes that long is refused before it begins.
    #expect(
      code([.init(.delay(milliseconds: 2200), from: 1, count: 1)], timeout: 2_000_000_000) == .missedDeadlineTransient)
  }

  @Test func `a driver that took longer than the deadline allows refuses to begin`() throws {
    let backend = NNAPIBackend(
      drivers: [Self.profile("slow", faults: [.init(.delay(milliseconds: 2200))])], isExplicit: true,
      timeoutNs: 2_000_000_000)
    let (executable, input, _) = try prepared(.resNet18, [1, 3, 32, 32], backend, fallback: nil)
    let session = try executable.makeSession()
    var codes: [ResultCode?] = []
    for _ in 0..<3 {
      do { try session.run(with: [input]) } catch { codes.append((error as? DriverError)?.code) }
    }
    // The third time it tries again: what it took may have been a matter of the moment.
    #expect(codes == [.missedDeadlineTransient, .missedDeadlinePersistent, .missedDeadlineTransient])
  }

  @Test func `a time-out of a partitioned plan is bad data`() throws {
    for backend in [
      NNAPIBackend(timeoutNs: 1_000_000),
      NNAPIBackend(drivers: [.cpuFast, Self.profile("two")], isExplicit: true, timeoutNs: 1_000_000),
    ] {
      guard case .unavailable(let reason) = backend.availability(PrepareOptions()) else {
        Issue.record("it is available")
        continue
      }
      #expect(reason.hasPrefix("BAD_DATA: a time-out needs exactly one explicit device"))
      let (graph, _) = try seeded(.resNet18, [1, 3, 32, 32])
      #expect(throws: Unsupported.self) { try backend.prepare(graph) }
    }
  }

  @Test func `explicit devices are all there are`() throws {
    let (graph, _) = try seeded(.resNet18, [1, 3, 32, 32])
    let backend = NNAPIBackend(drivers: [Self.profile("no pools", without: [.maxPool2d])], isExplicit: true)
    let error = #expect(throws: Unsupported.self) { try backend.prepare(graph) }
    #expect(error?.description == "maxpool: no pools has no MAX_POOL_2D")
  }

  @Test func `explicit devices have no fallback behind them, whoever offers one`() throws {
    let (graph, input) = try seeded(.resNet18, [1, 3, 32, 32])
    let lacks = NNAPIBackend(drivers: [Self.profile("no pools", without: [.maxPool2d])], isExplicit: true)
    #expect(throws: Unsupported.self) { try Placer(lacks, fallback: CPUBackend(), PrepareOptions()).prepare(graph) }
    let dies = NNAPIBackend(drivers: [Self.profile("dies", faults: [.init(.die)])], isExplicit: true)
    let session = try Placer(dies, fallback: CPUBackend(), PrepareOptions()).prepare(graph).makeSession()
    let error = #expect(throws: DriverError.self) { try session.run(with: [input]) }
    #expect(error?.code == .deadObject && session.failure == nil)
  }

  @Test func `a driver forgets a model that nobody uses any more, and no other`() throws {
    let profile = Self.profile("forgets\(UInt32.random(in: 0 ... .max))")
    defer { DriverProcesses.endAll { $0 == profile.name } }
    let process = try DriverProcess.shared(profile, [:])
    func knows(_ token: String) throws -> Bool {
      try process.isPrepared(token, PrepareOptions())
    }
    let (graph, _) = try seeded(.resNet18, [1, 3, 32, 32])
    func model(_ token: String) throws -> PreparedModel {
      try PreparedModel(token, PrepareOptions(), in: process) {
        PacerContents(
          name: "m", release: "driver", variants: [PacerContents.Variant(nil, graph, passes: [])], targetPasses: [])
      }
    }
    var (first, again, other) = (try model("a") as PreparedModel?, try model("a") as PreparedModel?, try model("b"))
    first = nil
    #expect(try knows("a") && knows("b"))
    again = nil
    #expect(try !knows("a") && knows("b"))
    other = try model("a")
    #expect(try knows("a") && !knows("b"))
    _ = (first, again, other)
  }

  @Test func `a driver that has nothing to do is not started`() throws {
    let idle = "idle\(UInt32.random(in: 0 ... .max))"
    var profile = Self.profile(idle)
    profile.capabilities = Capabilities(others: PerformanceInfo(time: 9, power: 9))
    let (executable, input, _) = try prepared(.resNet18, [1, 3, 32, 32], NNAPIBackend(drivers: [.cpuFast, profile]))
    try executable.makeSession().run(with: [input])
    #expect(!DriverProcesses.names.contains(idle))
  }

  @Test func `sums of 8-bit layers that wait for a residual elsewhere are computed by the driver`() throws {
    let (graph, input) = try seeded(.resNet18, [1, 3, 32, 32])
    let quantize = QuantizeInt8(observing: Observation(evaluator: { graph in { try graph.evaluate($0) } }))
    let backend = NNAPIBackend(drivers: [Self.profile("no sums", without: [.add])])
    let placer = try Placer(backend, fallback: CPUBackend(), PrepareOptions())
    let passes = standardPasses.adding(portable: [quantize])
    let optimised = try Pipeline(passes, checksNumbers: false).run(on: graph, for: placer, samples: [[input]]).graph
    let session = try placer.prepare(optimised).makeSession()
    try session.run(with: [input])
    #expect(session.failure == nil && session.delegation?.executions ?? 0 > 0 && session.delegation?.fallbacks == 0)
    #expect(session.outputs[0].relativeError(to: try optimised.evaluate([input])[0]) < 1e-4)
  }

  @Test func `what 8-bit drivers promise of sums that wait for a residual is what they promise of 8 bits`() throws {
    let (graph, input) = try seeded(.resNet18, [1, 3, 32, 32])
    let quantize = QuantizeInt8(observing: Observation(evaluator: { graph in { try graph.evaluate($0) } }))
    var dsp = Self.profile("dsp")
    let bytes = PerformanceInfo(time: 0.2, power: 1)
    dsp.capabilities = Capabilities(
      [.tensorQuant8Asymm: bytes, .tensorQuant8AsymmSigned: bytes], others: PerformanceInfo(time: 10, power: 1))
    dsp.limits.operandTypes = [
      .tensorQuant8Asymm, .tensorQuant8AsymmSigned, .tensorQuant8SymmPerChannel, .tensorInt32,
    ]
    let placer = try Placer(NNAPIBackend(drivers: [dsp]), fallback: CPUBackend(), PrepareOptions())
    let passes = standardPasses.adding(portable: [quantize])
    let optimised = try Pipeline(passes, checksNumbers: false).run(on: graph, for: placer, samples: [[input]]).graph
    let placement = try placer.plan(optimised).placement
    #expect(placement.count { $0.op == "conv2d" && $0.backend == "dsp" } == 20)
    #expect(!placement.contains { $0.op == "add" })
  }

  @Test func `of executions that wait, the one of the highest priority goes first, and of those alike the first`()
    throws
  {
    let turns = ExecutionTurns()
    #expect(turns.take(.medium, deadlineNs: 0))
    let order = Mutex([String]())
    let all: [(String, ExecutionPriority)] = [
      ("low", .low), ("medium", .medium), ("high", .high), ("medium again", .medium), ("high again", .high),
    ]
    let group = DispatchGroup()
    for (index, (name, priority)) in all.enumerated() {
      let thread = Thread {
        #expect(turns.take(priority, deadlineNs: 0))
        order.withLock { $0.append(name) }
        turns.give()
        group.leave()
      }
      group.enter()
      thread.start()
      while turns.waitingCount <= index { usleep(1000) }
    }
    // A deadline that has passed is no turn, and leaves none behind.
    #expect(!turns.take(.high, deadlineNs: 1))
    turns.give()
    group.wait()
    #expect(order.withLock { $0 } == ["high", "high again", "medium", "medium again", "low"])
    #expect(turns.waitingCount == 0)
  }

  @Test(arguments: [false, true])
  func `a driver ends when nobody holds its channel any more, whatever it does`(hangs: Bool) throws {
    let program = try DriverProcess.program.get()
    let process: pid_t
    do {
      let (channel, other) = try DriverChannel.pair()
      var arguments: [UnsafeMutablePointer<CChar>?] = [strdup(program), nil]
      defer { free(arguments[0]) }
      process = pacer_start_driver(program, &arguments, other.number)
      #expect(process > 0)
      let profile = Self.profile("left", faults: hangs ? [.init(.hang, at: .prepare)] : [])
      try channel.send(DriverRequest.configure(profile, computing: [:]))
      let code = try channel.receive { bytes, _ in try JSONDecoder().decode(DriverReply.self, from: Data(bytes)).code }
      #expect(code == .noError)
      if hangs {
        let model = try SharedMemory(byteCount: 64)
        let options = DriverOptions(PrepareOptions())
        try channel.send(
          DriverRequest.prepare(token: "t", options: options, hasModel: true, forgetting: []), with: model.descriptor)
      }
    }
    var status: Int32 = -1
    #expect(waitpid(process, &status, 0) == process)
    #expect(status == 0)
  }

  @Test func `drivers are ended by name`() throws {
    let names = Set(["a", "b"].map { _ in "short\(UInt32.random(in: 0 ... .max))" })
    for name in names {
      let (executable, input, _) = try prepared(.resNet18, [1, 3, 32, 32], NNAPIBackend(drivers: [Self.profile(name)]))
      try executable.makeSession().run(with: [input])
    }
    #expect(DriverProcesses.names.isSuperset(of: names))
    DriverProcesses.endAll(where: names.contains)
    #expect(DriverProcesses.names.isDisjoint(with: names))
  }

  @Test func `a model is converted for both layouts, and run as any other`() throws {
    let (graph, input) = try seeded(.mobileNetV2, [1, 3, 64, 64])
    let expected = try graph.evaluate([input])[0]
    for layout in DriverProfile.ImageLayout.allCases {
      let executable = try convertToNNAPI(graph, exampleInputs: [input], layout: layout)
      let session = try executable.makeSession()
      try session.run(with: [input])
      #expect(session.outputs[0].relativeError(to: expected) < 1e-4)
      let isLast = executable.plan.graph.values.contains { $0.type.format == .nhwc }
      #expect(isLast == (layout == .nhwc) && Set(executable.placement.map(\.backend)) == ["cpu-fast"])
    }
  }

  @Test(arguments: ExecutionMode.allCases)
  func `eight sessions at once, each with results of its own`(mode: ExecutionMode) throws {
    var backend = NNAPIBackend(drivers: [Self.profile("busy", without: [.add])])
    backend.mode = mode
    let (executable, input, _) = try prepared(.resNet18, [1, 3, 32, 32], backend)
    try expectEightSessions(of: executable, input, mode)
  }
}

/// Eight sessions at once, of four inferences each: every one has the results that it has alone.
func expectEightSessions(of executable: Executable, _ input: Tensor, _ mode: ExecutionMode) throws {
  let inputs = try (0..<8).map { index in try Tensor(input.shape, input.values.map { $0 * Float(index + 1) / 4 }) }
  let expected = try inputs.map { input in
    let session = try executable.makeSession()
    try session.run(with: [input])
    return session.outputs[0].values
  }
  let results = Mutex([Int: [Float]]())
  DispatchQueue.concurrentPerform(iterations: 8) { index in
    do {
      let session = try executable.makeSession()
      session.inputs[0].write(inputs[index])
      for _ in 0..<4 { if mode == .fenced { try session.start().wait() } else { try session.run() } }
      results.withLock { $0[index] = session.outputs[0].values }
    } catch { Issue.record("\(error)") }
  }
  for index in 0..<8 { #expect(results.withLock { $0[index] } == expected[index]) }
}
