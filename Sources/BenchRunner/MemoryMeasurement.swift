import BenchModel
import BenchProtocol

extension MemoryProfile {
  /// Asks a worker for each configuration, and tries what would lower the peak.
  public static func measure(
    _ configurations: [Configuration], _ catalog: Catalog, workers: Workers, version: String, command: String,
    environment: MachineDescription, progress: (String) -> Void
  ) async throws -> MemoryProfile {
    var profile = MemoryProfile(version: version, command: command, environment: environment)
    // Those that differ in the allocator alone have the same remedies.
    var known: [Configuration: [Remedy]] = [:]
    for configuration in configurations {
      try Task.checkCancellation()
      let label = Labels.of(configuration, catalog)
      progress(label)
      let outcome = await workers.perform(configuration, Job(.memory, configuration))
      if let failure = outcome.failure { throw UserError("\(label): \(failure)") }
      guard let timeline = outcome.memory else {
        profile.unavailable[label] = outcome.skipped ?? "the worker tells nothing: it is another version"
        continue
      }
      var planned = configuration
      planned[Axes.allocator] = .arena
      if known[planned] == nil { known[planned] = await remedies(for: planned, catalog, workers, progress) }
      profile.entries.append(
        Entry(
          configuration: configuration, label: label, timeline: timeline,
          // Less than a per cent is no remedy.
          remedies: known[planned]!.filter { $0.peakBytes * 100 < timeline.peakBytes * 99 }))
    }
    if profile.entries.isEmpty, let (label, reason) = profile.unavailable.first {
      throw UserError("\(label): \(reason)")
    }
    return profile
  }

  /// What lowers the peak of live bytes: each pass that is off, all of them, outputs in the place of inputs, and what a
  /// device can store smaller. Asked of a worker with planned memory.
  private static func remedies(
    for configuration: Configuration, _ catalog: Catalog, _ workers: Workers, _ progress: (String) -> Void
  ) async -> [Remedy] {
    var candidates: [(name: String, configuration: Configuration)] = []
    func add(_ name: String, _ change: (inout Configuration) -> Void) {
      var other = configuration
      change(&other)
      if other != configuration { candidates.append((name, other)) }
    }
    let all = catalog.passes.map(\.name)
    let on = configuration[Axes.passes]
    let missing = all.filter { !on.contains($0) }
    for pass in missing { add(pass) { $0[Axes.passes] = all.filter { on.contains($0) || $0 == pass } } }
    if missing.count > 1 { add("all passes") { $0[Axes.passes] = all } }
    add("--in-place on") { $0[Axes.inPlace] = true }
    if missing.count > 0, !configuration[Axes.inPlace] {
      add("all passes, --in-place on") { ($0[Axes.passes], $0[Axes.inPlace]) = (all, true) }
    }
    if Axes.storage.applies(to: configuration), configuration[Axes.precision] == .fp32 {
      add("--precision fp16") { $0[Axes.precision] = .fp16 }
    }
    if configuration[Axes.backend] == "cpu", configuration[Axes.precision] == .fp32, on.contains("channels-last") {
      add("--precision int8") { $0[Axes.precision] = .int8 }
    }
    var remedies: [Remedy] = []
    for (name, other) in candidates where !Task.isCancelled {
      progress("with \(name)")
      guard let bytes = await workers.perform(other, Job(.memory, other)).memory?.peakBytes,
        !remedies.contains(where: { $0.peakBytes == bytes })
      else { continue }
      remedies.append(Remedy(name: name, peakBytes: bytes))
    }
    return remedies.sorted { $0.peakBytes < $1.peakBytes }
  }
}
