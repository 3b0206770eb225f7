import BenchStatistics

/// Every different kernel of some models alone, beside what the machine could do at most.
public struct KernelSurvey: Codable, Sendable {
  public static let schema = "pacer-kernels-1"

  public struct Kernel: Codable, Sendable {
    public var model: String
    /// The first node that runs it.
    public var node: String
    public var kernel: String
    public var shapes: String
    /// Nodes of the model that run it on these shapes.
    public var count: Int
    /// Nanoseconds, over processes.
    public var time: Estimate
    public var macs: Int
    public var bytes: Int
    /// Nanoseconds that arithmetic alone would take at its peak, and bytes alone from the smallest memory that holds them.
    public var arithmeticLimit: Double
    public var memoryLimit: Double

    package init(
      model: String, node: String, kernel: String, shapes: String, count: Int, time: Estimate, macs: Int, bytes: Int,
      arithmeticLimit: Double, memoryLimit: Double
    ) {
      (self.model, self.node, self.kernel, self.shapes) = (model, node, kernel, shapes)
      (self.count, self.time, self.macs, self.bytes) = (count, time, macs, bytes)
      (self.arithmeticLimit, self.memoryLimit) = (arithmeticLimit, memoryLimit)
    }

    /// Operations a second; nil where it multiplies nothing.
    public var speed: Double? { macs > 0 ? 2 * Double(macs) / time.value * 1e9 : nil }
    public var bandwidth: Double { Double(bytes) / time.value * 1e9 }
    /// Nanoseconds that the model would win if the kernel ran at its limit.
    public var lost: Double { max(0, time.value - max(arithmeticLimit, memoryLimit)) * Double(count) }
  }

  public var schema = KernelSurvey.schema
  public var version: String
  public var command: String
  public var environment: MachineDescription
  public var peaks: Peaks
  /// What most is lost in first.
  public var kernels: [Kernel] = []

  package init(version: String, command: String, environment: MachineDescription, peaks: Peaks, kernels: [Kernel] = [])
  {
    (self.version, self.command, self.environment, self.peaks) = (version, command, environment, peaks)
    self.kernels = kernels
  }
}
