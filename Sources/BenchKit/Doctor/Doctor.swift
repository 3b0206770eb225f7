import CMeasure
import Foundation

/// What a machine can measure, how fast it is at most, how noisy it is, and what would make it better.
public struct Doctor: Codable, Sendable {
  /// Something that matters for measuring, as it is here.
  public struct Fact: Codable, Sendable {
    public var name: String
    public var value: String
    /// What to do about it; nil where it is as it should be.
    public var advice: String?
  }

  /// Equal versions against each other.
  public struct Noise: Codable, Sendable {
    public var cell: String
    public var pairs: Int
    public var seconds: Double
    /// Standard deviation of a pair's log ratio.
    public var sigma: Double
    /// The same of processes that run one after the other.
    public var sigmaInSequence: Double?
    /// Smallest slowdown that a gate of four cells finds with 90 % power in five minutes.
    public var resolvable: Double?
  }

  public var version: String
  public var environment: MachineDescription
  public var facts: [Fact]
  public var peaks: [Peaks] = []
  public var peaksUnavailable: String?
  public var noise: Noise?
  public var noiseUnavailable: String?

  /// Seconds of the gate that is asked about, and its cells.
  static let gateSeconds = 300.0
  static let gateCells = 4

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
    var cell = Cell(model: model.name)
    (cell.passes, cell.shape, cell.allocator) = (catalog.passes.map(\.name), [1, 3, 64, 64], .arena)
    var result = CellResult(cell: cell, label: cell.label(allPasses: cell.passes))
    result.hello = await workers.perform(cell, Job(.idle)).hello
    func pairs(_ seconds: Double, takeTurns: Bool) async -> (series: PairSeries, seconds: Double) {
      var result = result
      if !takeTurns { result.hello?.takesTurns = false }
      let runner = PairedRunner(
        base: workers, head: workers, control: workers.own, cells: [(result, result)], seconds: seconds
      ) { progress(.noise(pairs: $0.pairs)) }
      let watch = Stopwatch()
      _ = await runner.pairs([(0, 10_000)])
      return (await runner.series[0], watch.elapsed)
    }
    let turns = await pairs(seconds, takeTurns: true)
    guard turns.series.failure == nil, turns.series.pairs.count > 2 else {
      noiseUnavailable = turns.series.failure ?? "too few pairs in \(Int(seconds)) s"
      return
    }
    let sequence = await pairs(seconds / 4, takeTurns: false)
    var noise = Noise(
      cell: "\(model.name), \(result.label), \(cell.shape.map { "\($0)" } ?? "")", pairs: turns.series.pairs.count,
      seconds: turns.seconds, sigma: turns.series.sigma)
    if sequence.series.pairs.count > 5 { noise.sigmaInSequence = sequence.series.sigma }
    let rule = TimeRule()
    let share = Self.gateSeconds / turns.seconds / Double(Self.gateCells)
    let most = min(Int(Double(turns.series.pairs.count) * share), TimeRule.looks.last!)
    noise.resolvable = SignTest.smallestDetectable(
      pairs: most, sigma: noise.sigma, margin: rule.margin, alpha: rule.alarms / Double(Self.gateCells)
    ).map { $0 - 1 }
    self.noise = noise
  }

  // MARK: Facts

  static func facts(_ machine: MachineDescription, _ catalog: Catalog) -> [Fact] {
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
        ? "the hypervisor gives processors away: use a dedicated host, or trust counts and pairs in turns only" : nil)
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
    let energy = "/sys/class/powercap/intel-rapl:0/energy_uj"
    add("energy", FileManager.default.isReadableFile(atPath: energy) ? "RAPL" : "unavailable: no readable RAPL counter")
    for backend in catalog.backends where backend.name != "cpu" && backend.computesOutputs {
      switch backend.availability() {
      case .available(let device): add(backend.name, "\(device.name), \(device.detail)")
      case .unavailable(let reason): add(backend.name, "unavailable: \(reason)")
      }
    }
    add("system", "\(machine.system), \(machine.libc), \(machine.compiler)")
    return facts
  }

  // MARK: Report

  public var report: Document {
    var document = Document("What this machine can measure")
    if let noise {
      var text = String(
        format: "Noise: %.1f %% (standard deviation of a pair of equal versions, %d pairs of %@ in %.0f s)",
        noise.sigma * 100, noise.pairs, noise.cell, noise.seconds)
      if let sequence = noise.sigmaInSequence {
        text += String(format: "; processes that run one after the other by %.1f %%", sequence * 100)
      }
      text +=
        noise.resolvable.map {
          String(format: ". A gate of four such cells finds a slowdown of %.1f %% here in five minutes.", $0 * 100)
        } ?? ". A gate of four such cells finds no slowdown here in five minutes."
      document.text(text)
    } else if let noiseUnavailable {
      document.note("the noise was not measured: \(noiseUnavailable).")
    }
    document.heading("The machine")
    document.table(Table(["", "here"], left: 2, facts.map { [$0.name, $0.value] }))
    document.heading("Measured peaks")
    if let peaksUnavailable { document.note("\(peaksUnavailable).") }
    let names = peaks.flatMap { $0.memory.map(\.name) }.uniqued()
    let rows: [[String]] = peaks.map { peak in
      func giga(_ rate: Double?) -> String { rate.map { Format.significant($0 / 1e9) } ?? "unavailable" }
      var row = ["\(peak.threads)", giga(peak.arithmetic["fp32"]), giga(peak.arithmetic["int8"])]
      row += names.map { name in giga(peak.memory.first { $0.name == name }?.rate) }
      return row
    }
    let headings = ["threads", "fp32 GFLOP/s", "int8 GOP/s"] + names.map { "copy in \($0), GB/s" }
    document.table(Table(headings, left: 1, rows))
    document.text("A multiply-add is two operations; a copy counts what it reads and what it writes.")
    let advice = facts.compactMap { fact in fact.advice.map { "\(fact.name): \($0)." } }
    document.heading("What would make it better")
    if advice.isEmpty { document.text("Nothing that can be seen from here.") }
    for line in advice { document.text(line) }
    return document
  }
}
