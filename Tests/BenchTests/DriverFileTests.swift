import BenchModel
import BenchProtocol
import Delegation
import Foundation
import Pacer
import TestSupport
import Testing

@testable import BenchCommands

/// Drivers as files describe them.
@Suite struct DriverFileTests {
  private func read(_ text: String) throws -> DriverProfile {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("drivers-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appendingPathComponent("mine.yaml")
    try Data(text.utf8).write(to: file)
    return try DriverFile.read(file.path)
  }

  @Test func `everything that a file says is in the profile, which survives JSON`() throws {
    let profile = try read(
      """
      name: mine
      version: "3"
      kind: gpu
      summary: for this test
      compute: im2col
      operations: [CONV_2D, RELU]
      without-operations: HARD_SWISH
      operands: [TENSOR_FLOAT32]
      max-rank: 4
      max-batch: 2
      layout: nhwc
      max-nodes: 30
      capabilities:
        TENSOR_FLOAT32: {time: 0.5, power: 0.25}
        others: {time: 2, power: 3}
        relaxed-fp32: {time: 0.1, power: 0.1}
        IF: {time: 1, power: 1}
      faults:
        - {effect: die, at: prepare}
        - {effect: delay 20 ms, from: 3, count: 2}
        - effect: OP_FAILED
      """)
    #expect(profile.name == "mine" && profile.version == "3" && profile.kind == .gpu && profile.compute == .im2col)
    #expect(
      profile.limits
        == .init(
          operations: [.conv2d, .relu], withoutOperations: [.hardSwish], operandTypes: [.tensorFloat32], maxRank: 4,
          maxBatch: 2, layout: .nhwc, maxNodes: 30))
    #expect(profile.capabilities.operands == [.tensorFloat32: PerformanceInfo(time: 0.5, power: 0.25)])
    #expect(profile.capabilities.others.power == 3 && profile.capabilities.relaxedFloat?.time == 0.1)
    #expect(profile.capabilities.if == .cpu && profile.capabilities.while == nil)
    #expect(
      profile.faults == [
        .init(.die, at: .prepare), .init(.delay(milliseconds: 20), from: 3, count: 2), .init(.fail(.opFailed)),
      ])
    #expect(profile.isProfile)
    #expect(try JSONDecoder().decode(DriverProfile.self, from: JSONEncoder().encode(profile)) == profile)
  }

  @Test(arguments: [
    ("name: x\noperations: [CONV_2D, CONV2D]", "mine.yaml:2: ", "did you mean CONV_2D"),
    ("name: x\nkind: dsp", "mine.yaml:2: ", "accelerator"),
    ("name: x\nmax-rank: 9", "mine.yaml:2: ", "from 1 to 8"),
    ("name: x\nlayout: nchwc", "mine.yaml:2: ", "nhwc"),
    ("name: x\nfaults:\n  - effect: explode", "mine.yaml:3: ", "OP_FAILED"),
    ("name: x\ncapabilities:\n  TENSOR_FLOAT32: {time: 1}", "mine.yaml:3: ", "power"),
    ("name: x\nspeed: 3", "mine.yaml:2: ", "speed"),
    ("name: x\ndevice: npu", "mine.yaml:2: ", "compute must be android"),
    ("name: x\ncompute: android\nfaults:\n  - effect: die", "mine.yaml:4: ", "none of ours"),
    ("name: [", "mine.yaml", ""),
    ("", "mine.yaml", "empty"),
  ])
  func `what is wrong is said with its line`(text: String, place: String, words: String) throws {
    let error = #expect(throws: UserError.self) { try read(text) }
    let message = error.map { "\($0)" } ?? ""
    #expect(message.contains(place) && (words.isEmpty || message.contains(words)), "\(message)")
  }

  @Test func `a file may give one of Android's devices ratios and limits`() throws {
    let profile = try read("name: x\ncompute: android\ndevice: npu\nmax-rank: 3")
    #expect(profile.compute == .android && profile.device == "npu" && profile.limits.maxRank == 3)
  }

  @Test func `those that come with Pacer can be read, and are named as their files are`() throws {
    let files = Drivers.files
    #expect(files.keys.sorted() == ["flaky", "float-npu", "hexagon-v66"])
    for (name, path) in files { #expect(try DriverFile.read(path).name == name) }
  }

  @Test(arguments: opCases)
  func `every op case is right on a profile of floats`(opCase: OpCase) throws {
    let profile = try DriverFile.read(#require(Drivers.files["float-npu"]))
    let outcome = try Conformance.run(
      opCase, on: NNAPIBackend(drivers: [profile]), fallback: CPUBackend(),
      passes: standardPasses.filter(\.isForTarget), PrepareOptions())
    guard case .correct = outcome else {
      Issue.record("\(outcome)")
      return
    }
  }

  /// Single ops of integers answer in floats at a graph's end, which NNAPI's do not: whole networks are what such a driver takes.
  @Test func `networks of integers are right on a profile of integers, which takes nearly all of them`() throws {
    let profile = try DriverFile.read(#require(Drivers.files["hexagon-v66"]))
    let placer = try Placer(NNAPIBackend(drivers: [profile]), fallback: CPUBackend(), PrepareOptions())
    let quantize = QuantizeInt8(observing: Observation(evaluator: CPUBackend.evaluator))
    let passes = standardPasses.adding(portable: [quantize])
    for (model, side) in [(ModelDescription.mobileNetV2, 64), (.resNet18, 32)] {
      let (graph, input) = try seeded(model, [1, 3, side, side])
      let optimised = try Pipeline(passes, checksNumbers: false).run(on: graph, for: placer, samples: [[input]]).graph
      let executable = try placer.prepare(optimised)
      #expect(executable.placement.count { $0.backend == profile.name } * 10 > executable.placement.count * 8)
      let session = try executable.makeSession()
      try session.run(with: [input])
      #expect(session.failure == nil && session.delegation?.fallbacks == 0)
      #expect(session.outputs[0].relativeError(to: try optimised.evaluate([input])[0]) < 1e-4)
    }
  }
}
