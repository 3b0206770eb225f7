import BenchProtocol
import Foundation

/// What was measured on, as far as the machine tells.
public struct MachineDescription: Codable, Sendable, Equatable {
  public var processor: String
  public var isa: String
  public var processors: Int
  /// Processors this process may use.
  public var cpuset: String
  public var smt: String
  public var governor: String
  /// CPU quota of the control group, in processors; "none" without one.
  public var quota: String
  /// Times the control group was throttled while the run went on.
  public var throttled: Int?
  public var memoryBytes: Int
  public var loadAverage: Double
  /// Share of processor time the hypervisor kept for others while the run went on.
  public var steal: Double?
  public var system: String
  public var libc: String
  public var compiler: String
  public var git: String

  public static func current(processor: String, isa: String, git: String) -> MachineDescription {
    MachineDescription(
      processor: processor, isa: isa, processors: ProcessInfo.processInfo.activeProcessorCount,
      cpuset: field("/proc/self/status", "Cpus_allowed_list") ?? "unavailable",
      smt: read("/sys/devices/system/cpu/smt/active").map { $0 == "1" ? "on" : "off" } ?? "unavailable",
      governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") ?? "unavailable",
      quota: quota(), throttled: nil, memoryBytes: Int(ProcessInfo.processInfo.physicalMemory),
      loadAverage: read("/proc/loadavg").flatMap { Double($0.split(separator: " ")[0]) } ?? -1, steal: nil,
      system: read("/proc/sys/kernel/osrelease").map { "Linux \($0)" } ?? "unknown", libc: libcVersion(),
      compiler: compilerVersion, git: git)
  }

  public static func current(_ catalog: Catalog, git: String) -> MachineDescription {
    current(
      processor: catalog.processorName, isa: catalog.availableInstructionSets.last ?? "unknown", git: git)
  }

  /// Warnings about what makes times of this machine hard to trust.
  public var warnings: [String] {
    var list: [String] = []
    if loadAverage > 0.5 * Double(processors) {
      list.append("load average \(loadAverage) at the start: other work was running")
    }
    if let steal, steal > 0.01 {
      list.append(String(format: "the hypervisor took %.1f %% of the processor time", steal * 100))
    }
    if let quota = Double(quota), quota < Double(processors) {
      let share = String(format: "%.2f", quota)
      list.append("control groups leave this process \(share) of \(processors) processors, and stop it beyond that")
    }
    if let throttled, throttled > 0 { list.append("the control group was throttled \(throttled) times") }
    if governor != "unavailable" && governor != "performance" { list.append("frequency governor is \(governor)") }
    return list
  }

  /// What keeps measurements from being joined with another machine's; nil where nothing does.
  public func difference(from other: MachineDescription) -> String? {
    let fields: [(String, KeyPath<MachineDescription, String>)] = [
      ("processor", \.processor), ("instruction set", \.isa), ("processors allowed", \.cpuset), ("CPU quota", \.quota),
      ("C library", \.libc), ("compiler", \.compiler), ("system", \.system),
    ]
    let different = fields.first { self[keyPath: $0.1] != other[keyPath: $0.1] }
    return different.map { "\($0.0) \(self[keyPath: $0.1]), here \(other[keyPath: $0.1])" }
  }

  private static func quota() -> String {
    guard let quota = CPUQuota.current() else { return "unavailable" }
    return quota.processors.map { String(format: "%.2f", $0) } ?? "none"
  }

  private static func libcVersion() -> String {
    #if canImport(Glibc)
      var buffer = [CChar](repeating: 0, count: 64)
      let length = confstr(Int32(_CS_GNU_LIBC_VERSION), &buffer, buffer.count)
      return length > 0
        ? String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self) : "unknown"
    #else
      return "unknown"
    #endif
  }

  private static var compilerVersion: String {
    #if compiler(>=6.4)
      "Swift 6.4 or later"
    #elseif compiler(>=6.3.3)
      "Swift 6.3.3 or later"
    #elseif compiler(>=6.3.2)
      "Swift 6.3.2"
    #elseif compiler(>=6.3.1)
      "Swift 6.3.1"
    #elseif compiler(>=6.3)
      "Swift 6.3"
    #else
      "Swift 6.2"
    #endif
  }

  private static func field(_ path: String, _ name: String) -> String? {
    read(path)?.split(separator: "\n").first { $0.hasPrefix(name + ":") }
      .map { $0.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces) }
  }
}
