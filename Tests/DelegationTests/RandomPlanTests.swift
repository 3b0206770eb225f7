import BenchStatistics
import Foundation
import GraphCore
import GraphPasses
import Pacer
import RuntimeCore
import TensorCore
import TestSupport
import Testing

@testable import Delegation

/// Random graphs on random drivers: whatever the graph and whatever a driver refuses or fails at, the result is the oracle's.
@Suite struct RandomPlanTests {
  /// How many are tried; more where PACER_RANDOM_PLANS says so.
  static let count = ProcessInfo.processInfo.environment["PACER_RANDOM_PLANS"].flatMap { Int($0) } ?? 40

  @Test func `random graphs on random drivers give what the oracle does`() throws {
    var random = SeededGenerator(seed: 24)
    defer { DriverProcesses.endAll { $0.hasPrefix("random") } }
    for number in 0..<Self.count {
      let (graph, input) = try Self.graph(&random)
      let drivers = Self.drivers(&random, number)
      // The library's settings are others' at other times.
      try StandIn.with([:]) { try check(graph, input, drivers, number, &random) }
    }
  }

  private func check(
    _ graph: Graph, _ input: Tensor, _ drivers: [DriverProfile], _ number: Int, _ random: inout SeededGenerator
  ) throws {
    var backend = NNAPIBackend(drivers: drivers, preference: random.pick(ExecutionPreference.allCases))
    let options = PrepareOptions(allocator: random.pick(AllocatorKind.allCases), threads: random.pick([1, 2]))
    let place = Comment("plan \(number): \(drivers)")
    let passes = random.pick([[], standardPasses])
    backend.mode = random.pick(ExecutionMode.allCases)
    if random.pick(Array(0..<8)) == 0 {
      backend.partition = .measured(
        try backend.measuredPartition(
          of: graph, passes: passes, fallback: CPUBackend(), options, samples: [[input]]))
      // As if nobody had met them: faults come at the same calls again.
      DriverProcesses.endAll { $0.hasPrefix("random") }
    }
    let placer = try Placer(backend, fallback: CPUBackend(), options)
    let optimised = try Pipeline(passes, checksNumbers: false).run(on: graph, for: placer).graph
    let executable = try placer.prepare(optimised)
    let session = try executable.makeSession()
    let expected = try graph.evaluate([input])
    for _ in 0..<3 {
      if backend.mode == .fenced {
        session.inputs[0].write(input)
        try session.start().wait()
      } else {
        try session.run(with: [input])
      }
      for (output, right) in zip(session.outputs, expected) { #expect(output.relativeError(to: right) < 1e-4, place) }
    }
    // A plan has all nodes once, each after what it reads.
    try executable.plan.graph.verify()
    #expect(executable.plan.graph.nodes.count == optimised.nodes.count, place)
    #expect(session.failure == nil, place)
    if drivers.allSatisfy(\.faults.isEmpty) { #expect(session.delegation?.fallbacks ?? 0 == 0, place) }
    DriverProcesses.endAll { $0.hasPrefix("random") }
  }

  /// Convolutions, activations, sums, pools and what else there is, each of values that are there.
  private static func graph(_ random: inout SeededGenerator) throws -> (Graph, Tensor) {
    var graph = Graph(name: "random")
    let shape = Shape([random.pick([1, 2]), random.pick([3, 4, 8]), 8, 8])
    let x = graph.addInput("x", TensorType(shape))
    var values = [x]
    func tensor(_ shape: Shape) throws -> Tensor {
      try Tensor(shape, (0..<shape.count).map { _ in Float(random.pick(Array(-8...8))) / 16 })
    }
    for number in 0..<random.pick(Array(4...14)) {
      let value = random.pick(values)
      let extents = graph[value].type.shape
      let name = "n\(number)"
      switch random.pick(Array(0..<9)) {
      case 0, 1:
        let outputs = random.pick([4, 8])
        let side = random.pick([1, 3])
        let weight = graph.addConstant("\(name).w", try tensor([outputs, extents[1], side, side]))
        let bias = graph.addConstant("\(name).b", try tensor([outputs]))
        values.append(try graph.addNode(name, Conv2D(padding: side == 3 ? 1 : 0), [value, weight, bias]))
      case 2:
        let weight = graph.addConstant("\(name).w", try tensor([extents[1], 1, 3, 3]))
        let bias = graph.addConstant("\(name).b", try tensor([extents[1]]))
        values.append(try graph.addNode(name, Conv2D(padding: 1, groups: extents[1]), [value, weight, bias]))
      case 3:
        values.append(try graph.addNode(name, Activation(random.pick([.relu, .relu6, .hardSwish, .sigmoid])), [value]))
      case 4: values.append(try graph.addNode(name, Unary(random.pick([.tanh, .erf, .absolute, .sin])), [value]))
      case 5:
        let same = values.filter { graph[$0].type.shape == extents }
        values.append(
          try graph.addNode(name, Binary(random.pick([.add, .multiply, .maximum])), [value, random.pick(same)]))
      case 6:
        let window = Window(kernel: 3, stride: 1, padding: 1, dilation: 1)
        values.append(try graph.addNode(name, MaxPool2D(window), [value]))
      case 7:
        let same = values.filter { graph[$0].type.shape[0] == extents[0] }
        values.append(try graph.addNode(name, Concat(axis: 1), [value, random.pick(same)]))
      default: values.append(try graph.addNode(name, Softmax(axis: 1), [value]))
      }
    }
    graph.setOutputs(Array(Set([values.last!, random.pick(Array(values.dropFirst()))])).sorted())
    return (graph, try tensor(shape))
  }

  private static func drivers(_ random: inout SeededGenerator, _ number: Int) -> [DriverProfile] {
    let codes: [OperationCode] = [
      .conv2d, .depthwiseConv2d, .add, .mul, .maximum, .relu, .relu6, .hardSwish, .logistic, .tanh, .abs, .sin,
      .maxPool2d,
      .concatenation, .softmax, .transpose,
    ]
    return (0..<random.pick([1, 2, 3])).map { index in
      var profile = DriverProfile(
        "random\(number).\(index)", compute: random.pick([.cpu, .im2col, .reference, .android]))
      let ratio = random.pick([0.3, 0.5, 0.5, 1, 2] as [Float])
      profile.capabilities = Capabilities(others: PerformanceInfo(time: ratio, power: random.pick([0.2, 1])))
      profile.limits.withoutOperations = Set(codes.filter { _ in random.pick([true, false, false]) })
      profile.limits.layout = random.pick([nil, nil, .nchw, .nhwc])
      profile.limits.maxNodes = random.pick([nil, nil, 1, 3])
      profile.limits.maxBatch = random.pick([nil, nil, 1])
      let effect: DriverProfile.Fault.Effect = random.pick([.die, .fail(.opFailed), .delay(milliseconds: 1)])
      let fault = DriverProfile.Fault(effect, at: random.pick([.prepare, .execute]), from: random.pick([1, 2, 4]))
      if random.pick([true, false, false]), profile.compute != .android { profile.faults = [fault] }
      if profile.compute == .android { profile.device = random.pick([nil, "sample-npu"]) }
      return profile
    }
  }
}

extension SeededGenerator {
  fileprivate mutating func pick<Element>(_ all: [Element]) -> Element { all.randomElement(using: &self)! }
}
