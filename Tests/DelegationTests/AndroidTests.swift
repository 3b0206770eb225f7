import BackendCPU
import BenchStatistics
import Dispatch
import Foundation
import GraphCore
import ModelZoo
import RuntimeCore
import TensorCore
import TestSupport
import Testing

@testable import Delegation
@testable import Pacer

/// A library with the symbols of Android's, which is built when it is needed, and what can be asked of it besides.
enum StandIn {
  /// - Throws: where it could not be built.
  static let library = Result { try build() }
  /// Its settings are those of the process, as are its counts.
  private static let isUsed = NSLock()

  private static func build() throws -> (set: Set, count: Count) {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-nn-\(getpid())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("NeuralNetworks/neuralnetworks.c")
    let path = folder.appendingPathComponent("libneuralnetworks.so").path
    let compiler = Process()
    compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    compiler.arguments = [
      "clang", "-std=c17", "-O2", "-shared", "-fPIC", "-o", path, source.path, "-lm", "-lpthread",
    ]
    try compiler.run()
    compiler.waitUntilExit()
    guard compiler.terminationStatus == 0 else { throw Unsupported("clang does not build \(source.path)") }
    NeuralNetworks.path.withLock { $0 = path }
    _ = try NeuralNetworks.shared.get()
    guard let handle = dlopen(path, RTLD_NOW), let set = dlsym(handle, "pacer_nn_set"),
      let count = dlsym(handle, "pacer_nn_count")
    else { throw Unsupported("\(path) is not what was built") }
    // What is opened stays open without its file.
    try? FileManager.default.removeItem(at: folder)
    return (unsafeBitCast(set, to: Set.self), unsafeBitCast(count, to: Count.self))
  }

  typealias Set = @convention(c) (UnsafePointer<CChar>, UnsafePointer<CChar>?) -> Void
  typealias Count = @convention(c) (UnsafePointer<CChar>) -> Int32

  static func count(_ what: String) throws -> Int { Int(try library.get().count(what)) }
  /// Runs something with some of its settings, alone, and resets them.
  static func with<Result>(_ settings: [String: String], _ body: () throws -> Result) throws -> Result {
    let library = try library.get()
    isUsed.lock()
    defer { isUsed.unlock() }
    for (name, value) in settings { library.set(name, value) }
    defer { for name in settings.keys { library.set(name, nil) } }
    return try body()
  }
}

@Suite(.serialized) struct AndroidTests {
  init() throws { _ = try StandIn.library.get() }

  private static let npu = DriverProfile.android("sample-npu")

  private func prepared(
    _ model: ModelDescription, _ side: Int, _ backend: NNAPIBackend, passes: [any Pass] = standardPasses,
    fallback: (any Backend)? = CPUBackend()
  ) throws -> (executable: Executable, graph: Graph, input: Tensor) {
    var graph = try model.build([1, 3, side, side])
    try SeededWeights.fill(&graph)
    let input = try SeededWeights.input([1, 3, side, side])
    let placer = try Placer(backend, fallback: fallback, PrepareOptions())
    let optimised = try Pipeline(passes, checksNumbers: false).run(on: graph, for: placer, samples: [[input]]).graph
    return (try placer.prepare(optimised), optimised, input)
  }

  // MARK: Results

  @Test(arguments: opCases)
  func `every op case is right on Android's library, or says why it is not there`(opCase: OpCase) throws {
    let outcome = try Conformance.run(
      opCase, on: NNAPIBackend(drivers: [.android], isExplicit: true), passes: standardPasses.filter(\.isForTarget),
      PrepareOptions())
    switch outcome {
    case .correct: break
    case .wrong(let error): Issue.record("wrong by \(error)")
    case .unsupported(let reason):
      // Nobody else than NNAPI refuses.
      #expect(!reason.contains("Model_"), "\(reason)")
    }
  }

  @Test func `every op case that NNAPI has is taken`() throws {
    let backend = NNAPIBackend(drivers: [.android], isExplicit: true)
    let known = try opCases.count { opCase in
      let graph = try opCase.graph().0
      return graph.nodes.allSatisfy { node in (try? graph.nnapiOperations(for: node)) != nil }
    }
    let taken = try opCases.count { opCase in
      let graph = try opCase.graph().0
      return graph.nodes.allSatisfy { backend.support(for: $0, in: graph, PrepareOptions()).refusal == nil }
    }
    #expect(known > 100 && taken == known, "\(taken) of \(known), of \(opCases.count)")
  }

  @Test(arguments: [ModelDescription.mobileNetV2, .resNet18, .mobileNetV3Small], [false, true])
  func `whole networks are one model of Android's library, and right`(model: ModelDescription, isNCHW: Bool) throws {
    let side = model.name == "resnet-18" ? 32 : 64
    let passes = isNCHW ? standardPasses.filter { $0.name != "channels-last" } : standardPasses
    let (executable, graph, input) = try prepared(model, side, NNAPIBackend(drivers: [.android]), passes: passes)
    #expect(executable.placement.allSatisfy { $0.backend == "android" })
    let session = try executable.makeSession()
    for _ in 0..<2 { try session.run(with: [input]) }
    #expect(session.failure == nil && session.delegation?.fallbacks == 0 && session.delegation?.executions == 2)
    #expect(session.outputs[0].relativeError(to: try graph.evaluate([input])[0]) < 1e-4)
    // Several devices tell no times.
    #expect(session.delegation?.inDriverNs == nil && session.delegation?.processorNs == nil)
  }

  @Test(arguments: [ModelDescription.mobileNetV2, .resNet18, .mobileNetV3Small])
  func `networks of integers are Android's, and as near to their floats as Pacer's are`(model: ModelDescription) throws
  {
    let side = model.name == "resnet-18" ? 32 : 64
    let quantize = QuantizeInt8(observing: Observation(evaluator: { graph in { try graph.evaluate($0) } }))
    let (executable, graph, input) = try prepared(
      model, side, NNAPIBackend(drivers: [.android]), passes: standardPasses.adding(portable: [quantize]))
    #expect(executable.placement.count { $0.backend == "android" } * 10 > executable.placement.count * 8)
    let session = try executable.makeSession()
    try session.run(with: [input])
    #expect(session.failure == nil && session.delegation?.fallbacks == 0)
    let floats = try prepared(model, side, NNAPIBackend(drivers: [.android]), passes: []).graph.evaluate([input])[0]
    let (own, other) = (try graph.evaluate([input])[0], session.outputs[0])
    // It rounds sums before residuals too.
    #expect(other.relativeError(to: floats) < 2 * own.relativeError(to: floats))
  }

  @Test(
    arguments: [Recurrent.Kind.lstm(couplesGates: false), .rnn], [Recurrent.Direction.forward, .bidirectional])
  func `recurrent layers have their gates, states and peepholes in the right places`(
    kind: Recurrent.Kind, direction: Recurrent.Direction
  ) throws {
    var random = SeededGenerator(seed: 7)
    func tensor(_ shape: Shape) throws -> Tensor {
      try Tensor(shape, (0..<shape.count).map { _ in Float.random(in: -1...1, using: &random) })
    }
    let (steps, batch, width, hidden, directions) = (5, 2, 3, 4, direction.count)
    let isLSTM = kind != .rnn
    for given in [[], [.bias], [.bias, .hidden], isLSTM ? [.bias, .hidden, .cell, .peepholes] : [.hidden]]
      as [Recurrent.Given]
    {
      var graph = Graph(name: "layer")
      let x = graph.addInput("x", TensorType([steps, batch, width]))
      let rows = kind.gates * hidden
      var inputs = [
        x, graph.addConstant("w", try tensor([directions, rows, width])),
        graph.addConstant("r", try tensor([directions, rows, hidden])),
      ]
      var arguments = [try tensor([steps, batch, width])]
      if given.contains(.bias) { inputs.append(graph.addConstant("b", try tensor([directions, 2 * rows]))) }
      for state in [Recurrent.Given.hidden, .cell] where given.contains(state) {
        inputs.append(graph.addInput("s\(state.rawValue)", TensorType([directions, batch, hidden])))
        arguments.append(try tensor([directions, batch, hidden]))
      }
      if given.contains(.peepholes) { inputs.append(graph.addConstant("p", try tensor([directions, 3 * hidden]))) }
      let results = try graph.addNodes(
        "layer", Recurrent(kind, direction: direction, given: given), inputs, placed: nil, stored: nil)
      graph.setOutputs(results)
      let placer = try Placer(NNAPIBackend(drivers: [.android], isExplicit: true), PrepareOptions())
      let executable = try placer.prepare(graph)
      #expect(executable.placement.map(\.backend) == ["android"])
      let session = try executable.makeSession()
      try session.run(with: arguments)
      for (output, right) in zip(session.outputs, try graph.evaluate(arguments)) {
        #expect(output.relativeError(to: right) < 1e-5, "\(given)")
      }
    }
  }

  // MARK: Devices

  @Test func `one device is what it refuses, with the reason, and tells its times`() throws {
    // ADD, and HARD_SWISH.
    try StandIn.with(["PACER_NN_REFUSED": "0,99"]) {
      let (executable, graph, input) = try prepared(.resNet18, 32, NNAPIBackend(drivers: [Self.npu]), passes: [])
      let left = executable.placement.filter { $0.backend != Self.npu.name }
      #expect(!left.isEmpty && left.allSatisfy { $0.backend == "nnapi-reference" })
      #expect(left.allSatisfy { $0.refusals.contains { $0.reason == "android:sample-npu has no ADD like this" } })
      let session = try executable.makeSession()
      try session.run(with: [input])
      #expect(session.outputs[0].relativeError(to: try graph.evaluate([input])[0]) < 1e-4)
      let delegation = try #require(session.delegation)
      #expect(delegation.executions > 1 && delegation.fallbacks == 0)
      #expect(try #require(delegation.inDriverNs) > 0 && delegation.onHardwareNs == nil)
    }
  }

  @Test func `a device that is not there, and a library that is not, say what is`() throws {
    let backend = NNAPIBackend(drivers: [.android("sample-gpu")])
    #expect(
      backend.availability()
        == .unavailable(
          reason: "driver android:sample-gpu: this system has sample-npu, nnapi-reference, and no device sample-gpu"))
    let missing = #expect(throws: DriverError.self) { try NeuralNetworks("/nowhere/libneuralnetworks.so") }
    let prefix = "Android's neural networks library (Android 10 and later) cannot"
    #expect(missing?.code == .unavailableDevice && missing?.reason.hasPrefix(prefix) == true)
    // The C library has none of its functions.
    let other = #expect(throws: DriverError.self) { try NeuralNetworks("libc.so.6") }
    #expect(other?.reason.hasSuffix("it has no ANeuralNetworks_getDeviceCount") == true)
  }

  @Test func `a driver's name may ask for one device`() throws {
    let chosen = try #require(try NNAPIBackend().choosing("driver", "android:sample-npu+cpu-fast"))
    #expect(chosen.drivers.map(\.name) == ["android:sample-npu", "cpu-fast"])
    #expect(chosen.drivers[0].device == "sample-npu")
    #expect(throws: UnknownName.self) { try NNAPIBackend().choosing("driver", "android:") }
  }

  // MARK: Executions

  @Test(arguments: ExecutionMode.allCases)
  func `eight sessions at once are right in every mode, and all is given back`(mode: ExecutionMode) throws {
    let names = ["models", "compilations", "executions", "bursts", "events", "misused"]
    try StandIn.with([:]) {
      var backend = NNAPIBackend(drivers: [Self.npu])
      backend.mode = mode
      let (executable, _, input) = try prepared(.resNet18, 32, backend)
      let before = try StandIn.count("computed")
      try expectEightSessions(of: executable, input, mode)
      #expect(try StandIn.count("computed") == before + 8 + 32)
    }
    try StandIn.with([:]) {
      // What ran a started inference lets go of it a little later.
      let end = DispatchTime.now() + 20
      while try names.contains(where: { try StandIn.count($0) != 0 }), DispatchTime.now() < end { usleep(1000) }
      for name in names { #expect(try StandIn.count(name) == 0, "\(name)") }
    }
  }

  @Test func `a device that fails is made good, counted and said; without fallback it is an error`() throws {
    let (executable, graph, input) = try prepared(.resNet18, 32, NNAPIBackend(drivers: [Self.npu]))
    let session = try executable.makeSession()
    let expected = try graph.evaluate([input])[0]
    try StandIn.with(["PACER_NN_EXECUTE_CODE": "12"]) { try session.run(with: [input]) }
    #expect(session.outputs[0].relativeError(to: expected) < 1e-4)
    #expect(session.delegation?.fallbacks == 1)
    #expect(
      session.delegation?.firstFailure
        == "driver android:sample-npu: RESOURCE_EXHAUSTED_TRANSIENT: Execution_compute fails")
    try session.run(with: [input])
    #expect(session.delegation?.executions == 1 && session.delegation?.fallbacks == 1)

    let (strict, _, _) = try prepared(.resNet18, 32, NNAPIBackend(drivers: [Self.npu], isExplicit: true), fallback: nil)
    let other = try strict.makeSession()
    try StandIn.with(["PACER_NN_EXECUTE_CODE": "12"]) {
      _ = #expect(throws: DriverError.self) { try other.run(with: [input]) }
    }
    try StandIn.with(["PACER_NN_PREPARE_CODE": "5"]) {
      let (late, _, _) = try prepared(.resNet18, 32, NNAPIBackend(drivers: [Self.npu]))
      let session = try late.makeSession()
      try session.run(with: [input])
      #expect(session.outputs[0].relativeError(to: expected) < 1e-4)
      #expect(session.delegation?.firstFailure?.contains("OP_FAILED: Compilation_finish fails") == true)
    }
  }

  @Test func `a deadline is kept by one explicit device, and is bad data of several`() throws {
    let backend = NNAPIBackend(drivers: [Self.npu], isExplicit: true, timeoutNs: 20_000_000)
    let (executable, _, input) = try prepared(.resNet18, 32, backend, fallback: nil)
    let session = try executable.makeSession()
    try StandIn.with(["PACER_NN_EXECUTE_DELAY_MS": "5000"]) {
      do {
        try session.run(with: [input])
        Issue.record("a deadline was not missed")
      } catch let error as DriverError { #expect(error.code == .missedDeadlinePersistent) }
    }
    let (several, _, _) = try prepared(
      .resNet18, 32, NNAPIBackend(drivers: [.android], isExplicit: true, timeoutNs: 20_000_000), fallback: nil)
    let other = try several.makeSession()
    do {
      try other.run(with: [input])
      Issue.record("a time-out of several devices was taken")
    } catch let error as DriverError { #expect(error.code == .badData) }
  }
}
