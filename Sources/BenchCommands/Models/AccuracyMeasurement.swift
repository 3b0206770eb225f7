import BenchModel
import BenchProtocol
import BenchWorker
import Foundation
import BenchReport
import BenchRunner
import BenchStatistics
import Pacer

extension AccuracyBisection {
  /// - Parameter tolerance: of an op alone; nil for what op cases are held to: 1e-5 of the largest, in fp16 1e-2.
  /// - Throws: ``UserError`` where the backend cannot run the configuration.
  package init(_ runtime: Runtime, _ configuration: Configuration, tolerance: Double?) throws {
    let settings = try Settings(configuration, in: runtime)
    let backend = settings.backend
    let options = settings.options
    let info: DeviceInfo
    switch backend.availability(options) {
    case .available(let device): info = device
    case .unavailable(let reason): throw UserError("backend \(backend.name) is unavailable: \(reason)")
    }
    let model = try ModelWork(configuration, in: runtime, for: settings)
    let inputs = model.inputs
    let placer = try Placer(backend, fallback: settings.fallback, options)
    var optimised = try Pipeline(model.remaining ?? runtime.passes(settings), checksNumbers: false)
      .run(on: model.graph, for: placer, samples: [model.inputs]).graph
    if let reason = placer.lackOfKernels(for: settings.precision, in: optimised, on: settings.backend) {
      throw UserError("\(settings.precision) has no place here: \(reason)")
    }
    let usual = try placer.prepare(optimised).makeSession()
    for (input, tensor) in zip(usual.inputs, inputs) { input.write(tensor) }
    for _ in 0..<2 { try usual.run() }
    let output = optimised.outputs[0]
    optimised.setOutputs(optimised.nodes.map { $0.outputs[0] })
    let executable = try placer.prepare(optimised)
    let session = try executable.makeSession()
    for (input, tensor) in zip(session.inputs, inputs) { input.write(tensor) }
    func outputs() throws -> [Tensor] {
      try session.run()
      return try session.outputs.map { try Tensor($0.shape, $0.values) }
    }
    let (first, second) = (try outputs(), try outputs())

    let kernels = Dictionary(executable.placement.map { ($0.node, $0.kernel) }) { first, _ in first }
    var nodes: [NodeOutput] = []
    var computed = Dictionary(uniqueKeysWithValues: zip(optimised.inputs, inputs))
    _ = try optimised.evaluate(inputs) { node, outputs in
      let index = nodes.count
      let (values, expected) = (first[index].values, try outputs[0].converted(to: .nchw))
      let alone = try Self.run(node, of: optimised, computed, placer)
      computed[node.outputs[0]] = outputs[0]
      nodes.append(
        NodeOutput(
          node: node.name, op: node.op.name, kernel: kernels[node.name] ?? "–",
          alone: Self.error(alone, expected), inNetwork: Self.error(first[index], expected),
          hasNaN: (alone.values + values).contains { !$0.isFinite },
          isZero: values.allSatisfy { $0 == 0 } && !expected.values.allSatisfy { $0 == 0 },
          repeats: zip(values, second[index].values).allSatisfy { $0.bitPattern == $1.bitPattern }))
    }
    guard let expected = computed[output] ?? optimised.data(of: output) else {
      throw GraphError("the oracle did not compute the output")
    }
    self.init(
      configuration: configuration, device: info.name,
      tolerance: tolerance ?? Conformance.tolerance(of: optimised), nodes: nodes,
      asRun: Self.error(usual.outputs[0], expected))
  }

  /// One node on the backend, its activations those of the oracle.
  private static func run(
    _ node: Node, of graph: Graph, _ computed: [ValueID: Tensor], _ placer: Placer
  ) throws -> Tensor {
    var single = Graph(name: node.name)
    var arguments: [Tensor] = []
    let inputs = try node.inputs.map { id in
      if let tensor = graph.data(of: id) { return single.addConstant(graph[id].name, tensor) }
      guard let tensor = computed[id] else { throw GraphError("\(graph[id].name) was not computed") }
      arguments.append(tensor)
      return single.addInput(graph[id].name, tensor.type)
    }
    single.setOutputs([try single.addNode(node.name, node.op, inputs, placed: node.placed, stored: node.stored)])
    let session = try placer.prepare(single).makeSession()
    for (tensor, argument) in zip(session.inputs, arguments) {
      tensor.write(argument)
    }
    try session.run()
    return session.outputs[0]
  }

  /// Largest difference over the largest expected value; a huge number where a value is none, as JSON has no NaN.
  private static func error(_ tensor: Tensor, _ expected: Tensor) -> Double {
    let error = tensor.relativeError(to: expected)
    return error.isFinite ? error : .greatestFiniteMagnitude
  }
}
