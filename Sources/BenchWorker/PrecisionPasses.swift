import BenchProtocol
import Pacer

extension Precision {
  /// The passes that write it into a graph.
  package var passes: [any Pass] {
    switch self {
    case .fp32: []
    case .fp16: [ToFloat16()]
    case .fp16Arithmetic: [ToFloat16(), Float16Arithmetic()]
    }
  }
}

extension Runtime {
  /// The passes that settings ask for, in order.
  package func passes(_ settings: Settings) throws -> [any Pass] {
    try passes(settings.passes).adding(portable: settings.precision.passes)
  }
}

extension Placer {
  /// Why a graph in another precision is no row of the preferred backend: a node that multiplies has no fast kernel there. Nil where
  /// all have.
  package func lackOfKernels(for precision: Precision, in graph: Graph) -> String? {
    guard precision != .fp32 else { return nil }
    for node in graph.nodes where graph.cost(of: node).macs > 0 {
      switch backends[0].support(for: node, in: graph, options) {
      case .unsupported(let reason): return reason
      case let support where !support.isFast: return "backend \(backends[0].name) has no \(precision) kernels"
      case .kernel: continue
      }
    }
    return nil
  }
}
