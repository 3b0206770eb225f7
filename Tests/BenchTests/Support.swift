import Foundation
import PacerBench

/// The standard normal distribution, by Box and Muller, so that a simulation gives the same numbers every time.
extension SeededGenerator {
  mutating func normal() -> Double {
    let u = Double.random(in: 1e-12..<1, using: &self)
    let v = Double.random(in: 0..<1, using: &self)
    return (-2 * log(u)).squareRoot() * cos(2 * .pi * v)
  }
}

func inFolder(_ body: (URL) async throws -> Void) async throws {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID())")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  try await body(folder)
}

/// A machine that nothing disturbs.
let quietMachine: MachineDescription = {
  var machine = MachineDescription.current(processor: "P", isa: "avx2", git: "1")
  (machine.loadAverage, machine.governor, machine.steal, machine.quota) = (0, "unavailable", nil, "none")
  return machine
}()

/// Lines of a record, made as a runner makes them.
struct RecordMaker {
  var lines: [RecordLine]
  private var number = 0

  init(_ plan: [PlannedConfiguration], version: String = "1", suite: String = "default", started: String = "2026-01-01")
  {
    lines = [
      .start(
        .init(
          version: version, suite: suite, suiteDigest: "d", started: started, command: "test", seed: 1,
          environment: quietMachine, passes: Catalog.standard.passes.map(\.name), configurations: plan))
    ]
  }

  /// An inspected row.
  mutating func inspect(
    _ row: Int, metrics: [String: Double] = [:], graph: String? = nil, hasOutput: Bool = true,
    change: (inout RecordLine.Inspected) -> Void = { _ in }
  ) {
    var line = RecordLine.Inspected(row: row, status: .measured)
    var prepared = WorkerLine.Prepared(loadNs: 1, optimiseNs: 1, prepareNs: 1)
    prepared.passes = Catalog.standard.passes.map { .init(name: $0.name, rewrites: 1) }
    prepared.graph = graph
    (line.prepared, line.metrics) = (prepared, metrics)
    line.hello = .init(engine: "pacer", version: "1")
    if hasOutput { line.accuracy = Accuracy([1], reference: [1]) }
    change(&line)
    lines.append(.inspected(line))
  }

  /// One run alone.
  mutating func run(_ row: Int, _ slicesNs: [[Int]], metrics: [String: Double] = [:]) {
    var line = RecordLine.RunLine(number: number, row: row)
    (line.slicesNs, line.metrics) = (slicesNs, metrics)
    number += 1
    lines.append(.run(line))
  }

  /// A pair of runs whose slices have this ratio.
  mutating func pair(_ row: Int, to baseline: Int, ratio: Double, latencyNs: Int = 10_000_000) {
    for (index, slice) in [(baseline, latencyNs), (row, Int(Double(latencyNs) * ratio))] {
      var line = RecordLine.RunLine(number: number, row: index)
      line.partner = index == baseline ? number + 1 : number - 1
      line.slicesNs = [[slice], [slice], [slice]]
      number += 1
      lines.append(.run(line))
    }
  }

  mutating func end(_ ending: Record.Ending? = nil) { lines.append(.end(.init(ending: ending, elapsed: 1))) }

  func record(_ catalog: Catalog = .standard) -> Record { try! Record(lines: lines, catalog) }
}
