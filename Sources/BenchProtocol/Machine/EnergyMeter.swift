/// Energy of the whole machine, from the first of these that can be read: the processor packages' own counters (RAPL), a
/// monitoring chip's (hwmon), the power that a discharging battery gives.
package final class EnergyMeter {
  /// As "RAPL (package-0)".
  package let name: String
  private var counters: [Counter] = []
  private var batteries: [Battery] = []
  private let clock: MonotonicClock
  private var start = 0

  /// - Throws: ``Unavailable``, with what is wrong with each source.
  package init(_ tree: SystemTree, clock: MonotonicClock = .system) throws(Unavailable) {
    self.clock = clock
    var reasons: [String] = []
    do {
      (name, counters) = try Self.packages(tree)
      return
    } catch { reasons.append(error.description) }
    do {
      (name, counters) = try Self.monitors(tree)
      return
    } catch { reasons.append(error.description) }
    do { (name, batteries) = try Self.batteries(tree) } catch {
      throw Unavailable((reasons + [error.description]).joined(separator: "; "))
    }
  }

  package func begin() {
    for index in counters.indices { counters[index].before = counters[index].file.number() }
    start = clock.now()
  }

  /// Joules since `begin`; nil where they are not known.
  package func end() -> Double? {
    guard batteries.isEmpty else {
      let seconds = Double(clock.now() - start) * 1e-9
      var watts = 0.0
      for battery in batteries {
        guard let power = battery.watts else { return nil }
        watts += power
      }
      return watts * seconds
    }
    var microjoules = 0
    for counter in counters {
      guard let spent = counter.spent else { return nil }
      let (sum, isLarge) = microjoules.addingReportingOverflow(spent)
      if isLarge { return nil }
      microjoules = sum
    }
    return Double(microjoules) * 1e-6
  }

  // MARK: Counters

  /// A counter of microjoules.
  private struct Counter {
    var file: SystemTree.File
    /// The largest value, after which it is 0 again.
    var range: Int?
    var before: Int?

    var spent: Int? {
      guard let before, let now = file.number(), before >= 0, now >= 0 else { return nil }
      if now >= before { return now - before }
      guard let range, range >= before, range - before <= Int.max - now else { return nil }
      return range - before + now
    }
  }

  /// RAPL's domains of whole packages; a core's or a memory's energy is part of none or all of it.
  private static func packages(_ tree: SystemTree) throws(Unavailable) -> (String, [Counter]) {
    let folder = "/sys/class/powercap"
    var names: [String] = []
    var counters: [Counter] = []
    for zone in tree.names(in: folder) where zone.hasPrefix("intel-rapl:") {
      guard let name = tree.text("\(folder)/\(zone)/name"), name.hasPrefix("package-") else { continue }
      counters.append(
        Counter(
          file: try tree.openNumber("\(folder)/\(zone)/energy_uj"),
          range: tree.number("\(folder)/\(zone)/max_energy_range_uj")))
      names.append(name)
    }
    if counters.isEmpty { throw Unavailable("no RAPL counter of a package") }
    return ("RAPL (\(names.joined(separator: ", ")))", counters)
  }

  /// Drivers whose counter is a graphics card's alone.
  private static let graphics: Set = ["i915", "xe", "amdgpu", "nouveau"]

  /// Those of sockets where there are such, which hold their cores; otherwise all of the first chip that has any.
  private static func monitors(_ tree: SystemTree) throws(Unavailable) -> (String, [Counter]) {
    let folder = "/sys/class/hwmon"
    for chip in tree.names(in: folder) {
      let driver = tree.text("\(folder)/\(chip)/name") ?? chip
      let inputs = tree.names(in: "\(folder)/\(chip)").filter { $0.hasPrefix("energy") && $0.hasSuffix("_input") }
      if inputs.isEmpty || graphics.contains(driver) { continue }
      let labels = inputs.map { tree.text("\(folder)/\(chip)/\($0.dropLast(6))_label") ?? String($0.dropLast(6)) }
      let sockets = inputs.indices.filter { labels[$0].lowercased().contains("socket") }
      let chosen = sockets.isEmpty ? Array(inputs.indices) : sockets
      var counters: [Counter] = []
      for index in chosen { counters.append(Counter(file: try tree.openNumber("\(folder)/\(chip)/\(inputs[index])"))) }
      return ("hwmon (\(driver): \(chosen.map { labels[$0] }.joined(separator: ", ")))", counters)
    }
    throw Unavailable("no hwmon energy counter")
  }

  // MARK: Batteries

  private struct Battery {
    var status: SystemTree.File
    /// Microwatts; nil where it tells current and voltage instead.
    var power: SystemTree.File?
    /// Microamperes and microvolts.
    var current: SystemTree.File?
    var voltage: SystemTree.File?

    /// Some drivers count what leaves a battery as negative. Nil where it is not discharging or tells nothing.
    var watts: Double? {
      guard status.text() == "Discharging" else { return nil }
      let value: Double
      if let power = power?.number() {
        value = Double(power.magnitude) * 1e-6
      } else if let current = current?.number(), let voltage = voltage?.number() {
        value = Double(current.magnitude) * 1e-6 * Double(voltage.magnitude) * 1e-6
      } else {
        return nil
      }
      // No battery gives nothing or a kilowatt.
      return value > 0 && value < 1000 ? value : nil
    }
  }

  private static func batteries(_ tree: SystemTree) throws(Unavailable) -> (String, [Battery]) {
    let folder = "/sys/class/power_supply"
    var (batteries, names): ([Battery], [String]) = ([], [])
    var reason = "no battery"
    for supply in tree.names(in: folder) {
      let path = "\(folder)/\(supply)"
      // A mouse's battery is none of the machine's.
      guard tree.text("\(path)/type") == "Battery", tree.text("\(path)/scope") != "Device" else { continue }
      let battery = Battery(
        status: try tree.open("\(path)/status"), power: try? tree.openNumber("\(path)/power_now"),
        current: try? tree.openNumber("\(path)/current_now"), voltage: try? tree.openNumber("\(path)/voltage_now"))
      let status = battery.status.text() ?? ""
      if status != "Discharging" {
        reason = "battery \(supply) is not discharging (\(status.prefix(20)))"
      } else if battery.watts == nil {
        reason = "battery \(supply) does not tell its power"
      } else {
        batteries.append(battery)
        names.append(supply)
      }
    }
    if batteries.isEmpty { throw Unavailable(reason) }
    return ("battery (\(names.joined(separator: ", ")))", batteries)
  }
}
