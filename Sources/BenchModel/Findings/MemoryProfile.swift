import BenchProtocol
import RuntimeCore

/// Where a model's memory goes: one inference under each of a few allocators.
public struct MemoryProfile: Codable, Sendable {
  public static let schema = "pacer-memory-1"

  public struct Entry: Codable, Sendable {
    public var configuration: Configuration
    public var label: String
    public var timeline: MemoryTimeline
    /// What else could be done, and the most bytes alive at once then; the least first.
    public var remedies: [Remedy]

    package init(configuration: Configuration, label: String, timeline: MemoryTimeline, remedies: [Remedy]) {
      (self.configuration, self.label, self.timeline, self.remedies) = (configuration, label, timeline, remedies)
    }
  }

  public struct Remedy: Codable, Sendable, Equatable {
    public var name: String
    public var peakBytes: Int

    package init(name: String, peakBytes: Int) {
      (self.name, self.peakBytes) = (name, peakBytes)
    }
  }

  public var schema = MemoryProfile.schema
  public var version: String
  public var command: String
  public var environment: MachineDescription
  public var entries: [Entry] = []
  /// Configurations that have no timeline, and why.
  public var unavailable: [String: String] = [:]

  package init(
    version: String, command: String, environment: MachineDescription, entries: [Entry] = [],
    unavailable: [String: String] = [:]
  ) {
    (self.version, self.command, self.environment, self.entries) = (version, command, environment, entries)
    self.unavailable = unavailable
  }
}
