import Foundation
import PacerBench
import Synchronization
import Testing

@testable import BenchModel
@testable import BenchProtocol
@testable import BenchReport
@testable import BenchRunner
@testable import BenchStatistics
@testable import BenchWorker

private let rapl = MadeUpSystem.rapl
private let battery = "sys/class/power_supply/BAT0"
private let processor = "sys/devices/system/cpu/cpu"

@Suite struct SystemTreeTests {
  #if os(Linux)
    @Test func `a file longer than one read gives is read to its end`() throws {
      // The main thread's stack lies above all libraries, and so does its line: behind the first page of the text.
      let maps = try #require(read("/proc/self/maps"))
      #expect(maps.utf8.count > 4096 && maps.contains("[stack]"))
    }
  #endif

  @Test(
    arguments: [
      ("42", 42), (" 42 \n", 42), ("-7", -7), ("0", 0), ("9223372036854775807", Int.max), ("", nil), ("-", nil),
      ("18446744073709551615", nil), ("12 34", nil), ("0x10", nil), ("1.5", nil), ("<not supported>", nil), ("٤٢", nil),
      (String(repeating: "9", count: 500), nil),
    ] as [(String, Int?)])
  func `a number is a whole number and nothing else`(text: String, number: Int?) throws {
    #expect(try MadeUpSystem(["n": text]).tree.number("/n") == number)
  }

  @Test(
    arguments: [
      ("0", [0]), ("0-3,8", [0, 1, 2, 3, 8]), ("", []), ("3-1", nil), ("a", nil), ("0-", nil), ("1-2-3", nil),
      ("0-99999999999999999999", nil), ("0-1000000000", nil), ("-1", nil),
    ] as [(String, [Int]?)])
  func `a list of processors is one, or nothing`(text: String, numbers: [Int]?) {
    #expect(SystemTree.list(text) == numbers)
  }

  @Test func `what is not there or cannot be read says so`() throws {
    let system = try MadeUpSystem(["x10": "1", "x2": "1", "text": "no number"])
    try system.makeUnreadable("folder")
    #expect(system.tree.number("/nothing") == nil && system.tree.names(in: "/nothing") == [])
    let absent = #expect(throws: Unavailable.self) { try system.tree.open("/nothing") }
    #expect(absent?.description.contains("No such file") == true)
    let folder = #expect(throws: Unavailable.self) { try system.tree.open("/folder") }
    #expect(folder?.description.contains("/folder cannot be read") == true)
    #expect(throws: Unavailable.self) { try system.tree.openNumber("/text") }
    #expect(system.tree.names(in: "").filter { $0.hasPrefix("x") } == ["x2", "x10"])
  }

  /// Root, as whom tests may run, can read every file.
  @Test func `what only root may read is told apart`() {
    #expect(Unavailable("/x", EACCES).description == "/x is readable by root only")
    #expect(Unavailable("/x", EIO).description.hasPrefix("/x cannot be read: "))
  }
}

@Suite struct EnergyTests {
  @Test func `the counters of packages count, over their wrap, and those of cores do not`() throws {
    let second = "sys/class/powercap/intel-rapl:1"
    let system = try MadeUpSystem(
      MadeUpSystem.packageFiles("999000").merging([
        "sys/class/powercap/intel-rapl:0:0/name": "core", "sys/class/powercap/intel-rapl:0:0/energy_uj": "5",
        "sys/class/powercap/intel-rapl:2/name": "psys", "sys/class/powercap/intel-rapl:2/energy_uj": "5",
        "\(second)/name": "package-1", "\(second)/energy_uj": "10", "\(second)/max_energy_range_uj": "1000000",
      ]) { $1 })
    let meter = try EnergyMeter(system.tree)
    #expect(meter.name == "RAPL (package-0, package-1)")
    meter.begin()
    try system.write("2000", to: "\(rapl)/energy_uj")
    try system.write("510", to: "\(second)/energy_uj")
    #expect(abs(meter.end()! - 0.0035) < 1e-12)
    // Of a counter that fails meanwhile nothing is known, nor of one whose range cannot be right.
    for (before, after, range) in [
      ("5", "garbage", "1000000"), ("900", "5", "100"), ("900", "5", "x"), ("-5", "7", "9"),
    ] {
      let system = try MadeUpSystem(MadeUpSystem.packageFiles("1", range: range))
      let meter = try EnergyMeter(system.tree)
      try system.write(before, to: "\(rapl)/energy_uj")
      meter.begin()
      try system.write(after, to: "\(rapl)/energy_uj")
      #expect(meter.end() == nil, "\(before) \(after) \(range)")
    }
  }

  @Test func `a monitoring chip's sockets hold its cores, and a graphics card's energy is not the machine's`() throws {
    let chip = "sys/class/hwmon/hwmon1"
    let system = try MadeUpSystem([
      "sys/class/hwmon/hwmon0/name": "i915", "sys/class/hwmon/hwmon0/energy1_input": "1", "\(chip)/name": "amd_energy",
      "\(chip)/energy1_input": "1", "\(chip)/energy1_label": "Ecore000", "\(chip)/energy2_input": "100",
      "\(chip)/energy2_label": "Esocket0",
    ])
    let meter = try EnergyMeter(system.tree)
    #expect(meter.name == "hwmon (amd_energy: Esocket0)")
    meter.begin()
    try system.write("600", to: "\(chip)/energy1_input")
    try system.write("350", to: "\(chip)/energy2_input")
    #expect(abs(meter.end()! - 0.00025) < 1e-12)
    // What cannot be read is passed over for the next source.
    let other = try MadeUpSystem(["\(rapl)/name": "package-0", "\(chip)/energy1_input": "5"])
    try other.makeUnreadable("\(rapl)/energy_uj")
    #expect(try EnergyMeter(other.tree).name == "hwmon (hwmon1: energy1)")
  }

  @Test func `a battery's power counts while it discharges`() throws {
    let now = Mutex(0)
    let clock = MonotonicClock { now.withLock { $0 } }
    let common = ["\(battery)/type": "Battery", "\(battery)/status": "Discharging"]
    for power in [
      ["power_now": "7500000"], ["current_now": "-1500000", "voltage_now": "5000000"],
      ["power_now": "garbage", "current_now": "1500000", "voltage_now": "5000000"],
    ] {
      let files = Dictionary(uniqueKeysWithValues: power.map { ("\(battery)/\($0)", $1) })
      let system = try MadeUpSystem(
        common.merging(files) { $1 }.merging(["sys/class/power_supply/AC/type": "Mains"]) { $1 })
      let meter = try EnergyMeter(system.tree, clock: clock)
      #expect(meter.name == "battery (BAT0)")
      meter.begin()
      now.withLock { $0 += 2_000_000_000 }
      #expect(abs(meter.end()! - 15) < 1e-9, "\(power)")
      try system.write("Charging", to: "\(battery)/status")
      #expect(meter.end() == nil)
    }
    for (files, reason) in [
      (["\(battery)/status": "Charging", "\(battery)/power_now": "1"], "BAT0 is not discharging (Charging)"),
      (["\(battery)/power_now": "0"], "does not tell its power"),
      (["\(battery)/power_now": "99999999999999999999"], "does not tell its power"),
      (["\(battery)/scope": "Device", "\(battery)/power_now": "1"], "no battery"),
    ] {
      let system = try MadeUpSystem(common.merging(files) { $1 })
      let error = #expect(throws: Unavailable.self) { try EnergyMeter(system.tree) }
      #expect(error?.description.contains(reason) == true, "\(String(describing: error))")
    }
  }

  @Test func `joules are written in the unit that fits`() {
    #expect([2.5e-6, 0.0123, 1.5].map(Unit.joules.text) == ["2.50 µJ", "12.3 mJ", "1.50 J"])
  }
}

@Suite struct MachineProbeTests {
  @Test func `where nothing can be read every reading says why, and where nothing was timed there is none`() throws {
    let probe = MachineProbe(try MadeUpSystem().tree, processors: { [] })
    #expect(probe.readings.isEmpty)
    probe.begin()
    probe.end(iterations: 4)
    #expect(probe.readings.map(\.name) == ["energy", "temperature", "frequency", "throttled"])
    #expect(probe.readings.allSatisfy { $0.value == nil && $0.unavailable?.isEmpty == false })
    for reading in probe.readings { try WorkerLine.metric(reading).check() }
  }

  @Test func `it sums over slices what happens in them and not between them`() throws {
    var files = MadeUpSystem.packageFiles("1000")
    for zone in ["0": "45000", "1": "-274000", "2": "61500", "3": "999999999", "10": "garbage"] {
      files["sys/class/thermal/thermal_zone\(zone.key)/temp"] = zone.value
    }
    for number in 0..<4 {
      let folder = processor + "\(number)"
      // Two threads a core; the counters of both are the core's.
      files["\(folder)/topology/physical_package_id"] = "0"
      files["\(folder)/topology/core_id"] = "\(number / 2)"
      files["\(folder)/cpufreq/scaling_cur_freq"] = ["3000000", "2000000", "-1", "800000"][number]
      for kind in ["core", "package"] { files["\(folder)/thermal_throttle/\(kind)_throttle_count"] = "5" }
    }
    let system = try MadeUpSystem(files)
    let probe = MachineProbe(system.tree, processors: { [0, 1, 2] })
    func throttle(_ number: Int, _ count: String) throws {
      for kind in ["core", "package"] {
        try system.write(count, to: processor + "\(number)/thermal_throttle/\(kind)_throttle_count")
      }
    }
    probe.begin()
    try system.write("4000", to: "\(rapl)/energy_uj")
    try throttle(0, "7")
    probe.end(iterations: 2)
    // Between slices.
    try system.write("500000", to: "\(rapl)/energy_uj")
    try throttle(0, "100")
    probe.begin()
    try system.write("503000", to: "\(rapl)/energy_uj")
    try throttle(1, "6")
    try throttle(2, "6")
    try throttle(0, "1")
    probe.end(iterations: 1)
    let readings = JobOutcome(probe.readings.map { .metric($0) })
    #expect(abs(readings.reading("energy")! - 0.002) < 1e-12)
    #expect(readings.reading("temperature") == 61.5)
    #expect(readings.reading("frequency") == 2500)
    // Core 0 and the package twice each; then core 1 once, while core 0 and the package went back.
    #expect(readings.reading("throttled") == 5)
    #expect(probe.readings.allSatisfy { $0.unavailable == nil })
  }

  @Test func `a counter that stands still is no energy`() throws {
    let probe = MachineProbe(try MadeUpSystem(MadeUpSystem.packageFiles("7")).tree, processors: { [0] })
    probe.begin()
    probe.end(iterations: 1)
    #expect(probe.readings[0].unavailable?.contains("RAPL (package-0)") == true)
  }

  @Test func `Pacer's own worker reads them where it times, and not where it inspects`() throws {
    var configuration = Configuration(model: "resnet-18")
    configuration[Axes.shape] = [1, 3, 32, 32]
    configuration[Axes.passes] = standardPasses.map(\.name)
    func names(_ action: Job.Action) throws -> Set<String> {
      var job = Job(action, configuration)
      (job.iterations, job.warmup) = (2, 0)
      var lines: [WorkerLine] = []
      try Worker(catalog: WorkerCatalog(), nextLine: { nil }, emit: { lines.append($0) }).run(job)
      return Set(JobOutcome(lines).readings.map(\.name))
    }
    let sensors: Set = [
      "energy", "temperature", "frequency", "throttled", "voluntary-switches", "involuntary-switches",
    ]
    #expect(try names(.latency).isSuperset(of: sensors))
    #expect(try names(.inspect).isDisjoint(with: sensors))
  }

  @Test func `a reading that takes long is made seldom, and one that takes nothing always`() {
    var pace = Pace()
    var reads = 0
    for _ in 0..<10 { pace.whereDue { reads += 1 } }
    #expect(reads >= 1)
    var slow = Pace()
    reads = 0
    for _ in 0..<2000 {
      slow.whereDue {
        reads += 1
        usleep(30_000)
      }
    }
    #expect((1...2).contains(reads))
  }

  @Test func `switches are those of all threads of a process and of what it started`() throws {
    func status(_ voluntary: Int, _ other: Int) -> String {
      "Name:\tx\nvoluntary_ctxt_switches:\t\(voluntary)\nnonvoluntary_ctxt_switches:\t\(other)"
    }
    let system = try MadeUpSystem([
      "proc/10/stat": "10 (a) b) S 1 10 10", "proc/11/stat": "11 (sh) S 10 10 10", "proc/12/stat": "12 (x) S 1 12 12",
      "proc/13/stat": "garbage", "proc/10/task/10/status": status(5, 1), "proc/10/task/20/status": status(7, 1),
      "proc/11/task/11/status": status(1, 1), "proc/12/task/12/status": status(1, 1),
    ])
    let probe = FamilySwitchProbe(process: 10, system.tree)
    #expect(probe.readings.allSatisfy { $0.value == nil })
    probe.begin()
    try system.write(status(9, 1), to: "proc/10/task/10/status")
    try system.write(status(8, 4), to: "proc/10/task/20/status")
    try system.write(status(4, 1), to: "proc/11/task/11/status")
    try system.write(status(900, 900), to: "proc/12/task/12/status")
    probe.end(iterations: 4)
    #expect(probe.readings.map(\.value) == [2, 0.75])
  }
}

@Suite struct UnavailableMetricTests {
  @Test func `what cannot be measured is said once a row, and once for all rows of a kept record`() throws {
    let plan = [1, 2].map { threads in
      var configuration = Configuration(model: "resnet-18")
      configuration[Axes.threads] = threads
      return PlannedConfiguration(configuration: configuration)
    }
    var maker = RecordMaker(plan)
    for row in 0..<2 {
      maker.inspect(row)
      maker.run(row, [[1000], [1000], [1000]], metrics: ["cpu-time": 5])
      maker.lines.append(.unavailable(rows: [row], reasons: ["energy": "no RAPL", "throttled": "no"]))
    }
    maker.end()
    let record = maker.record()
    #expect(record.rows.allSatisfy { $0.unavailableMetrics == ["energy": "no RAPL", "throttled": "no"] })
    let kept = try RecordKeeper.compact(maker.lines, record, AxisTable())
    #expect(
      kept.filter { if case .unavailable = $0 { true } else { false } }
        == [.unavailable(rows: [0, 1], reasons: ["energy": "no RAPL", "throttled": "no"])])
    let lines = try kept.map { try JSONDecoder().decode(RecordLine.self, from: $0.data) }
    #expect(lines == kept)
    #expect(try Record(lines: lines, .standard).rows.map(\.unavailableMetrics) == record.rows.map(\.unavailableMetrics))
    // What another run could measure is not unavailable, in whichever order they were.
    maker.lines.removeLast()
    maker.run(0, [[1000], [1000], [1000]], metrics: ["energy": 5])
    maker.lines.append(.unavailable(rows: [0], reasons: ["energy": "no more"]))
    maker.end()
    let mixed = maker.record()
    #expect(mixed.rows[0].unavailableMetrics == ["throttled": "no"] && mixed.rows[1].unavailableMetrics.count == 2)
    let again = try Record(lines: RecordKeeper.compact(maker.lines, mixed, AxisTable()), .standard)
    #expect(again.rows.map(\.unavailableMetrics) == mixed.rows.map(\.unavailableMetrics))
    #expect(again.rows[0].medianOfRuns("energy") == 5)
    var wrong = record
    #expect(throws: UserError.self) { try wrong.apply(.unavailable(rows: [2], reasons: [:])) }
  }
}

@Suite struct ProbeFactsTests {
  private func facts(_ files: [String: String]) throws -> [String: Doctor.Fact] {
    let system = try MadeUpSystem(files)
    let facts = Doctor.facts(quietMachine, .standard, system.tree)
    return Dictionary(facts.map { ($0.name, $0) }) { first, _ in first }
  }

  @Test func `the doctor says which probes work, and why others do not`() throws {
    let none = try facts([:])
    for name in ["energy", "temperature", "frequency", "throttling"] {
      #expect(none[name]?.value.hasPrefix("unavailable: ") == true, "\(name)")
    }
    #expect(none["energy"]?.value == "unavailable: no RAPL counter of a package; no hwmon energy counter; no battery")
    #expect(none["kinds of processors"] == nil)
    let some = try facts(
      MadeUpSystem.packageFiles("1").merging([
        "sys/class/thermal/thermal_zone0/temp": "45500", processor + "0/cpufreq/scaling_cur_freq": "2900000",
        processor + "0/thermal_throttle/core_throttle_count": "3",
      ]) { $1 })
    #expect(some["energy"]?.value == "RAPL (package-0)" && some["temperature"]?.value.contains("45.5 °C") == true)
    #expect(some["frequency"]?.value.contains("2,900 MHz") == true && some["throttling"]?.value.contains("3") == true)
  }

  @Test func `on processors of several speeds it says which are which, and to pin to one kind`() throws {
    let hybrid = try facts(["sys/devices/cpu_core/cpus": "0-7,16", "sys/devices/cpu_atom/cpus": "8-15"])
    let kinds = try #require(hybrid["kinds of processors"])
    #expect(kinds.value == "fast 0-7,16; slow 8-15" && kinds.advice?.contains("taskset -c 0-7,16") == true)
    func capacities(_ list: [String]) throws -> String? {
      let files = list.enumerated().map { (processor + "\($0)/cpu_capacity", $1) }
      return try facts(Dictionary(uniqueKeysWithValues: files))["kinds of processors"]?.value
    }
    #expect(try capacities(["300", "300", "700", "1024"]) == "fast 3; medium 2; slow 0-1")
    #expect(try capacities(["1024", "512", "512"]) == "fast 0; slow 1-2")
    #expect(try capacities(["1024", "1024"]) == nil)
    #expect(try capacities(["1024", "garbage", "0"]) == nil)
  }
}
