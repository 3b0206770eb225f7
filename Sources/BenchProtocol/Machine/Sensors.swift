/// Processors of which sensors are read at most: a file takes about a microsecond, on some machines many.
private let mostProcessors = 16

/// The machine's thermal zones.
package final class Thermometer {
  private let zones: [SystemTree.File]
  /// Degrees that a running machine can have; what is not there says 0 or less.
  private static let plausible = 1_000...150_000

  /// - Throws: ``Unavailable`` where no zone gives a plausible temperature.
  package init(_ tree: SystemTree) throws(Unavailable) {
    let folder = "/sys/class/thermal"
    let names = tree.names(in: folder).filter { $0.hasPrefix("thermal_zone") }
    if names.isEmpty { throw Unavailable("no thermal zone") }
    zones = names.compactMap { try? tree.open("\(folder)/\($0)/temp") }
    if hottest == nil { throw Unavailable("no thermal zone tells a plausible temperature") }
  }

  /// Degrees Celsius of the hottest zone now; nil where none gives a plausible temperature.
  package var hottest: Double? {
    zones.compactMap { $0.number() }.filter(Self.plausible.contains).max().map { Double($0) / 1000 }
  }
}

/// How fast some processors run.
package final class FrequencyMeter {
  private let files: [SystemTree.File]
  /// Kilohertz.
  private static let plausible = 1...20_000_000

  /// - Parameter processors: by number; of many the first ones are read.
  /// - Throws: ``Unavailable`` where none tells its frequency.
  package init(_ tree: SystemTree, processors: [Int]) throws(Unavailable) {
    files = processors.prefix(mostProcessors).compactMap {
      try? tree.open("/sys/devices/system/cpu/cpu\($0)/cpufreq/scaling_cur_freq")
    }
    if megahertz == nil { throw Unavailable("no processor tells its frequency (cpufreq)") }
  }

  /// The mean of all, now.
  package var megahertz: Double? {
    let values = files.compactMap { $0.number() }.filter(Self.plausible.contains)
    return values.isEmpty ? nil : values.reduce(0) { $0 + Double($1) } / Double(values.count) / 1000
  }
}

/// How often some processors were slowed down because they were too hot: their cores and their packages, each once.
package final class ThrottleCounter {
  private let files: [SystemTree.File]
  private var before: [Int?] = []

  /// - Parameter processors: by number; of many the first ones are read.
  /// - Throws: ``Unavailable`` where none counts it.
  package init(_ tree: SystemTree, processors: [Int]) throws(Unavailable) {
    var seen: Set<String> = []
    var files: [SystemTree.File] = []
    for processor in processors.prefix(mostProcessors) {
      let folder = "/sys/devices/system/cpu/cpu\(processor)"
      let package = tree.number("\(folder)/topology/physical_package_id")
      let core = tree.number("\(folder)/topology/core_id")
      let places = [
        ("core", package.flatMap { package in core.map { "\(package) \($0)" } }), ("package", package.map { "\($0)" }),
      ]
      for (kind, place) in places where seen.insert("\(kind) \(place ?? "of \(processor)")").inserted {
        if let file = try? tree.openNumber("\(folder)/thermal_throttle/\(kind)_throttle_count") { files.append(file) }
      }
    }
    if files.isEmpty { throw Unavailable("no processor counts it (thermal_throttle)") }
    self.files = files
  }

  package func begin() { before = files.map { $0.number() } }

  /// Times since `begin`. A counter that went back tells nothing.
  package func end() -> Int {
    zip(files, before).reduce(0) { sum, pair in
      guard let before = pair.1, let now = pair.0.number(), before >= 0, now > before else { return sum }
      return sum &+ (now - before)
    }
  }

  /// Times so far.
  package var total: Int { files.reduce(0) { $0 &+ max(0, $1.number() ?? 0) } }
}

/// Processors of one speed, on a machine that has several.
package struct ProcessorKind: Equatable {
  /// "fast", "slow"; of more than two "medium" in between.
  package var name: String
  package var processors: [Int]

  /// Fastest first; nil where all are alike or the system does not tell.
  package static func all(_ tree: SystemTree) -> [ProcessorKind]? {
    if let fast = tree.list("/sys/devices/cpu_core/cpus"), let slow = tree.list("/sys/devices/cpu_atom/cpus"),
      !fast.isEmpty, !slow.isEmpty
    {
      return [ProcessorKind(name: "fast", processors: fast), ProcessorKind(name: "slow", processors: slow)]
    }
    var kinds: [Int: [Int]] = [:]
    for processor in tree.processors {
      guard let capacity = tree.number("/sys/devices/system/cpu/cpu\(processor)/cpu_capacity"), capacity > 0 else {
        continue
      }
      kinds[capacity, default: []].append(processor)
    }
    guard kinds.count > 1 else { return nil }
    return kinds.sorted { $0.key > $1.key }.enumerated().map { place, kind in
      ProcessorKind(
        name: place == 0 ? "fast" : place == kinds.count - 1 ? "slow" : "medium", processors: kind.value.sorted())
    }
  }

  /// As "0-3,8".
  package var list: String {
    var ranges: [ClosedRange<Int>] = []
    for processor in processors {
      if let last = ranges.last, last.upperBound + 1 == processor {
        ranges[ranges.count - 1] = last.lowerBound...processor
      } else {
        ranges.append(processor...processor)
      }
    }
    return ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
      .joined(separator: ",")
  }
}
