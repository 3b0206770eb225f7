/// A command that speaks the worker protocol; each job is a process of its own.
public struct WorkerCommand: Sendable, Hashable {
  public var executable: String
  public var arguments: [String]
  /// Of the worker protocol, where that is known; nil for a command that is asked first.
  public var version: Int?

  public init(_ executable: String, _ arguments: [String] = [], version: Int? = nil) {
    (self.executable, self.arguments, self.version) = (executable, arguments, version)
  }

  /// `prefix` before the command, as `qemu-x86_64 -cpu Nehalem` or `ssh host`.
  public func prefixed(_ prefix: [String]) -> WorkerCommand {
    guard let first = prefix.first else { return self }
    return WorkerCommand(first, Array(prefix.dropFirst()) + [executable] + arguments, version: version)
  }

  /// Whether the supervisor measures the machine for it: Pacer's workers do so themselves, of whatever version, and a
  /// command that runs elsewhere spends nothing of this machine's.
  var needsProbes: Bool {
    let names = ([executable] + arguments).map { $0.split(separator: "/").last.map(String.init) ?? $0 }
    return !names.contains(WorkerProgram.name) && !Self.remote.contains(names[0])
  }

  private static let remote: Set = ["ssh", "adb", "srun"]
}
