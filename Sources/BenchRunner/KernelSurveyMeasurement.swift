import BenchModel
import BenchProtocol
import BenchStatistics

extension KernelSurvey {
  /// - Throws: ``UserError`` with the worker's reason where one fails, or the machine's peaks cannot be measured.
  public static func measure(
    _ configurations: [Configuration], workers: Workers, processes: Int, version: String, command: String,
    environment: MachineDescription, progress: (String) -> Void
  ) async throws -> KernelSurvey {
    progress("what the machine can do")
    let peaks = try await Peaks.measure(
      workers, backend: configurations[0][Axes.backend], isa: configurations[0][Axes.isa],
      threads: configurations[0][Axes.threads])
    var survey = KernelSurvey(version: version, command: command, environment: environment, peaks: peaks)
    for configuration in configurations {
      var runs: [[WorkerLine.NodeTime]] = []
      for process in 0..<processes {
        try Task.checkCancellation()
        progress("\(configuration.model), process \(process + 1) of \(processes)")
        var job = Job(.kernels, configuration)
        job.minSeconds = 0.03
        job.processors = workers.chance.processors(configuration[Axes.threads])
        let outcome = await workers.perform(configuration, job)
        if let reason = outcome.problem { throw UserError("\(configuration.model): \(reason)") }
        guard let nodes = outcome.profiles.first, !nodes.isEmpty else {
          throw UserError("\(configuration.model): the worker times no single kernels: it is another engine or version")
        }
        runs.append(nodes)
      }
      survey.kernels += try runs[0].map { node in
        let times = try WorkerLine.NodeTime.times(of: node.node, in: runs)
        let (macs, bytes) = (node.macs ?? 0, node.bytes ?? 0)
        let peak = peaks.arithmetic(
          integers: Peaks.multipliesIntegers(node.kernel), configuration[Axes.precision])
        let memory = peaks.memory(holding: Double(bytes))
        return Kernel(
          model: configuration.model, node: node.node, kernel: node.kernel, shapes: node.shapes ?? "",
          count: node.count ?? 1, time: Estimate(geometric: times), macs: macs, bytes: bytes,
          arithmeticLimit: peak.map { 2 * Double(macs) / $0 * 1e9 } ?? 0,
          memoryLimit: memory.map { Double(bytes) / $0.rate * 1e9 } ?? 0)
      }
    }
    survey.kernels.sort { $0.lost > $1.lost }
    return survey
  }
}
