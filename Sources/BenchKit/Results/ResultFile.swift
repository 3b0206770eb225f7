import Foundation

/// Everything one run of a suite measured. Statistics are made from it when it is read; it holds the samples.
public struct ResultFile: Codable, Sendable {
  public static let schema = "pacer-result-1"

  public var schema = ResultFile.schema
  public var version: String
  public var suite: String
  /// Digest of the suite's cells and their baselines: a run is resumed only with the same ones.
  public var suiteDigest: String
  public var started: String
  public var elapsed: Double = 0
  public var command: String
  public var environment: MachineDescription
  /// What an empty worker of each engine needs, in bytes.
  public var idleResident: [String: Double] = [:]
  /// Every pass there was, in order: what "all on" stands for. Nil in older files, where it is the passes of any cell.
  public var passes: [String]?
  public var cells: [CellResult]
  public var isComplete = false

  public init(
    version: String, suite: String, suiteDigest: String, started: String, command: String,
    environment: MachineDescription, passes: [String]? = nil, cells: [CellResult]
  ) {
    (self.version, self.suite, self.suiteDigest, self.started) = (version, suite, suiteDigest, started)
    (self.command, self.environment, self.passes, self.cells) = (command, environment, passes, cells)
  }

  public func write(to url: URL) throws {
    try writeAtomically(JSONEncoder.readable.encode(self), to: url)
  }

  public static func read(_ url: URL) throws -> ResultFile {
    let data: Data
    do { data = try Data(contentsOf: url) } catch { throw UserError("\(url.path) cannot be read: \(reason(error))") }
    do {
      let file = try JSONDecoder().decode(ResultFile.self, from: data)
      guard file.schema == schema else {
        throw UserError("\(url.path) has schema \(file.schema), this version reads \(schema)")
      }
      return file
    } catch let error as UserError { throw error } catch {
      throw UserError("\(url.path) is not a result file of Pacer: \(error)")
    }
  }
}

public enum CellStatus: String, Codable, Sendable {
  case pending
  case measured
  /// Cannot run here; the reason says why.
  case unavailable
  case failed
  /// The output is wrong, so no time is shown.
  case invalid
  /// Runs the same code as another cell; measured there.
  case same
}

public struct CellResult: Codable, Sendable {
  public var cell: Cell
  public var label: String
  public var status = CellStatus.pending
  public var reason: String?
  /// Label of the cell that stands for this one.
  public var sameAs: String?
  /// Cell that ratios are taken against, by label; nil for that cell itself.
  public var baseline: String?
  public var prepared: WorkerLine.Prepared?
  public var hello: WorkerLine.Hello?
  public var figures: [String: Double] = [:]
  public var unavailableFigures: [String: String] = [:]
  public var accuracy: Accuracy?
  public var outputDigest: String?
  /// Of the reference output that the accuracy is taken against.
  public var expectedDigest: String?
  public var visits: [Visit] = []
  public var latency: Estimate?
  public var ratio: Estimate?

  public init(cell: Cell, label: String) {
    self.cell = cell
    self.label = label
  }

  /// What is wrong with its output; nil where nothing is known to be.
  public var wrongOutput: String? {
    status == .invalid ? "\(cell.model): \(label): \(reason ?? "the output is wrong")" : nil
  }

  /// Time over the baseline's: exactly 1 for the baseline itself; nil where there is none. A cell without output, such as
  /// the null backend's, is nobody's baseline.
  var relativeTime: Estimate? { baseline == nil && accuracy != nil ? .one : ratio }

  /// Whether the times of both are relative to the same baseline.
  func hasBaseline(of other: CellResult) -> Bool { (baseline ?? label) == (other.baseline ?? other.label) }

  func medianOfVisits(_ value: (Visit) -> Double?) -> Double? {
    let values = visits.compactMap(value)
    return values.isEmpty ? nil : median(values)
  }

  /// All samples of all visits, in nanoseconds.
  public var samples: [Double] { visits.flatMap { $0.sample.latencies.map(Double.init) } }
}

/// One fresh process that timed a cell.
public struct Visit: Codable, Sendable {
  public var round: Int
  /// Seconds since the run began.
  public var at: Double
  public var prepared: WorkerLine.Prepared
  public var sample: WorkerLine.Sample
  public var figures: [String: Double]
  /// Time over that of the baseline's process that took turns with this one; nil for the baseline itself.
  public var ratio: Double?

  public var median: Double { BenchKit.median(sample.latencies.map(Double.init)) }
}

/// How far an output is from the reference.
public struct Accuracy: Codable, Sendable, Equatable {
  public var absolute: Double
  /// Largest difference over the largest reference value.
  public var relative: Double
  public var cosine: Double
  public var top1: Bool
  /// How many of the reference's five best are among the output's five best.
  public var top5: Int

  /// What a runtime must keep of the largest value. Another engine's float32 is not held to Pacer's care.
  static func tolerance(for cell: Cell) -> Double {
    cell.precision == "fp32" ? (cell.engine == "pacer" ? 1e-4 : 1e-3) : 1e-2
  }

  /// nil where either has a NaN or their lengths differ.
  public init?(_ output: [Float], reference: [Float]) {
    guard output.count == reference.count, !output.isEmpty else { return nil }
    var (largest, difference, dot, a2, b2) = (0.0, 0.0, 0.0, 0.0, 0.0)
    for (a, b) in zip(output, reference) {
      let (a, b) = (Double(a), Double(b))
      guard a.isFinite, b.isFinite else { return nil }
      difference = max(difference, abs(a - b))
      largest = max(largest, abs(b))
      dot += a * b
      a2 += a * a
      b2 += b * b
    }
    absolute = difference
    relative = largest > 0 ? difference / largest : difference
    cosine = a2 > 0 && b2 > 0 ? dot / (a2.squareRoot() * b2.squareRoot()) : (a2 == b2 ? 1 : 0)
    func best(_ values: [Float]) -> [Int] {
      Array(values.indices.sorted { (-values[$0], $0) < (-values[$1], $1) }.prefix(5))
    }
    let (ours, theirs) = (best(output), best(reference))
    top1 = ours[0] == theirs[0]
    top5 = Set(ours).intersection(theirs).count
  }
}
