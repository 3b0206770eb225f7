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

/// A system's files, made up, for as long as the tests run: probes keep files of it open and read others later.
struct MadeUpSystem: Sendable {
  private static let place: URL = {
    let place = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-systems-\(getpid())")
    atexit { try? FileManager.default.removeItem(at: MadeUpSystem.place) }
    return place
  }()

  let folder: URL
  var tree: SystemTree { SystemTree(root: folder.path) }

  init(_ files: [String: String] = [:]) throws {
    folder = Self.place.appendingPathComponent("\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    for (path, text) in files { try write(text, to: path) }
  }

  /// In place, as the system changes its own.
  func write(_ text: String, to path: String) throws {
    let url = url(path)
    try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data("\(text)\n".utf8).write(to: url)
  }

  /// What can be opened and not read, whoever tries.
  func makeUnreadable(_ path: String) throws {
    try FileManager.default.createDirectory(at: url(path), withIntermediateDirectories: true)
  }

  func url(_ path: String) -> URL { folder.appendingPathComponent(path) }
}

private let rapl = "sys/class/powercap/intel-rapl:0"
private let battery = "sys/class/power_supply/BAT0"
private let processor = "sys/devices/system/cpu/cpu"

private func packageFiles(_ microjoules: String, range: String = "1000000") -> [String: String] {
  ["\(rapl)/name": "package-0", "\(rapl)/energy_uj": microjoules, "\(rapl)/max_energy_range_uj": range]
}

@Suite struct SystemTreeTests {
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
      packageFiles("999000").merging([
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
      let system = try MadeUpSystem(packageFiles("1", range: range))
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
    var files = packageFiles("1000")
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
    let probe = MachineProbe(try MadeUpSystem(packageFiles("7")).tree, processors: { [0] })
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

@Suite struct ProbeRelayTests {
  private func facts(_ text: String) -> LineFacts {
    var text = text
    return text.withUTF8 { LineFacts(UnsafeRawBufferPointer($0)) }
  }

  @Test func `a line tells what matters of it, in any order, and nothing where it is none`() {
    let sample = facts(
      #" { "x" : {"kind":"metric","a":[1,"]}"]} , "latenciesNs" : [ 1, 2,3 ], "kind":"sample" , "timed":12 }"#)
    #expect(sample.kind == "sample" && sample.timed == 12 && sample.latencies == 3)
    #expect(facts(#"{"latenciesNs":[],"kind":"sample"}"#).latencies == 0)
    #expect(facts(#"{"latenciesNs":"x","kind":"sample"}"#).latencies == nil)
    let metric = facts(#"{"unavailable":"a \"quote\\","value":null,"kind":"metric","name":"energy"}"#)
    #expect(metric.kind == "metric" && metric.name == "energy")
    for text in [
      "", "{", "[1]", "null", "{\"kind\"", "{\"kind\":", "{\"kind\":7}", "{\"a\":\"\\", "{\"latenciesNs\":[1,",
    ] {
      #expect(facts(text).kind == nil, "\(text)")
    }
    for line: WorkerLine in [
      .hello(.init(engine: "e\"", version: "\\")),
      .warmed(.init(firstInferenceNs: 1, iterations: 0, timeNs: 0, steady: true)),
      .sample(.init(latenciesNs: [1, 2], timed: 4)),
    ] {
      let text = String(decoding: try! JSONEncoder().encode(line), as: UTF8.self)
      #expect(text.contains("\"\(facts(text).kind!)\""))
    }
  }

  private static let hasSupervisor = WorkerProgram.path != nil
  private static let head = echo(
    .hello(.init(engine: "fake", version: "1", interleaves: true)), .prepared(.init(loadNs: 1, prepareNs: 1)))
  private static let warmed = echo(.warmed(.init(firstInferenceNs: 1, iterations: 0, timeNs: 0, steady: true)))
  private static let sample = echo(.sample(.init(latenciesNs: [1000, 1000])))

  /// A worker in shell that spends energy of a made-up machine: much in its warm-up, 3 mJ in a slice of two iterations.
  private func peer(_ system: MadeUpSystem, end: String = ":") -> WorkerCommand {
    script(
      """
      spend() { read n < '\(system.url("\(rapl)/energy_uj").path)'; echo $((n + $1)) > '\(system.url("\(rapl)/energy_uj").path)'; }
      read job; \(Self.head)
      case $job in
      *'"interleaved":true'*)
        \(echo(.ready)); read line || exit 0; spend 1000000; \(Self.warmed)
        while read line; do spend 3000; \(Self.sample); done ;;
      *) spend 1000000; \(Self.warmed); read line; spend 3000; \(Self.sample) ;;
      esac
      \(end)
      """)
  }

  private let job = Job(.latency, Configuration(model: "resnet-18"))

  private func launcher(_ system: MadeUpSystem) -> ProcessLauncher {
    ProcessLauncher(environment: [SystemTree.variable: system.folder.path])
  }

  @Test(.enabled(if: hasSupervisor, "no supervisor beside this program"))
  func `the supervisor measures the slices of another engine's worker, and its warm-up not`() async throws {
    let system = try MadeUpSystem(packageFiles("100", range: "999999999999"))
    let outcomes = await launcher(system).pair(
      Assignment(peer(system), job), Assignment(peer(system), job), aFirst: true, Interleaving(least: 4), timeout: 60)
    for outcome in [outcomes.a, outcomes.b] {
      #expect(outcome.failure == nil && outcome.samples.count == 4)
      #expect(abs((outcome.reading("energy") ?? 0) - 0.0015) < 1e-12, "\(outcome.readings)")
      #expect(outcome.readings.contains { $0.name == "temperature" && $0.unavailable == "no thermal zone" })
      #expect(outcome.readings.contains { $0.name == "voluntary-switches" })
    }
  }

  @Test(.enabled(if: hasSupervisor, "no supervisor beside this program"))
  func `of a worker that is not interleaved what comes after the warm-up is measured`() async throws {
    let system = try MadeUpSystem(packageFiles("100", range: "999999999999"))
    let relay = ProbeRelay(system.tree)
    func bytes(_ line: some Encodable, _ take: (UnsafeRawBufferPointer) -> Void) throws {
      try JSONEncoder().encode(line).withUnsafeBytes(take)
    }
    relay.start(process: getpid())
    try bytes(job, relay.fromRunner)
    try system.write("700000", to: "\(rapl)/energy_uj")
    #expect(relay.readings.isEmpty)
    try bytes(WorkerLine.warmed(.init(firstInferenceNs: 1, iterations: 0, timeNs: 0, steady: true)), relay.fromWorker)
    try system.write("703000", to: "\(rapl)/energy_uj")
    try bytes(WorkerLine.sample(.init(latenciesNs: [1], timed: 2)), relay.fromWorker)
    let energy = relay.readings.first { $0.name == "energy" }?.value
    #expect(abs((energy ?? 0) - 0.0015) < 1e-12, "\(relay.readings)")
    let outcome = await launcher(system).run(Assignment(peer(system), job), timeout: 60)
    #expect(outcome.failure == nil && outcome.readings.contains { $0.name == "energy" }, "\(outcome)")
    // Other jobs, and Pacer's own workers, are left alone.
    let idle = await launcher(system).run(Assignment(peer(system), Job(.idle)), timeout: 60)
    #expect(idle.failure == nil && idle.readings.isEmpty)
    #expect(WorkerCommand("/usr/bin/python3", ["peer.py"]).needsProbes)
    #expect(!WorkerCommand("/x/pacer-worker").prefixed(["taskset", "-c", "1"]).needsProbes)
    #expect(!WorkerCommand("ssh", ["host", "peer"]).needsProbes)
  }

  @Test(.enabled(if: hasSupervisor, "no supervisor beside this program"))
  func `what a worker tells itself is not told again`() async throws {
    let system = try MadeUpSystem(packageFiles("100", range: "999999999999"))
    let own = echo(.metric(.init("energy", 7)), .metric(.init("throttled", unavailable: "mine")))
    let outcome = await launcher(system).run(Assignment(peer(system, end: own), job), timeout: 60)
    #expect(outcome.readings.filter { $0.name == "energy" } == [.init("energy", 7)])
    #expect(outcome.readings.filter { $0.name == "throttled" } == [.init("throttled", unavailable: "mine")])
    #expect(outcome.readings.last?.name != "throttled" && outcome.readings.count > 2)
  }

  @Test(.enabled(if: hasSupervisor, "no supervisor beside this program"))
  func `a worker ends as it does without a relay`() async throws {
    let system = try MadeUpSystem(packageFiles("100", range: "999999999999"))
    func outcome(_ end: String) async -> JobOutcome {
      await launcher(system).run(Assignment(peer(system, end: end), job), timeout: 60)
    }
    #expect(await outcome("echo oops >&2; exit 3").failure == .exited(3, lastError: "oops"))
    #expect(await outcome("kill -ABRT $$").failure == .signalled(6, lastError: ""))
    #expect(await outcome("exec 1>&-; exit 0").failure == nil)
    // Half a line stays one, and nothing is put behind it.
    let half = await outcome("printf '{\"kind\":\"met'; kill -KILL $$")
    #expect(half.failure?.description.contains("no protocol line") == true, "\(String(describing: half.failure))")
    #expect(half.readings.isEmpty)
    if case .late = await launcher(system).run(Assignment(script("sleep 600"), job), timeout: 0.3).failure {
    } else {
      Issue.record("it was not ended")
    }
    let absent = await launcher(system).run(
      Assignment(WorkerCommand("/nonexistent/worker", version: 2), job), timeout: 60)
    #expect(absent.failure?.description.contains("not found") == true)
  }

  @Test(.enabled(if: hasSupervisor, "no supervisor beside this program"), arguments: [20 << 20, 66 << 20])
  func `lines of many mebibytes are passed on as they are`(length: Int) async throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: WorkerProgram.path!)
    let text =
      "read job; head -c \(length) /dev/zero | tr '\\0' x; echo; \(Self.warmed); \(Self.sample); printf end; exit 7"
    process.arguments = ["supervise", "--probes", "--", "/bin/sh", "-c", text]
    let (input, output) = (Pipe(), Pipe())
    (process.standardInput, process.standardOutput) = (input, output)
    try process.run()
    try input.fileHandleForWriting.write(contentsOf: JSONEncoder().encode(job) + Data("\n".utf8))
    try input.fileHandleForWriting.close()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let lines = data.split(separator: UInt8(ascii: "\n"))
    #expect(process.terminationStatus == 7 && lines.count == 4)
    #expect(lines[0].count == length && lines[0].allSatisfy { $0 == UInt8(ascii: "x") })
    #expect(String(decoding: lines[3], as: UTF8.self) == "end")
  }

  @Test(.enabled(if: hasSupervisor, "no supervisor beside this program"))
  func `where the runner goes, the worker and what it started go too`() async throws {
    let system = try MadeUpSystem()
    let note = system.url("child").path
    let body = "\(Self.head); setsid sh -c 'echo $$ > \(note).new; mv \(note).new \(note); exec sleep 600' & sleep 600"
    let task = Task { [job] in await launcher(system).run(Assignment(script(body), job), timeout: 600) }
    while !FileManager.default.fileExists(atPath: note) { try await Task.sleep(for: .milliseconds(20)) }
    task.cancel()
    #expect(await task.value.failure == .interrupted)
    let child = try String(contentsOfFile: note, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
    func isAlive() -> Bool {
      (try? String(contentsOfFile: "/proc/\(child)/stat", encoding: .utf8)).map { !$0.contains(") Z ") } ?? false
    }
    for _ in 0..<1000 where isAlive() { try await Task.sleep(for: .milliseconds(20)) }
    #expect(!isAlive())
  }

  @Test(.enabled(if: hasSupervisor, "no supervisor beside this program"), arguments: [[], ["--probes"]])
  func `a runner that dies leaves nothing either`(options: [String]) async throws {
    let note = try MadeUpSystem().url("child").path
    let (ours, theirs) = try Supervisor.socketPair()
    let process = Process()
    process.executableURL = URL(fileURLWithPath: WorkerProgram.path!)
    let body = "setsid sh -c 'echo $$ > \(note).new; mv \(note).new \(note); exec sleep 600' & sleep 600"
    process.arguments = ["supervise"] + options + ["--", "/bin/sh", "-c", body]
    process.standardInput = FileHandle(fileDescriptor: theirs, closeOnDealloc: true)
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    while !FileManager.default.fileExists(atPath: note) { try await Task.sleep(for: .milliseconds(20)) }
    close(ours)
    process.waitUntilExit()
    #expect(process.terminationStatus == 129)
    let child = try String(contentsOfFile: note, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
    #expect(!FileManager.default.fileExists(atPath: "/proc/\(child)"))
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
      packageFiles("1").merging([
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
