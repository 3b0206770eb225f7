import BenchModel
import BenchProtocol

extension Peaks {
  /// - Throws: ``UserError`` with the worker's reason.
  public static func measure(_ workers: Workers, backend: String, isa: String?, threads: Int) async throws -> Peaks {
    var configuration = Configuration(choices: [:])
    (configuration[Axes.backend], configuration[Axes.isa], configuration[Axes.threads]) = (backend, isa, threads)
    let outcome = await workers.perform(configuration, Job(.peaks, configuration))
    if let reason = outcome.problem { throw UserError("the peaks cannot be measured: \(reason)") }
    var peaks = Peaks(isa: outcome.hello?.isa, threads: threads)
    let readings = outcome.readings
    for reading in readings where reading.name.hasPrefix("peak-") && reading.name != "peak-resident" {
      peaks.arithmetic[String(reading.name.dropFirst(5))] = reading.value
    }
    for reading in readings where reading.name.hasPrefix("copy-") {
      let name = String(reading.name.dropFirst(5))
      guard let rate = reading.value, let size = readings.first(where: { $0.name == "size-\(name)" })?.value else {
        continue
      }
      peaks.memory.append(Memory(name: name, bytes: size, rate: rate))
    }
    return peaks
  }
}
