import Foundation
import GraphCore
import ModelZoo
import RuntimeCore
import TensorCore

/// Where a model's memory goes: one inference under each of a few allocators.
public struct MemoryProfile: Codable, Sendable {
  public static let schema = "pacer-memory-1"

  public struct Entry: Codable, Sendable {
    public var cell: Cell
    public var label: String
    public var timeline: MemoryTimeline
    /// What else could be done, and the most bytes alive at once then; the least first.
    public var remedies: [Remedy]
  }

  public struct Remedy: Codable, Sendable, Equatable {
    public var name: String
    public var peakBytes: Int
  }

  public var schema = MemoryProfile.schema
  public var version: String
  public var command: String
  public var environment: MachineDescription
  public var entries: [Entry] = []
  /// Cells that have no timeline, and why.
  public var unavailable: [String: String] = [:]

  /// Asks a worker for each cell, and tries what would lower the peak.
  public static func measure(
    _ cells: [Cell], _ catalog: Catalog, workers: Workers, version: String, command: String,
    environment: MachineDescription, progress: (String) -> Void
  ) async throws -> MemoryProfile {
    var profile = MemoryProfile(version: version, command: command, environment: environment)
    // Cells that differ in the allocator alone have the same ones.
    var known: [Cell: [Remedy]] = [:]
    for cell in cells {
      try Task.checkCancellation()
      let label = cell.label(allPasses: catalog.passes.map(\.name))
      progress(label)
      let outcome = await workers.perform(cell, Job(.memory, cell))
      if let reason = outcome.failure { throw UserError("\(label): \(reason)") }
      guard let timeline = outcome.memory else {
        profile.unavailable[label] = outcome.skipped ?? "the worker tells nothing: it is another version"
        continue
      }
      let planned = cell.taking(["allocator"], from: Cell(model: cell.model))
      let remedies = try known[planned] ?? Self.remedies(for: planned, catalog)
      known[planned] = remedies
      profile.entries.append(
        Entry(
          cell: cell, label: label, timeline: timeline,
          // Less than a per cent is no remedy.
          remedies: remedies.filter { $0.peakBytes * 100 < timeline.peakBytes * 99 }))
    }
    if profile.entries.isEmpty, let (label, reason) = profile.unavailable.first {
      throw UserError("\(label): \(reason)")
    }
    return profile
  }

  /// What lowers the most bytes alive at once: each pass that is off, all of them, outputs in the place of inputs, and
  /// what a device can store smaller. Planned, not run.
  private static func remedies(for cell: Cell, _ catalog: Catalog) throws -> [Remedy] {
    var candidates: [(String, Cell)] = []
    func add(_ name: String, _ change: (inout Cell) -> Void) {
      var other = cell
      change(&other)
      if other != cell { candidates.append((name, other)) }
    }
    let all = catalog.passes.map(\.name)
    let missing = all.filter { !cell.passes.contains($0) }
    for pass in missing { add(pass) { $0.passes = all.filter { cell.passes.contains($0) || $0 == pass } } }
    if missing.count > 1 { add("all passes") { $0.passes = all } }
    add("--in-place on") { $0.inPlace = nil }
    if missing.count > 0, cell.inPlace == false {
      add("all passes, --in-place on") { ($0.passes, $0.inPlace) = (all, nil) }
    }
    if cell.backend == "vulkan", cell.precision == .fp32 { add("--precision fp16") { $0.precision = .fp16 } }
    let (graph, _) = try ModelInput(cell, catalog.model(cell.model)).load()
    var remedies: [Remedy] = []
    for (name, var other) in candidates {
      other.allocator = .arena
      let options = other.prepareOptions
      let backend = try catalog.backend(other.backend)
      if case .unavailable = backend.availability(options) { continue }
      let optimised = try Pipeline(catalog.passes(other.passes), checksNumbers: false)
        .run(on: graph, for: backend.target(options)).graph
      let session = try backend.prepare(optimised, options).makeSession()
      guard let bytes = try session.memoryTimeline()?.peakBytes, !remedies.contains(where: { $0.peakBytes == bytes })
      else { continue }
      remedies.append(Remedy(name: name, peakBytes: bytes))
    }
    return remedies.sorted { $0.peakBytes < $1.peakBytes }
  }
}
