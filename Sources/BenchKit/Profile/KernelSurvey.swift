import Foundation

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

  /// - Throws: ``UserError`` with the worker's reason where one fails, or the machine's peaks cannot be measured.
  public static func measure(
    _ cells: [Cell], workers: Workers, processes: Int, version: String, command: String,
    environment: MachineDescription, progress: (String) -> Void
  ) async throws -> KernelSurvey {
    progress("what the machine can do")
    let peaks = try await Peaks.measure(
      workers, backend: cells[0].backend, isa: cells[0].isa, threads: cells[0].threads)
    var survey = KernelSurvey(version: version, command: command, environment: environment, peaks: peaks)
    for cell in cells {
      var runs: [[WorkerLine.NodeTime]] = []
      for process in 0..<processes {
        try Task.checkCancellation()
        progress("\(cell.model), process \(process + 1) of \(processes)")
        var job = Job(.kernels, cell)
        job.minTime = 0.03
        job.processors = Processors.choose(cell.threads)
        let outcome = await workers.perform(cell, job)
        if let reason = outcome.failure ?? outcome.skipped { throw UserError("\(cell.model): \(reason)") }
        guard let nodes = outcome.profiles.first, !nodes.isEmpty else {
          throw UserError("\(cell.model): the worker times no single kernels: it is another engine or version")
        }
        runs.append(nodes)
      }
      survey.kernels += try runs[0].map { node in
        let times = try WorkerLine.NodeTime.times(of: node.node, in: runs)
        let (macs, bytes) = (node.macs ?? 0, node.bytes ?? 0)
        return Kernel(
          model: cell.model, node: node.node, kernel: node.kernel, shapes: node.shapes ?? "", count: node.count ?? 1,
          time: Estimate(geometric: times), macs: macs, bytes: bytes,
          arithmeticLimit: peaks.arithmetic[cell.precision.rawValue].map { 2 * Double(macs) / $0 * 1e9 } ?? 0,
          memoryLimit: peaks.memory(holding: Double(bytes)).map { Double(bytes) / $0.rate * 1e9 } ?? 0)
      }
    }
    survey.kernels.sort { $0.lost > $1.lost }
    return survey
  }

  public var report: Document {
    var document = Document("Kernels alone, on \(peaks.threads) thread\(peaks.threads > 1 ? "s" : "")")
    document.text("Version \(version), on \(environment.summary).")
    for warning in environment.warnings { document.note("\(warning).") }
    document.text("Measured peaks: \(peaks.words).")
    let models = kernels.map(\.model).uniqued()
    func percent(_ share: Double) -> Table.Field {
      Table.Field(share > 0 ? String(format: "%.0f%%", share * 100) : "–", key: share)
    }
    document.table(
      Table(
        ["model", "node", "kernel", "shapes", "×", "time", "±", "GFLOP/s", "of peak", "GB/s", "of bandwidth", "lost"],
        left: 4,
        kernels.map { kernel in
          Table.Row([
            Table.Field(kernel.model), Table.Field(kernel.node), Table.Field(kernel.kernel), Table.Field(kernel.shapes),
            Table.Field("\(kernel.count)", key: Double(kernel.count)),
            Table.Field(Format.time(kernel.time.value), key: kernel.time.value),
            Table.Field(Format.spread(kernel.time), key: kernel.time.relativeHalfWidth),
            kernel.speed.map { Table.Field(Format.significant($0 / 1e9), key: $0) } ?? "–",
            percent(kernel.arithmeticLimit / kernel.time.value),
            Table.Field(Format.significant(kernel.bandwidth / 1e9), key: kernel.bandwidth),
            percent(kernel.memoryLimit / kernel.time.value),
            Table.Field(Format.time(kernel.lost), key: kernel.lost),
          ])
        }))
    for model in models {
      let own = kernels.filter { $0.model == model }
      let whole = own.reduce(0) { $0 + $1.time.value * Double($1.count) }
      let lost = own.reduce(0) { $0 + $1.lost }
      document.text(
        "\(model): all kernels together take \(Format.time(whole)), of which \(Format.time(lost)) are lost.")
    }
    document.text(
      """
      Each kernel runs by itself, again and again, so that what it computes on is in the smallest memory that holds it; × is \
      how many nodes of the model run it. Shares are of the measured arithmetic and of the measured copies in that memory; \
      lost is what the model would win if all of them ran at the nearer of the two. GFLOP/s count the multiplications of the \
      direct algorithm: Winograd's does a quarter of them, so that its share can be over 100 %, and what it has lost is not \
      seen here. Bytes are those that have to \
      be moved at least: what a block keeps in cache between its convolutions is not among them. Made with `\(command)`.
      """)
    return document
  }
}
