import BenchProtocol
import Pacer

extension Precision {
  /// The passes that write it into a graph.
  package var passes: [any Pass] {
    switch self {
    case .fp32: []
    case .fp16: [ToFloat16()]
    case .fp16Arithmetic: [ToFloat16(), Float16Arithmetic()]
    case .int8: [QuantizeInt8(observing: Observation(evaluator: CPUBackend.evaluator))]
    }
  }
}

extension Runtime {
  /// The passes that settings ask for, in order.
  package func passes(_ settings: Settings) throws -> [any Pass] {
    try passes(settings.passes).adding(portable: settings.precisionPasses)
  }
}

extension Int8Preparation {
  /// The passes that it is.
  package func passes(_ observation: Observation) -> [any Pass] {
    switch self {
    case .relu: [ReplaceReLU6()]
    case .equalize: [EqualizeChannels()]
    case .reluEqualize: [ReplaceReLU6(), EqualizeChannels()]
    case .tensors: [EqualizeTensors(observing: observation)]
    }
  }
}

extension Settings {
  /// The passes that write its precision into a graph.
  package var precisionPasses: [any Pass] {
    guard precision == .int8 else { return precision.passes }
    let observation = Observation(
      samples: { [calibration] graph in try calibration.map { try Calibration.samples($0, of: graph) } ?? [] },
      evaluator: CPUBackend.evaluator)
    return (preparation?.passes(observation) ?? []) + [QuantizeInt8(quantization, observing: observation)]
  }
}

extension CPUBackend {
  /// Computes a graph's outputs on the fast kernels.
  package static let evaluator: @Sendable (Graph) throws -> (@Sendable ([Tensor]) throws -> [Tensor]) = { graph in
    let executable = try CPUBackend().prepare(graph, PrepareOptions(threads: 1))
    return { inputs in
      let session = try executable.makeSession()
      try session.run(with: inputs)
      return session.outputs.map(\.actual)
    }
  }
}

extension Placer {
  /// Why a graph in another precision, or one that came with integers, is no row of a backend: a node that multiplies has no fast kernel
  /// there. Nil where all have, or of a backend that divides graphs between devices any: the rest is left to others, as placements tell.
  package func lackOfKernels(for precision: Precision, in graph: Graph, on backend: any Backend) -> String? {
    func multipliesIntegers(_ node: Node) -> Bool { Node.multipliesIntegers(node.op, graph.inputTypes(of: node)) }
    // What was left in float32 by choice has kernels of its own.
    if precision == .int8, !graph.nodes.contains(where: multipliesIntegers) {
      return
        "there is no layer with known weights to put into int8 (with observer dynamic of linear and recurrent ones)"
    }
    let members = backend.members
    // Who asks for other kernels wants to see those.
    let isChosen = (backend as? CPUBackend)?.kernels ?? .fast != .fast
    var (lack, isAnyFast) = (nil as String?, false)
    for node in graph.nodes where graph.cost(of: node).macs > 0 {
      let own = multipliesIntegers(node) && !isChosen ? .int8 : precision
      guard own != .fp32 else { continue }
      let answers = members.map { $0.support(for: node, in: graph, options) }
      if answers.contains(where: \.isFast) {
        isAnyFast = true
        continue
      }
      let reason = answers.lazy.compactMap(\.refusal).first ?? "backend \(backend.name) has no \(own) kernels"
      guard members.count > 1 else { return reason }
      lack = lack ?? reason
    }
    return isAnyFast ? nil : lack
  }
}
