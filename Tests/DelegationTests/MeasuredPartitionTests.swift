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

/// A chain of activations of one image, each named by its place.
private func chain(_ length: Int, of shape: Shape = [1, 4, 8, 8]) throws -> Graph {
  var graph = Graph(name: "chain")
  var value = graph.addInput("x", TensorType(shape))
  for index in 0..<length { value = try graph.addNode("n\(index)", Activation(.relu), [value]) }
  graph.setOutputs([value])
  return graph
}

@Suite(.serialized) struct MeasuredPartitionTests {
  private typealias Device = MeasuredPartition.Device

  private static func model(_ graph: Graph, _ devices: [Device], byteNs: Double) -> PartitionModel {
    PartitionModel(graph, devices, byteNs: byteNs)
  }

  @Test func `a plan costs its nodes, an execution for each run on a device, and what is copied to and from it`() throws
  {
    let graph = try chain(4)
    let devices = [
      Device(name: "npu", isHost: false, executionNs: 100, nodeNs: [1, 2, nil, 4]),
      Device(name: "cpu", isHost: true, executionNs: 0, nodeNs: [10, 20, 30, 40]),
    ]
    let model = Self.model(graph, devices, byteNs: 0.5)
    let bytes = 1 * 4 * 8 * 8 * 4
    #expect(
      model.cost([1, 1, 1, 1])
        == .init(nodesNs: 100, executions: 0, executionsNs: 0, copiedBytes: 0, copiesNs: 0))
    // To the device and back, twice.
    #expect(
      model.cost([0, 0, 1, 0])
        == .init(
          nodesNs: 37, executions: 2, executionsNs: 200, copiedBytes: 4 * bytes, copiesNs: Double(2 * bytes)))
    #expect(model.cost([0, 0, 0, 0]) == nil)
    // Between two devices it goes by the host.
    let two = Self.model(
      graph, [devices[0], Device(name: "gpu", isHost: false, executionNs: 7, nodeNs: [1, 1, 1, 1])], byteNs: 1)
    #expect(two.cost([0, 0, 1, 1])?.copiedBytes == 4 * bytes)
    #expect(two.cost([0, 0, 1, 1])?.executionsNs == 107)
  }

  /// All partitions of small graphs are tried.
  @Test
  func `of random costs of a chain the cheapest partition is found, and never one that costs more than its starts`()
    throws
  {
    var random = SeededGenerator(seed: 7)
    var isBest = 0
    let rounds = 60
    for _ in 0..<rounds {
      let length = Int.random(in: 2...7, using: &random)
      let graph = try chain(length)
      let devices = (0..<3).map { index in
        Device(
          name: "\(index)", isHost: index == 2, executionNs: index == 2 ? 0 : Double.random(in: 0...40, using: &random),
          nodeNs: (0..<length).map { _ in
            index < 2 && Int.random(in: 0..<5, using: &random) == 0 ? nil : Double.random(in: 1...60, using: &random)
          })
      }
      let model = Self.model(graph, devices, byteNs: Double.random(in: 0...0.02, using: &random))
      let starts = devices.indices.map { device in (0..<length).map { devices[device].nodeNs[$0] == nil ? 2 : device } }
      let found = try #require(model.best(from: starts, isFixed: [Bool](repeating: false, count: length)))
      var least = Double.infinity
      for number in 0..<Int(pow(3.0, Double(length))) {
        var (rest, placed) = (number, [Int]())
        for _ in 0..<length {
          placed.append(rest % 3)
          rest /= 3
        }
        if let cost = model.cost(placed) { least = min(least, cost.totalNs) }
      }
      for start in starts { if let cost = model.cost(start) { #expect(found.cost.totalNs <= cost.totalNs) } }
      #expect(model.cost(found.placed) == found.cost)
      #expect(found.cost.totalNs >= least - 1e-6)
      if found.cost.totalNs <= least + 2 { isBest += 1 }
    }
    #expect(isBest >= rounds * 9 / 10, "\(isBest) of \(rounds) are the cheapest there is")
  }

  @Test func `a graph of hundreds of nodes is partitioned, never worse than its starts`() throws {
    var random = SeededGenerator(seed: 9)
    let length = 400
    let graph = try chain(length)
    let devices = (0..<3).map { index in
      Device(
        name: "\(index)", isHost: index == 2, executionNs: 30,
        nodeNs: (0..<length).map { _ in
          index < 2 && Int.random(in: 0..<9, using: &random) == 0 ? nil : Double.random(in: 1...60, using: &random)
        })
    }
    let model = Self.model(graph, devices, byteNs: 0.01)
    let starts = devices.indices.map { device in (0..<length).map { devices[device].nodeNs[$0] == nil ? 2 : device } }
    let found = try #require(model.best(from: starts, isFixed: [Bool](repeating: false, count: length)))
    for start in starts { if let cost = model.cost(start) { #expect(found.cost.totalNs <= cost.totalNs) } }
    #expect(model.cost(found.placed) == found.cost)
  }

  @Test func `nodes stay where they are fixed`() throws {
    let graph = try chain(3)
    let devices = [
      Device(name: "npu", isHost: false, executionNs: 1, nodeNs: [1, 1, 1]),
      Device(name: "cpu", isHost: true, executionNs: 0, nodeNs: [1000, 1000, 1000]),
    ]
    let model = Self.model(graph, devices, byteNs: 0)
    let found = try #require(model.best(from: [[1, 1, 1]], isFixed: [false, true, false]))
    #expect(found.placed == [0, 1, 0])
  }

  /// A driver that promises much and takes long: NNAPI's choice follows the promise, a measured one the time.
  private static func delayed(_ milliseconds: Int) -> DriverProfile {
    var profile = DriverProfile("late", capabilities: Capabilities(others: PerformanceInfo(time: 0.1, power: 0.1)))
    profile.faults = [.init(.delay(milliseconds: milliseconds))]
    return profile
  }

  @Test func `a measured partition leaves a driver that promises more than it does, and computes the same`() throws {
    defer { DriverProcesses.endAll { $0 == "late" } }
    let (graph, input) = try smallNetwork()
    let backend = NNAPIBackend(drivers: [Self.delayed(20)])
    let options = PrepareOptions()
    let partition = try backend.measuredPartition(
      of: graph, passes: standardPasses, fallback: CPUBackend(), options, samples: [[input]])
    #expect(partition.devices.map(\.name) == ["late", "nnapi-reference", "nnapi-interpreter", "cpu"])
    #expect(!partition.chosen.contains("late"))
    let own = try #require(partition.unmeasuredCost)
    #expect(own.totalNs > 20_000_000 && partition.cost.totalNs < own.totalNs)

    var measured = backend
    measured.partition = .measured(partition)
    for (backend, isDelegated) in [(backend, true), (measured, false)] {
      let placer = try Placer(backend, fallback: CPUBackend(), options)
      let optimised = try Pipeline(standardPasses, checksNumbers: false).run(on: graph, for: placer).graph
      let executable = try placer.prepare(optimised)
      #expect(executable.placement.contains { $0.backend == "late" } == isDelegated)
      let session = try executable.makeSession()
      try session.run(with: [input])
      #expect(session.outputs[0].relativeError(to: try graph.evaluate([input])[0]) < 1e-4)
      guard !isDelegated else { continue }
      let reasons = Set(executable.placement.flatMap(\.refusals).filter { $0.backend == "late" }.map(\.reason))
      #expect(reasons == ["the measured partition has it elsewhere"])
    }
  }

  @Test func `a driver that fails while it is measured gets nothing, and says why`() throws {
    defer { DriverProcesses.endAll { $0 == "fails" } }
    let (graph, input) = try smallNetwork()
    var profile = DriverProfile("fails", capabilities: Capabilities(others: PerformanceInfo(time: 0.1, power: 0.1)))
    profile.faults = [.init(.fail(.opFailed), from: 2)]
    var backend = NNAPIBackend(drivers: [profile])
    let partition = try backend.measuredPartition(
      of: graph, passes: standardPasses, fallback: CPUBackend(), PrepareOptions(), samples: [[input]])
    let failure = try #require(partition.devices[0].failure)
    #expect(failure.contains("OP_FAILED"))
    #expect(!partition.chosen.contains("fails") && partition.unmeasuredCost == nil)
    backend.partition = .measured(partition)
    let placer = try Placer(backend, fallback: CPUBackend(), PrepareOptions())
    let planned = try placer.plan(
      Pipeline(standardPasses, checksNumbers: false).run(on: graph, for: placer).graph)
    let reason = try #require(planned.placement[0].refusals.first { $0.backend == "fails" }?.reason)
    #expect(reason.hasPrefix("it failed while it was measured"))
  }

  @Test func `what a driver refuses only once formats are chosen costs nothing there since it does not run there`()
    throws
  {
    let (graph, input) = try smallNetwork()
    var profile = DriverProfile("last", capabilities: Capabilities(others: PerformanceInfo(time: 0.1, power: 0.1)))
    defer { DriverProcesses.endAll { $0 == "last" } }
    // Images stay in NCHW without passes, and become NHWC with them.
    for (layout, passes) in [(.nhwc, []), (.nchw, standardPasses)] as [(DriverProfile.ImageLayout, [any Pass])] {
      profile.limits.layout = layout
      var backend = NNAPIBackend(drivers: [profile])
      let partition = try backend.measuredPartition(
        of: graph, passes: passes, fallback: CPUBackend(), PrepareOptions(), samples: [[input]])
      // The first convolution: what is NCHW either way, it may take.
      #expect(partition.chosen[0] != "last" && partition.devices[0].nodeNs[0] == nil)
      backend.partition = .measured(partition)
      let placer = try Placer(backend, fallback: CPUBackend(), PrepareOptions())
      let session = try placer.prepare(Pipeline(passes, checksNumbers: false).run(on: graph, for: placer).graph)
        .makeSession()
      try session.run(with: [input])
      #expect(session.outputs[0].relativeError(to: try graph.evaluate([input])[0]) < 1e-4)
    }
  }

  @Test func `of two drivers one is not charged with the other's time, nor blamed for its failure`() throws {
    defer { DriverProcesses.endAll { ["good", "bad"].contains($0) } }
    let (graph, input) = try smallNetwork()
    var good = DriverProfile("good", capabilities: Capabilities(others: PerformanceInfo(time: 0.5, power: 1)))
    good.limits.withoutOperations = [.relu6]
    var bad = DriverProfile("bad", capabilities: Capabilities(others: PerformanceInfo(time: 0.2, power: 1)))
    bad.faults = [.init(.delay(milliseconds: 30))]
    let passes = standardPasses.filter { $0.name != "fuse-activation" }
    var partition = try NNAPIBackend(drivers: [good, bad]).measuredPartition(
      of: graph, passes: passes, fallback: CPUBackend(), PrepareOptions(), samples: [[input]])
    // What an execution waits for is none of a node's.
    func total(_ device: Int) -> Double {
      partition.devices[device].nodeNs.compactMap { $0 }.reduce(partition.devices[device].executionNs, +)
    }
    #expect(total(0) > 0 && total(0) < total(1))
    bad.faults = [.init(.die, from: 2)]
    partition = try NNAPIBackend(drivers: [good, bad]).measuredPartition(
      of: graph, passes: passes, fallback: CPUBackend(), PrepareOptions(), samples: [[input]])
    #expect(partition.devices[0].failure == nil && partition.devices[1].failure != nil)
  }

  @Test func `a measured partition without a measurement is not prepared, and another graph is placed as NNAPI does`()
    throws
  {
    let (graph, _) = try smallNetwork()
    var backend = try #require(try NNAPIBackend().choosing("partition", "measured"))
    #expect(backend.availability(PrepareOptions()).isUnavailable)
    let nothing = MeasuredPartition.Cost(nodesNs: 0, executions: 0, executionsNs: 0, copiedBytes: 0, copiesNs: 0)
    backend.partition = .measured(
      MeasuredPartition(
        graph: "another", devices: [], byteNs: 0, chosen: graph.nodes.map { _ in "cpu" }, cost: nothing,
        unmeasuredCost: nil))
    #expect(!backend.availability(PrepareOptions()).isUnavailable)
    func places(_ backend: NNAPIBackend) throws -> [String] {
      try Placer(backend, fallback: CPUBackend(), PrepareOptions()).plan(graph).placement.map(\.backend)
    }
    #expect(try places(backend) == places(NNAPIBackend()))
    #expect(throws: UnknownName.self) { try NNAPIBackend().choosing("partition", "measurd") }
  }

  @Test func `a reason for which a driver refuses nodes can be lifted, and others stand`() throws {
    let (graph, _) = try smallNetwork()
    var profile = DriverProfile("npu", capabilities: Capabilities(others: PerformanceInfo(time: 0.1, power: 0.1)))
    profile.limits.withoutOperations = [.relu6, .softmax]
    func places(_ forgiven: String?) throws -> [String: String] {
      var backend = NNAPIBackend(drivers: [profile])
      backend.forgiven = forgiven
      let planned = try Placer(backend, fallback: CPUBackend(), PrepareOptions()).plan(graph)
      return Dictionary(planned.placement.map { ($0.op, $0.backend) }) { a, _ in a }
    }
    #expect(try places(nil) == ["conv2d": "npu", "activation": "nnapi-reference", "softmax": "nnapi-reference"])
    #expect(try places("npu has no RELU6") == ["conv2d": "npu", "activation": "npu", "softmax": "nnapi-reference"])
    var backend = NNAPIBackend(drivers: [profile])
    backend.forgiven = "npu has no RELU6"
    #expect(backend.availability(PrepareOptions()).isUnavailable)
  }
}

/// Two convolutions with activations, and a softmax.
private func smallNetwork() throws -> (graph: Graph, input: Tensor) {
  var graph = Graph(name: "small")
  var value = graph.addInput("x", TensorType([1, 3, 8, 8]))
  for index in 0..<2 {
    let channels = graph[value].type.shape[1]
    let weight = graph.addConstant(
      "w\(index)", try Tensor([4, channels, 3, 3], (0..<36 * channels).map { Float($0 % 5) / 5 - 0.4 }))
    value = try graph.addNode("conv\(index)", Conv2D(padding: 1), [value, weight])
    value = try graph.addNode("act\(index)", Activation(.relu6), [value])
  }
  graph.setOutputs([try graph.addNode("soft", Softmax(axis: 1), [value])])
  return (graph, try Tensor([1, 3, 8, 8], (0..<192).map { Float($0 % 7) / 7 }))
}
