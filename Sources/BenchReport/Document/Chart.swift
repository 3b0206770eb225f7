import BenchModel
import BenchStatistics
import RuntimeCore

/// A drawing of numbers that also stand in a table.
public enum Chart: Sendable {
  case bars(BarChart)
  case spreads(SpreadChart)
  case lines(LineChart)
  case roofline(Roofline)
  case memory(MemoryChart)

  var isEmpty: Bool {
    switch self {
    case .bars(let chart): chart.bars.isEmpty
    case .spreads(let chart): chart.rows.isEmpty
    case .lines(let chart): chart.series.isEmpty
    case .roofline(let chart): chart.points.isEmpty
    case .memory(let chart): chart.timeline.blocks.isEmpty
    }
  }
}

/// Tensors as rectangles: from step to step across, over the bytes they lie in upwards.
public struct MemoryChart: Sendable {
  public var title: String
  public var timeline: MemoryTimeline
}

/// One bar for each of a list of things, with its interval.
public struct BarChart: Sendable {
  public struct Bar: Sendable {
    public var label: String
    public var value: Double
    /// Ends of the interval; nil where there is none.
    public var low: Double?
    public var high: Double?
    public var text: String
    public var tags: [String: String] = [:]
  }
  public var title: String
  /// What the axis counts.
  public var axis: String
  /// Where a line is drawn that bars are held against.
  public var reference: Double?
  public var bars: [Bar]
}

/// How samples are spread: a line from the 5th to the 95th percentile, a box from the 25th to the 75th, the median.
public struct SpreadChart: Sendable {
  public struct Row: Sendable {
    public var label: String
    public var percentiles: [Double]
    public var text: String
    public var tags: [String: String] = [:]

    /// nil without values.
    public init?(_ label: String, _ values: [Double], text: String, tags: [String: String] = [:]) {
      self.init(label, quantiles: values.isEmpty ? nil : quantiles(of: values), text: text, tags: tags)
    }

    /// - Parameter quantiles: the 5th, 25th, 50th, 75th and 95th percentile; nil for no row.
    public init?(_ label: String, quantiles: [Double]?, text: String, tags: [String: String] = [:]) {
      guard let quantiles else { return nil }
      (self.label, self.text, self.tags, percentiles) = (label, text, tags, quantiles)
    }
  }
  public var title: String
  public var axis: String
  public var rows: [Row]
}

/// Ratios over versions, oldest first.
public struct LineChart: Sendable {
  public struct Series: Sendable {
    public var name: String
    /// One per version; nil where it was not measured.
    public var points: [Estimate?]
    /// Places at which it moved beyond both intervals.
    public var steps: [Int] = []
    public var tags: [String: String] = [:]
  }
  public var title: String
  public var axis: String
  public var labels: [String]
  public var series: [Series]
}

/// Speed over arithmetic intensity, under the machine's limits; both axes are logarithmic.
public struct Roofline: Sendable {
  public struct Point: Sendable {
    public var label: String
    /// Operations a byte, and operations a second.
    public var intensity: Double
    public var speed: Double
    /// Share of the whole time, as the point's area.
    public var share: Double
    public var kind: String
  }
  public var title: String
  /// Operations a second.
  public var peak: Double
  /// Bytes a second, by the name of the memory.
  public var bandwidths: [(name: String, bytes: Double)]
  public var points: [Point]
}
