import BenchModel
import BenchProtocol
import BenchStatistics
import CMeasure
import Foundation

extension Doctor {
  public enum Progress: Sendable { case peaks(threads: Int), noise(pairs: Int) }

  /// - Parameters:
  ///   - seconds: for equal versions against each other.
  public static func examine(
    catalog: Catalog, workers: Workers, version: String, seconds: Double,
    progress: @escaping @Sendable (Progress) -> Void
  ) async -> Doctor {
    let counters = MachineCounters.now()
    var environment = MachineDescription.current(catalog, git: version)
    var doctor = Doctor(version: version, environment: environment, facts: [])
    do {
      for threads in [1, environment.processors].uniqued() {
        progress(.peaks(threads: threads))
        doctor.peaks.append(try await Peaks.measure(workers, backend: "cpu", isa: nil, threads: threads))
      }
    } catch { doctor.peaksUnavailable = "\(error)" }
    await doctor.measureNoise(workers, seconds: seconds, catalog, progress)
    environment.noteDisturbances(since: counters)
    doctor.environment = environment
    doctor.facts = facts(environment, catalog)
    return doctor
  }

  // MARK: Noise

  private mutating func measureNoise(
    _ workers: Workers, seconds: Double, _ catalog: Catalog, _ progress: @escaping @Sendable (Progress) -> Void
  ) async {
    guard let model = catalog.models.first else { return }
    var configuration = Configuration(model: model.name)
    (configuration[Axes.passes], configuration[Axes.shape], configuration[Axes.allocator]) = (
      catalog.passes.map(\.name), [1, 3, 64, 64], .arena
    )
    var result = Row(configuration: configuration, label: Labels.of(configuration, catalog))
    result.hello = await workers.perform(configuration, Job(.idle)).hello
    func pairs(_ seconds: Double, isInterleaved: Bool) async -> (series: PairSeries, seconds: Double) {
      var result = result
      if !isInterleaved { result.hello?.interleaves = false }
      let runner = PairedRunner(
        base: workers, head: workers, control: workers.own, rows: [(result, result)], seconds: seconds
      ) { progress(.noise(pairs: $0.pairs)) }
      let watch = Stopwatch(workers.clock)
      await runner.measure([(0, 10_000)])
      return (await runner.series[0], watch.elapsed)
    }
    let interleaved = await pairs(seconds, isInterleaved: true)
    guard interleaved.series.failure == nil, interleaved.series.pairs.count > 2 else {
      noiseUnavailable = interleaved.series.failure ?? "too few pairs in \(Int(seconds)) s"
      return
    }
    let sequence = await pairs(seconds / 4, isInterleaved: false)
    var noise = Noise(
      configuration: "\(model.name), \(result.label), \(configuration[Axes.shape].map { "\($0)" } ?? "")",
      pairs: interleaved.series.pairs.count,
      seconds: interleaved.seconds, sigma: interleaved.series.sigma)
    if sequence.series.pairs.count > 5 { noise.sigmaInSequence = sequence.series.sigma }
    let rule = TimeRule()
    let share = Self.gateSeconds / interleaved.seconds / Double(Self.gateConfigurations)
    let most = min(Int(Double(interleaved.series.pairs.count) * share), TimeRule.looks.last!)
    noise.resolvable = SignTest.smallestDetectable(
      pairs: most, sigma: noise.sigma, margin: rule.margin, alpha: rule.falsePositives / Double(Self.gateConfigurations)
    ).map { $0 - 1 }
    self.noise = noise
  }

  // MARK: Facts

  static func facts(
    _ machine: MachineDescription, _ catalog: Catalog, _ tree: SystemTree = .current
  ) -> [Fact] {
    var facts: [Fact] = []
    func add(_ name: String, _ value: String, advice: String? = nil) {
      facts.append(Fact(name: name, value: value, advice: advice))
    }
    add("processor", machine.processor)
    add("instruction sets", catalog.availableInstructionSets.joined(separator: ", "))
    add(
      "processors", "\(machine.processors), of which this process may use \(machine.cpuset)",
      advice: machine.processors < 2 ? "with one processor, whatever else runs disturbs every measurement" : nil)
    add(
      "SMT", machine.smt,
      advice: machine.smt == "on"
        ? "two threads share a core: switch it off (`echo off > /sys/devices/system/cpu/smt/control`), or pin to one "
          + "thread of each core with `taskset`" : nil)
    add(
      "frequency governor", machine.governor,
      advice: !["performance", "unavailable"].contains(machine.governor)
        ? "`cpupower frequency-set --governor performance`" : nil)
    let turbo =
      read("/sys/devices/system/cpu/cpufreq/boost").map { $0 == "1" }
      ?? read("/sys/devices/system/cpu/intel_pstate/no_turbo").map { $0 == "0" }
    add(
      "turbo", turbo.map { $0 ? "on" : "off" } ?? "unavailable",
      advice: turbo == true ? "the clock follows the temperature: switch it off where you can" : nil)
    add(
      "CPU quota", machine.quota,
      advice: Double(machine.quota).map { $0 < Double(machine.processors) } == true
        ? "the control group is throttled beyond it: give the container whole processors (`--cpuset-cpus`)" : nil)
    add("memory", Format.bytes(Double(machine.memoryBytes)))
    add(
      "load average", String(format: "%.2f", machine.loadAverage),
      advice: machine.loadAverage > 0.5 * Double(machine.processors) ? "other work is running: end it first" : nil)
    add(
      "steal time", machine.steal.map { String(format: "%.2f %%", $0 * 100) } ?? "unavailable",
      advice: (machine.steal ?? 0) > 0.01
        ? "the hypervisor gives processors away: use a dedicated host, or trust deterministic metrics and interleaved pairs only"
        : nil)
    let error = pacer_counter_error()
    add(
      "instruction counter", error == 0 ? "available" : "unavailable: \(String(cString: strerror(error)))",
      advice: error == EACCES || error == EPERM
        ? "`sysctl kernel.perf_event_paranoid=1`; until then valgrind counts instructions for the gate" : nil)
    let places = ["/usr/bin/valgrind", "/usr/local/bin/valgrind"]
    let valgrind = places.first { FileManager.default.isExecutableFile(atPath: $0) }
    add(
      "valgrind", valgrind ?? "not installed",
      advice: valgrind == nil ? "install valgrind: the gate counts instructions with it" : nil)
    facts += probeFacts(tree)
    for backend in catalog.backends where backend.name != "cpu" && backend.computesOutputs {
      add(backend.name, backend.availability())
    }
    add("system", "\(machine.system), \(machine.libc), \(machine.compiler)")
    return facts
  }

  /// Which probes of the machine work here; of processors of several speeds, which are which.
  private static func probeFacts(_ tree: SystemTree) -> [Fact] {
    func fact(_ name: String, _ value: () throws(Unavailable) -> String) -> Fact {
      do { return Fact(name: name, value: try value()) } catch {
        return Fact(name: name, value: "unavailable: \(error)")
      }
    }
    let processors = tree.processors
    var facts = [
      fact("energy") { () throws(Unavailable) in try EnergyMeter(tree).name },
      fact("temperature") { () throws(Unavailable) in
        guard let hottest = try Thermometer(tree).hottest else {
          throw Unavailable("no thermal zone tells a plausible temperature")
        }
        return "\(Unit.celsius.text(hottest)) in the hottest thermal zone"
      },
      fact("frequency") { () throws(Unavailable) in
        guard let mean = try FrequencyMeter(tree, processors: processors).megahertz else {
          throw Unavailable("no processor tells its frequency")
        }
        return "mean \(Unit.megahertz.text(mean))"
      },
      fact("throttling") { () throws(Unavailable) in
        let total = try ThrottleCounter(tree, processors: processors).total
        return "counted, \(Format.count(Double(total))) so far"
      },
    ]
    if facts[0].value.contains("readable by root only") {
      facts[0].advice =
        "`chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj` lets every process read it until the next start"
    }
    if let kinds = ProcessorKind.all(tree), let fast = kinds.first {
      facts.append(
        Fact(
          name: "kinds of processors", value: kinds.map { "\($0.name) \($0.list)" }.joined(separator: "; "),
          advice: "which kind a thread runs on changes its times: pin to one, as with `taskset -c \(fast.list)`"))
    }
    return facts
  }
}
