import BenchModel
import BenchProtocol
import BenchWorker
import Foundation
import Pacer

/// Runs a model in float32 and with chosen layers in int8 on the same samples.
struct QuantizationMeasurement {
  private let graph: Graph
  private let options: QuantizeInt8.Options
  private let passes: [any Pass]
  /// Run before what makes int8 of the network, and not where it is in float32.
  private let preparation: [any Pass]
  let samples: [[Tensor]]
  /// What is judged on: at most so many, spread over the samples.
  private static let mostJudged = 8
  private let judged: [[Tensor]]
  private let expected: [[Float]]
  /// Layers that are in int8 if none is left out.
  let layers: [Node]

  /// - Parameter graph: before any pass.
  init(
    _ graph: Graph, _ options: QuantizeInt8.Options, _ passes: [any Pass], preparing: Int8Preparation?,
    samples: [[Tensor]]
  ) throws {
    (self.graph, self.options, self.passes, self.samples) = (graph, options, passes, samples)
    preparation = preparing?.passes(Self.observation(samples)) ?? []
    let step = max((samples.count + Self.mostJudged - 1) / Self.mostJudged, 1)
    judged = stride(from: 0, to: samples.count, by: step).map { samples[$0] }
    expected = try Self.outputs(of: graph, passes, on: judged)
    let all = try Self.quantized(graph, Self.portable(passes) + preparation + [Self.pass(options, samples)])
    layers = all.nodes.filter { all.cost(of: $0).macs > 0 && Node.multipliesIntegers($0.op, all.inputTypes(of: $0)) }
    quantizedWeightBytes = all.weightBytes
    let costs = layers.map { ($0.name, all.cost(of: $0).macs) }
    macs = Dictionary(costs) { first, _ in first }
    allMACs = all.macs
  }

  let quantizedWeightBytes: Int
  private let macs: [String: Int]
  private let allMACs: Int

  func macs(of name: String) -> Int { macs[name] ?? 0 }
  func share(of names: [String]) -> Double { Double(names.reduce(0) { $0 + macs(of: $1) }) / Double(max(allMACs, 1)) }

  private static func portable(_ passes: [any Pass]) -> [any Pass] { passes.filter { !$0.isForTarget } }

  private static func pass(_ options: QuantizeInt8.Options, _ samples: [[Tensor]]) -> QuantizeInt8 {
    QuantizeInt8(options, observing: observation(samples))
  }

  private static func observation(_ samples: [[Tensor]]) -> Observation {
    Observation(samples: { _ in samples }, evaluator: CPUBackend.evaluator)
  }

  private static func quantized(_ graph: Graph, _ passes: [any Pass]) throws -> Graph {
    try Pipeline(passes, checksNumbers: false).run(on: graph, for: CPUBackend().target(PrepareOptions())).graph
  }

  /// The graph in int8, for no target.
  /// - Parameter kept: nodes that stay in float32, beside those that do anyway.
  func quantized(keeping kept: [String]) throws -> Graph {
    try Self.quantized(graph, Self.portable(allPasses(keeping: kept)))
  }

  /// The passes with quantisation among them.
  /// - Parameter kept: nodes that stay in float32, beside those that do anyway.
  func allPasses(keeping kept: [String]) -> [any Pass] {
    var options = options
    options.kept.formUnion(kept)
    return passes.adding(portable: preparation + [Self.pass(options, samples)])
  }

  private static func outputs(of graph: Graph, _ passes: [any Pass], on samples: [[Tensor]]) throws -> [[Float]] {
    let placer = try Placer(CPUBackend(), PrepareOptions())
    let session = try placer.prepare(Pipeline(passes, checksNumbers: false).run(on: graph, for: placer).graph)
      .makeSession()
    return try samples.map { sample in
      try session.run(with: sample)
      return session.outputs.flatMap(\.actual.values)
    }
  }

  /// Decibels; nil where nothing differs.
  /// - Parameter kept: nodes that stay in float32, beside those that do anyway.
  /// - Throws: ``UserError`` where outputs are no numbers.
  func signalToNoise(keeping kept: [String]) throws -> Double? {
    let found = try Self.outputs(of: graph, allPasses(keeping: kept), on: judged)
    var (signal, noise) = (0.0, 0.0)
    for (a, b) in zip(expected.joined(), found.joined()) {
      signal += Double(a) * Double(a)
      noise += (Double(a) - Double(b)) * (Double(a) - Double(b))
    }
    guard signal.isFinite, noise.isFinite else {
      throw UserError("\(graph.name): outputs have NaN or infinity on the samples")
    }
    return noise > 0 ? 10 * log10(max(signal, .leastNormalMagnitude) / noise) : nil
  }
}
