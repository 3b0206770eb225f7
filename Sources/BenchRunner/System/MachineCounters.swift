import BenchModel
import BenchProtocol
import Foundation

/// Counters of the whole machine, read before and after a run.
struct MachineCounters {
  var steal: Double
  var total: Double
  /// Ticks in which a processor worked.
  var busy: Double
  /// Seconds of processor time that this process and those it has waited for have used.
  var own: Double
  var throttled: Int?
  let watch = Stopwatch()

  /// Processors that others kept busy since these counters were read; nil where it was too short to tell.
  func othersLoad(until now: MachineCounters) -> Double? {
    let seconds = watch.elapsed - now.watch.elapsed
    guard seconds > 0.15 else { return nil }
    return max(0, ((now.busy - busy) / Double(sysconf(Int32(_SC_CLK_TCK))) - (now.own - own)) / seconds)
  }

  static func now() -> MachineCounters? {
    guard let line = read("/proc/stat")?.split(separator: "\n").first else { return nil }
    let ticks = line.split(separator: " ").dropFirst().compactMap { Double($0) }
    guard ticks.count >= 8 else { return nil }
    let throttled = CPUQuota.current()?.throttled
    return MachineCounters(
      steal: ticks[7], total: ticks.prefix(8).reduce(0, +), busy: ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6],
      own: ProcessUsage.family, throttled: throttled)
  }
}

extension MachineDescription {
  /// Steal and throttling since the counters were read.
  mutating func noteDisturbances(since before: MachineCounters?) {
    guard let before, let now = MachineCounters.now() else { return }
    steal = now.total > before.total ? (now.steal - before.steal) / (now.total - before.total) : nil
    if let a = before.throttled, let b = now.throttled { throttled = b - a }
  }
}
