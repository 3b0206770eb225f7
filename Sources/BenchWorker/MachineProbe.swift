import BenchProtocol
import Foundation

/// What the whole machine does while a worker's iterations are timed, whichever engine's they are: energy, temperature,
/// frequency, throttling. What cannot be read costs nothing.
package final class MachineProbe: Probe {
  private let tree: SystemTree
  /// Which processors the measured process may use, asked when the first slice begins: only then it stays on them.
  private let processors: () -> [Int]
  private let energy: Sensor<EnergyMeter>
  private let temperature: Sensor<Thermometer>
  private var frequency: Sensor<FrequencyMeter>?
  private var throttling: Sensor<ThrottleCounter>?

  private var joules = 0.0
  /// Iterations whose energy is known.
  private var metered = 0
  private var frequencies = (sum: 0.0, count: 0)
  private var throttled = 0
  private var pace = Pace()

  /// A sensor, or why there is none.
  private enum Sensor<Meter> {
    case found(Meter), missing(String)

    init(_ make: () throws(Unavailable) -> Meter) {
      do { self = .found(try make()) } catch { self = .missing(error.description) }
    }
    var meter: Meter? { if case .found(let meter) = self { meter } else { nil } }
    var reason: String? { if case .missing(let reason) = self { reason } else { nil } }
  }

  /// - Parameters:
  ///   - process: the measured one.
  ///   - processors: which it may use, by number; nil to ask the system.
  package init(
    _ tree: SystemTree = .current, clock: MonotonicClock = .system, process: Int32 = getpid(),
    processors: (() -> [Int])? = nil
  ) {
    self.tree = tree
    self.processors = processors ?? { Processors.allowed(of: process) }
    energy = Sensor { () throws(Unavailable) in try EnergyMeter(tree, clock: clock) }
    temperature = Sensor { () throws(Unavailable) in try Thermometer(tree) }
  }

  package func begin() {
    if frequency == nil {
      var processors = processors()
      if processors.isEmpty { processors = tree.processors }
      let tree = tree
      frequency = Sensor { () throws(Unavailable) in try FrequencyMeter(tree, processors: processors) }
      throttling = Sensor { () throws(Unavailable) in try ThrottleCounter(tree, processors: processors) }
    }
    throttling?.meter?.begin()
    energy.meter?.begin()
  }

  package func end(iterations: Int) {
    if let spent = energy.meter?.end() {
      joules += spent
      metered += iterations
    }
    if let meter = frequency?.meter {
      // Some kernels take ten milliseconds to find out.
      pace.whereDue {
        if let megahertz = meter.megahertz { frequencies = (frequencies.sum + megahertz, frequencies.count + 1) }
      }
    }
    if let meter = throttling?.meter { throttled &+= meter.end() }
  }

  package var readings: [WorkerLine.Reading] {
    // Nothing was timed.
    guard let frequency, let throttling else { return [] }
    func reading(_ name: String, _ reason: String?, _ value: Double?, else other: String) -> WorkerLine.Reading {
      reason.map { .init(name, unavailable: $0) } ?? value.map { .init(name, $0) } ?? .init(name, unavailable: other)
    }
    return [
      reading(
        "energy", energy.reason, joules > 0 && metered > 0 ? joules / Double(metered) : nil,
        else: "\(energy.meter?.name ?? "") told nothing while iterations were timed"),
      // Right after the last slice.
      reading(
        "temperature", temperature.reason, temperature.meter?.hottest,
        else: "no thermal zone tells a plausible temperature"),
      reading(
        "frequency", frequency.reason, frequencies.count > 0 ? frequencies.sum / Double(frequencies.count) : nil,
        else: "no processor told its frequency after a slice"),
      reading("throttled", throttling.reason, Double(max(0, throttled)), else: ""),
    ]
  }
}

/// Reads something after each slice, or more seldom where that takes long: a slice pays 25 µs for it on average, which is
/// less than one in a hundred of the shortest.
struct Pace {
  private static let nanosecondsPerSlice = 25_000
  private var passing = 0
  private(set) var isReading = false
  private var taken = 0

  /// Whether this slice is read.
  mutating func begin(_ read: () -> Void) {
    isReading = passing == 0
    guard isReading else { return passing -= 1 }
    taken = Self.duration(of: read)
  }

  /// - Parameter read: done where the slice is read.
  mutating func end(_ read: () -> Void) {
    guard isReading else { return }
    taken += Self.duration(of: read)
    passing = taken / Self.nanosecondsPerSlice
  }

  mutating func whereDue(_ read: () -> Void) {
    begin {}
    end(read)
  }

  private static func duration(of work: () -> Void) -> Int {
    let start = monotonicNanoseconds()
    work()
    return monotonicNanoseconds() - start
  }
}

/// Context switches an iteration, of a process that is not this one, its threads and the processes that it started.
final class FamilySwitchProbe: Probe {
  private struct Switches {
    var voluntary = 0
    var involuntary = 0
  }

  private let process: Int32
  private let tree: SystemTree
  /// The process and those that it had started when the first slice began.
  private var family: [Int32] = []
  /// Files of their threads, by name.
  private var threads: [String: SystemTree.File] = [:]
  private var slices = 0
  private var before: [String: Switches] = [:]
  private var sum = Switches()
  private var iterations = 0
  private var pace = Pace()

  init(process: Int32, _ tree: SystemTree = SystemTree()) { (self.process, self.tree) = (process, tree) }

  func begin() {
    if family.isEmpty { family = descendants() }
    pace.begin {
      // Threads that an engine starts in between are seen a little later.
      if slices % 16 == 0 { findThreads() }
      slices += 1
      before = threads.compactMapValues(Self.switches)
    }
  }

  func end(iterations: Int) {
    pace.end {
      for (name, file) in threads {
        // It has ended.
        guard let before = before[name], let now = Self.switches(file) else { continue }
        sum.voluntary += max(0, now.voluntary - before.voluntary)
        sum.involuntary += max(0, now.involuntary - before.involuntary)
      }
      if !before.isEmpty { self.iterations += iterations }
    }
  }

  var readings: [WorkerLine.Reading] {
    let names = ["voluntary-switches", "involuntary-switches"]
    guard iterations > 0 else {
      return names.map { .init($0, unavailable: "/proc does not tell the worker's context switches") }
    }
    return zip(names, [sum.voluntary, sum.involuntary]).map { .init($0, Double($1) / Double(iterations)) }
  }

  private static func switches(_ file: SystemTree.File) -> Switches? {
    guard let text = file.text() else { return nil }
    func count(_ name: String) -> Int? {
      text.split(separator: "\n").last { $0.hasPrefix(name) }
        .flatMap { Int($0.dropFirst(name.count).trimmingCharacters(in: .whitespaces)) }
    }
    guard let voluntary = count("voluntary_ctxt_switches:"), let other = count("nonvoluntary_ctxt_switches:"),
      voluntary >= 0, other >= 0
    else { return nil }
    return Switches(voluntary: voluntary, involuntary: other)
  }

  private func findThreads() {
    var found: [String: SystemTree.File] = [:]
    for process in family {
      let folder = "/proc/\(process)/task"
      for thread in tree.names(in: folder) {
        let path = "\(folder)/\(thread)/status"
        found[path] = threads[path] ?? (try? tree.open(path))
      }
    }
    threads = found
  }

  /// The process and all that descend from it. Not every kernel lists a process's children; each tells a process's parent.
  private func descendants() -> [Int32] {
    var children: [Int32: [Int32]] = [:]
    for name in tree.names(in: "/proc") {
      // The parent's number is the second field after the name, which is in parentheses and may hold anything.
      guard let process = Int32(name), let stat = tree.text("/proc/\(name)/stat"),
        let end = stat.range(of: ") ", options: .backwards)?.upperBound,
        let parent = stat[end...].split(separator: " ").dropFirst().first.flatMap({ Int32($0) })
      else { continue }
      children[parent, default: []].append(process)
    }
    var (family, next) = ([process], 0)
    while next < family.count {
      // Once each, whatever a made-up list says.
      family += (children.removeValue(forKey: family[next]) ?? [])
      next += 1
    }
    return family
  }
}
