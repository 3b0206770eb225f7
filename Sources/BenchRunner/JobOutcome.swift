import BenchModel
import BenchProtocol
import BenchStatistics
import struct RuntimeCore.MeasuredPartition
import struct RuntimeCore.MemoryTimeline

/// What became of one job.
public struct JobOutcome: Sendable {
  public var lines: [WorkerLine] = []
  /// Why nothing of it counts; nil if all went well.
  public var failure: WorkerFailure?

  public init(_ lines: [WorkerLine] = [], failure: WorkerFailure? = nil) {
    (self.lines, self.failure) = (lines, failure)
  }

  private func first<Line>(_ pick: (WorkerLine) -> Line?) -> Line? { lines.lazy.compactMap(pick).first }

  package var hello: WorkerLine.Hello? { first { if case .hello(let line) = $0 { line } else { nil } } }
  package var prepared: WorkerLine.Prepared? { first { if case .prepared(let line) = $0 { line } else { nil } } }
  package var warmed: WorkerLine.Warmed? { first { if case .warmed(let line) = $0 { line } else { nil } } }
  /// In the model's order.
  package var outputs: [WorkerLine.Output] {
    lines.compactMap { if case .output(let line) = $0 { line } else { nil } }
  }
  package var skipped: String? { first { if case .skipped(let reason) = $0 { Format.plain(reason) } else { nil } } }
  package var notes: [String] {
    lines.compactMap { if case .note(let text) = $0 { Format.plain(text) } else { nil } }
  }
  package var trace: WorkerLine.Trace? { first { if case .trace(let trace) = $0 { trace } else { nil } } }
  package var memory: MemoryTimeline? { first { if case .memory(let line) = $0 { line } else { nil } } }
  package var partition: MeasuredPartition? { first { if case .partition(let line) = $0 { line } else { nil } } }
  /// One a slice.
  package var samples: [WorkerLine.Sample] {
    lines.compactMap { if case .sample(let line) = $0 { line } else { nil } }
  }
  package var profiles: [[WorkerLine.NodeTime]] {
    lines.compactMap { if case .profile(let nodes) = $0 { nodes } else { nil } }
  }
  package var readings: [WorkerLine.Reading] {
    lines.compactMap { if case .metric(let line) = $0 { line } else { nil } }
  }
  package func reading(_ name: String) -> Double? { readings.first { $0.name == name }?.value }
  /// The median of each slice, in nanoseconds.
  package var sliceMediansNs: [Double] { samples.map { median($0.latenciesNs.map(Double.init)) } }

  /// Whether it was ended because it took too long.
  package var isLate: Bool { if case .late = failure { true } else { false } }
  /// Why there is nothing to use, in words; nil where there is.
  package var problem: String? { failure?.description ?? skipped }
}
