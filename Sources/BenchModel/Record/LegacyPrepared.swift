import BenchProtocol

/// What versions before 0.9 wrote of a configuration that was prepared, in records and as a worker's line.
package struct LegacyPrepared: Decodable {
  var loadTime: Int
  var optimiseTime: Int
  var prepareTime: Int
  var passes: [WorkerLine.Prepared.PassResult]?
  var graph: String?
  var weights: String?
  var input: String?
  var nodes: Int?
  var macs: Int?
  var weightBytes: Int?
  var originalWeightBytes: Int?
  var kernels: [String: Int]?
  var device: String?

  package var line: WorkerLine.Prepared {
    var line = WorkerLine.Prepared(loadNs: loadTime, optimiseNs: optimiseTime, prepareNs: prepareTime)
    (line.passes, line.graph, line.weights, line.input) = (passes, graph, weights, input)
    (line.nodes, line.macs, line.weightBytes) = (nodes, macs, weightBytes)
    (line.originalWeightBytes, line.device) = (originalWeightBytes, device)
    line.kernels = kernels.map { Dictionary($0.map { (Self.kernel($0.key), $0.value) }, uniquingKeysWith: +) }
    return line
  }

  /// A kernel's name as it is now. The first instruction set was called "baseline".
  package static func kernel(_ name: String) -> String {
    name.hasSuffix("-baseline") ? String(name.dropLast("baseline".count)) + "sse2" : name
  }
}
