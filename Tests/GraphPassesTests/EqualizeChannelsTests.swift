import GraphCore
import ModelZoo
import Pacer
import TensorCore
import Testing

@Suite struct EqualizeChannelsTests {
  /// Weights of the two convolutions' channels, largest magnitudes by channel.
  private func ranges(_ graph: Graph, _ node: Int, second: Bool) -> [Float] {
    let tensor = graph.data(of: graph.nodes[node].inputs[1])!
    let (outputs, channels) = (tensor.shape[0], tensor.shape[1])
    let taps = tensor.shape[2] * tensor.shape[3]
    var found = [Float](repeating: 0, count: second && channels > 1 ? channels : outputs)
    for (index, value) in tensor.values.enumerated() {
      let place = second && channels > 1 ? index / taps % channels : index / taps / channels
      found[place] = max(found[place], value.magnitude)
    }
    return found
  }

  @Test func `channels cover like ranges, and the function is the same`() throws {
    var graph = Graph(name: "three")
    let x = graph.addInput("x", TensorType([1, 3, 6, 6]))
    func weight(_ name: String, _ shape: Shape) throws -> ValueID {
      graph.addConstant(
        name, try Tensor(shape, (0..<shape.count).map { Float(($0 * 37) % 19 - 9) / (3 + Float($0 % 7) * 9) }))
    }
    let bias = graph.addConstant("b", try Tensor([8], (0..<8).map { Float($0) / 8 }))
    let y = try graph.addNode("expand", Conv2D(epilogue: .relu6), [x, try weight("w1", [8, 3, 1, 1]), bias])
    let z = try graph.addNode(
      "depthwise", Conv2D(padding: 1, groups: 8, epilogue: .relu6), [y, try weight("w2", [8, 1, 3, 3])])
    graph.setOutputs([try graph.addNode("project", Conv2D(), [z, try weight("w3", [4, 8, 1, 1])])])
    let target = try CPUBackend().target(PrepareOptions())
    // Checked against the reference ops.
    let (found, reports) = try Pipeline([EqualizeChannels()]).run(on: graph, for: target)
    #expect(reports[0].rewrites == 2)
    for (first, second) in [(0, 1), (1, 2)] {
      for (a, b) in zip(ranges(found, first, second: false), ranges(found, second, second: true)) {
        #expect((a / b - 1).magnitude < 0.02, "\(a) \(b)")
      }
    }
    guard case .clampChannels(let clamps)? = (found.nodes[0].op as? Conv2D)?.epilogue else {
      Issue.record("no clamps by channel")
      return
    }
    #expect(Set(clamps.map(\.max)).count > 1 && clamps.allSatisfy { $0.min == 0 })
  }

  @Test func `tensors have numbers of one size in all channels, and the function is the same`() throws {
    var graph = Graph(name: "tensors")
    let x = graph.addInput("x", TensorType([1, 3, 6, 6]))
    func weight(_ name: String, _ shape: Shape) throws -> ValueID {
      let values = (0..<shape.count).map { (index: Int) -> Float in
        let size = 3 + Float(index / 3 % 7) * 9
        return Float((index * 37) % 19 - 9) / size
      }
      return graph.addConstant(name, try Tensor(shape, values))
    }
    let bias = graph.addConstant("b", try Tensor([8], (0..<8).map { Float($0 % 3) / 8 + 0.3 }))
    let y = try graph.addNode("expand", Conv2D(epilogue: .relu6), [x, try weight("w1", [8, 3, 1, 1]), bias])
    let z = try graph.addNode("depthwise", Conv2D(padding: 1, groups: 8), [y, try weight("w2", [8, 1, 3, 3])])
    graph.setOutputs([try graph.addNode("project", Conv2D(), [z, try weight("w3", [4, 8, 1, 1])])])
    let sample = try Tensor([1, 3, 6, 6], (0..<108).map { Float(($0 * 31) % 64) / 32 - 1 })
    let target = try CPUBackend().target(PrepareOptions())
    let pass = EqualizeTensors(observing: Observation(samples: { _ in [[sample]] }))
    let (found, reports) = try Pipeline([pass]).run(on: graph, for: target)
    #expect(reports[0].rewrites == 1)
    func largest(_ graph: Graph) throws -> [Float] {
      var all: [Float] = []
      _ = try graph.evaluate([sample]) { node, outputs in
        guard node.name == "expand" else { return }
        let values = outputs[0].values
        all = (0..<8).map { values[$0 * 36..<($0 + 1) * 36].reduce(0) { max($0, $1.magnitude) } }
      }
      return all
    }
    let (before, after) = (try largest(graph), try largest(found))
    #expect(before.max()! / before.min()! > 4)
    #expect(after.max()! / after.min()! < 1.001, "\(before) \(after)")
  }

  @Test func `of a network that others read in between, nothing is scaled`() throws {
    let work = try ModelInput(.resNet18, shape: [1, 3, 32, 32])
    let target = try CPUBackend().target(PrepareOptions())
    let portable = standardPasses.filter { !$0.isForTarget }
    let (_, reports) = try Pipeline(portable + [EqualizeChannels()]).run(on: work.graph, for: target)
    // The first of each block's two convolutions, which the second alone reads.
    #expect(reports.last?.rewrites == 8)
  }

  @Test func `ReLU6 becomes ReLU`() throws {
    let work = try ModelInput(.mobileNetV2, shape: [1, 3, 32, 32])
    let target = try CPUBackend().target(PrepareOptions())
    let (graph, reports) = try Pipeline([FoldBatchNorm(), FuseActivation(), ReplaceReLU6()]).run(
      on: work.graph, for: target)
    #expect(reports[2].rewrites == 35 && reports[2].error != nil)
    #expect(!graph.nodes.contains { ($0.op as? any FusingOp)?.epilogue == .relu6 })
  }
}
