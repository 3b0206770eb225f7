import BenchModel
import BenchStatistics
import RuntimeCore

extension MemoryProfile.Entry {
  /// What would lower the peak, in a line.
  public var advice: String {
    let step = timeline.steps.isEmpty ? nil : timeline.steps[timeline.peakStep]
    let alive = timeline.alive(at: timeline.peakStep).sorted { $0.byteCount > $1.byteCount }
    let most = Format.bytes(Double(timeline.peakBytes))
    var text = "Peak live memory is at step \(timeline.peakStep), \(step?.node ?? "none"): \(most), "
    text += alive.prefix(3).map { "\($0.name) \(Format.bytes(Double($0.byteCount)))" }.joined(separator: " + ")
    text += alive.count > 3 ? " and \(alive.count - 3) more. " : ". "
    if remedies.isEmpty {
      let biggest = alive.first.map { Double($0.byteCount) / Double(max(timeline.peakBytes, 1)) } ?? 0
      return text
        + "What would lower it: no option here; \(Int((biggest * 100).rounded())) % of it is one tensor, so a smaller input, "
        + "numbers of fewer bits, or kernels that never make that tensor whole."
    }
    let list = remedies.prefix(3).map { "\($0.name) (\(Format.bytes(Double($0.peakBytes))))" }
    return text + "What would lower it: \(list.joined(separator: ", or "))."
  }

  public var chart: Chart {
    .memory(MemoryChart(title: "\(configuration.model), \(label): what lies where, MiB over steps", timeline: timeline))
  }

  fileprivate var timelineTable: Table {
    Table(
      ["step", "node", "op", "begins", "live", "reserved"], left: 4,
      timeline.steps.enumerated().map { index, step in
        let mark = index == timeline.peakStep ? " (most)" : ""
        return [
          "\(index)", step.node, step.op,
          timeline.blocks.filter { $0.first == index }
            .map { "\($0.name) \(Format.bytes(Double($0.byteCount)))" }.joined(separator: "; "),
          Format.bytes(Double(timeline.liveBytes(at: index))) + mark,
          Format.bytes(Double(step.heldBytes)),
        ]
      })
  }

  fileprivate var peakTable: Table {
    Table(
      ["live then", "bytes", "steps"], left: 1,
      timeline.alive(at: timeline.peakStep).sorted { $0.byteCount > $1.byteCount }.map {
        [$0.name, Format.bytes(Double($0.byteCount)), "\($0.first)–\($0.last)"]
      })
  }
}

extension MemoryProfile {
  /// - Parameter isWhole: with every step and the drawings, for a file; otherwise what a terminal shows.
  public func report(isWhole: Bool) -> Document {
    var document = Document("Where the memory of \(entries.first?.configuration.model ?? "a model") goes")
    for advice in entries.map(\.advice).uniqued() { document.text(advice) }
    document.table(
      Table(
        ["configuration", "peak live", "peak reserved", "blocks", "weights, inputs, outputs"], left: 1,
        entries.map { entry in
          [
            entry.label, Format.bytes(Double(entry.timeline.peakBytes)),
            Format.bytes(Double(entry.timeline.peakHeldBytes)), "\(entry.timeline.blocks.count)",
            Format.bytes(Double(entry.timeline.constantBytes)),
          ]
        }))
    for (label, reason) in unavailable.sorted(by: { $0.key < $1.key }) { document.note("\(label): \(reason).") }
    for entry in entries {
      if isWhole || entries.count == 1 { document.heading(entry.label) }
      if isWhole { document.chart(entry.chart) }
      if isWhole || entries.count == 1 { document.table(entry.peakTable) }
      if isWhole { document.table(entry.timelineTable) }
    }
    if isWhole {
      document.heading("How to read this")
      document.text(
        """
        Live are the tensors that a later step still reads, and a step's working memory. Reserved is what the allocator keeps \
        from the system: the same where each tensor goes straight back, more where a cache keeps freed blocks, the whole \
        block where it was planned ahead. Drawn are real addresses of one steady inference, without the gaps in which \
        nothing lies; on a device the places in the plan, and blocks of their own one behind the other.
        """)
      document.text("Version \(version), \(environment.summary). Made with `\(command)`.")
    }
    return document
  }
}
