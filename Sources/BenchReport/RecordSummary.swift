import BenchModel
import BenchProtocol
import BenchStatistics

/// A record with what follows from it, for programs that compute no statistics themselves.
public struct RecordSummary: Encodable, Sendable {
  public static let schema = "pacer-summary-3"

  public struct Row: Encodable, Sendable {
    public var id: String
    public var label: String
    public var configuration: Configuration
    public var status: RowStatus
    public var reason: String?
    public var sameAs: String?
    public var baseline: String?
    /// Whether the report concludes on it.
    public var headline: Bool
    public var runs: Int
    public var latencyNs: Estimate?
    public var ratio: Estimate?
    /// By name, of every metric that was measured.
    public var metrics: [String: Double]
    public var unavailable: [String: String]
    public var accuracy: Accuracy?
    /// Where the reference output comes from; nil for Pacer's oracle.
    public var expectedFrom: String?
    public var remarks: [String]
  }

  public var schema = Self.schema
  public var version: String
  public var suite: String
  public var started: String
  public var elapsed: Double
  public var command: String
  public var seed: UInt64?
  public var workerPrefix: [String]?
  public var environment: MachineDescription
  public var passes: [String]
  public var isComplete: Bool
  public var ending: Record.Ending?
  /// Whether ratios are as an older version stored them, and cannot be made again.
  public var ratiosAsStored: Bool
  public var rows: [Row]

  public init(_ record: Record, _ catalog: Catalog) {
    (version, suite, started, elapsed) = (record.version, record.suite, record.started, record.elapsed)
    (command, seed, workerPrefix) = (record.command, record.start.seed, record.start.workerPrefix)
    (environment, passes, ending) = (record.environment, record.passes, record.ending)
    (isComplete, ratiosAsStored) = (record.isComplete, record.isAsStored)
    rows = record.rows.map { row in
      let metrics =
        row.status == .measured || row.status == .same
        ? catalog.metrics.compactMap { metric in metric.value(row).map { (metric.name, $0) } } : []
      return Row(
        id: row.id, label: row.label, configuration: row.configuration, status: row.status, reason: row.reason,
        sameAs: row.sameAs, baseline: row.baseline, headline: row.isHeadline, runs: row.runs.count,
        latencyNs: row.latency, ratio: row.ratio,
        metrics: Dictionary(metrics) { first, _ in first }, unavailable: row.unavailableMetrics,
        accuracy: row.accuracy, expectedFrom: row.expectedFrom, remarks: row.remarks)
    }
  }
}
