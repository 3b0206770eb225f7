import BenchModel
import Foundation

extension Profile {
  /// Nodes in the table that is printed; the files have all.
  private static let worstShown = 12

  /// - Parameter isWhole: whether every node is listed, rather than the worst.
  public func report(isWhole: Bool) -> Document {
    var document = Document("Profile of \(configuration.model), \(label)")
    let whole = working.reduce(0) { $0 + $1.time.value }
    document.text(
      "One inference takes \(Format.time(plain.value)) (\(Format.spread(plain)), \(plain.count) processes). The "
        + "\(working.count) nodes sum to \(Format.time(whole)), "
        + String(format: "%.1f %% of it; reading the clock after each cost %+.1f %%.", coverage * 100, cost * 100))
    document.text("Version \(version), on \(environment.summary).")
    for warning in environment.warnings { document.note("\(warning).") }
    if let placement { document.text(placement.words(asked: configuration[Axes.backend], tookNs: plain.value)) }
    describePeaks(&document)

    document.heading("By kind")
    var cumulative = 0.0
    document.table(
      Table(
        ["kind", "nodes", "time", "share", "cumulative", "GFLOP/s", "of peak", "GB/s", "mallocs"], left: 1,
        kinds.map { kind in
          cumulative += kind.time / whole
          let speed = kind.macs > 0 ? 2 * Double(kind.macs) / kind.time * 1e9 : nil
          return Table.Row([
            Table.Field(kind.name), Table.Field("\(kind.nodes)"), Table.Field(Format.time(kind.time), key: kind.time),
            Self.percent(kind.time / whole), Self.percent(cumulative), Self.giga(speed),
            share(speed, integers: kind.multipliesIntegers),
            Self.giga(Double(kind.bytes) / kind.time * 1e9), Self.count(kind.allocations),
          ])
        }))
    document.heading("Advice")
    for advice in advice { document.text(advice) }

    let worst = working.sorted { $0.time.value > $1.time.value }
    document.heading(isWhole ? "Worst first" : "The \(min(Self.worstShown, worst.count)) worst")
    document.table(table(isWhole ? worst : Array(worst.prefix(Self.worstShown)), whole))
    if isWhole {
      document.heading("In order")
      document.table(table(working, whole))
    }
    document.chart(opChart)
    if let roofline { document.chart(.roofline(roofline)) }
    document.text(
      "Bytes are those that a node has to move at least: each input and weight read once, each output written once. "
        + "GFLOP/s count a multiply-add as two. ± is half the 95 % interval over the processes. Made with `\(command)`."
    )
    return document
  }

  private func describePeaks(_ document: inout Document) {
    guard let peaks else {
      if let peaksUnavailable { document.note("shares of the machine's peaks are missing: \(peaksUnavailable).") }
      return
    }
    document.text(
      "Measured peaks on \(peaks.threads) thread\(peaks.threads > 1 ? "s" : "")"
        + "\(peaks.isa.map { " with \($0)" } ?? ""): \(peaks.words).")
  }

  private func table(_ nodes: [Node], _ whole: Double) -> Table {
    Table(
      ["node", "kernel", "time", "±", "share", "MMAC", "GFLOP/s", "of peak", "bytes", "GB/s", "mallocs"], left: 2,
      nodes.map { node in
        Table.Row([
          Table.Field(node.name), Table.Field(node.kernel),
          Table.Field(Format.time(node.time.value), key: node.time.value),
          Table.Field(Format.spread(node.time), key: node.time.relativeHalfWidth),
          Self.percent(node.time.value / whole),
          node.macs > 0 ? Table.Field(Format.significant(Double(node.macs) / 1e6), key: Double(node.macs)) : "–",
          Self.giga(node.speed), share(node.speed, integers: node.multipliesIntegers),
          Table.Field(Format.bytes(Double(node.bytes)), key: Double(node.bytes)),
          Self.giga(node.bytes > 0 ? node.bandwidth : nil), Self.count(node.allocations),
        ])
      })
  }

  private static func percent(_ share: Double) -> Table.Field {
    Table.Field(String(format: "%.1f%%", share * 100), key: share)
  }
  private static func giga(_ rate: Double?) -> Table.Field {
    rate.map { Table.Field(Format.significant($0 / 1e9), key: $0) } ?? "–"
  }
  private static func count(_ count: Int?) -> Table.Field {
    count.map { Table.Field("\($0)", key: Double($0)) } ?? "–"
  }

  /// Share of the arithmetic's measured peak.
  private func share(_ speed: Double?, integers: Bool) -> Table.Field {
    guard let speed, let peak = peaks?.arithmetic(integers: integers, configuration[Axes.precision]) else { return "–" }
    return Self.percent(speed / peak)
  }

  // MARK: Charts

  public var opChart: Chart {
    .bars(
      BarChart(
        title: "time of each node, in order", axis: "µs",
        bars: working.map {
          BarChart.Bar(
            label: $0.name, value: $0.time.value / 1e3, low: $0.time.hasInterval ? $0.time.low / 1e3 : nil,
            high: $0.time.hasInterval ? $0.time.high / 1e3 : nil, text: Format.time($0.time.value))
        }))
  }

  public var roofline: Roofline? {
    // The roof of most of the work.
    let integers = nodes.reduce(0) { $0 + ($1.multipliesIntegers ? $1.macs : -$1.macs) } > 0
    guard let peaks, let peak = peaks.arithmetic(integers: integers, configuration[Axes.precision]),
      !peaks.memory.isEmpty
    else { return nil }
    let whole = working.reduce(0) { $0 + $1.time.value }
    let points = nodes.filter { $0.macs > 0 && $0.bytes > 0 }.map {
      Roofline.Point(
        label: "\($0.name): \(Format.significant(($0.speed ?? 0) / 1e9)) GFLOP/s", intensity: $0.intensity,
        speed: $0.speed ?? 0, share: $0.time.value / whole, kind: $0.kind)
    }
    return Roofline(
      title: "roofline: the area of a point is its share of the time", peak: peak,
      bandwidths: peaks.memory.map { ($0.name, $0.rate) }, points: points)
  }

  // MARK: Advice

  /// What to try, in plain words, from what was seen alone.
  public var advice: [String] {
    var list: [String] = []
    let whole = working.reduce(0) { $0 + $1.time.value }
    if let first = kinds.first {
      var text = String(format: "%@ is %.0f %% of the time", first.name, first.time / whole * 100)
      let speed = 2 * Double(first.macs) / first.time * 1e9
      if first.macs > 0, let peaks,
        let peak = peaks.arithmetic(integers: first.multipliesIntegers, configuration[Axes.precision])
      {
        let intensity = 2 * Double(first.macs) / Double(max(first.bytes, 1))
        let ridge = peaks.memory.last.map { peak / $0.rate } ?? 0
        text += String(format: ", at %.0f %% of the arithmetic's peak", speed / peak * 100)
        text +=
          intensity < ridge
          ? String(
            format: "; with %.1f operations a byte it is bound by memory (%.1f would be needed): fusing what "
              + "follows it, or smaller numbers, would help more than faster arithmetic", intensity, ridge)
          : "; it is bound by arithmetic"
      }
      list.append(text + ".")
    }
    let off = passes.isEmpty ? [] : passes.filter { $0.rewrites == 0 }.map(\.name)
    if !off.isEmpty { list.append("Nothing to do on this model for: \(off.joined(separator: ", ")).") }
    func time(_ ops: Set<String>) -> Double { nodes.filter { ops.contains($0.op) }.reduce(0) { $0 + $1.time.value } }
    var tips: [String] = []
    func tip(_ holds: Bool, _ text: String) { if holds { tips.append(text) } }
    let mallocs = nodes.compactMap(\.allocations).reduce(0, +)
    tip(time(["batch_norm"]) > 0, "batch norms run on their own: try `--passes all` (fold-batch-norm)")
    tip(time(["activation"]) / whole > 0.01, "activations run on their own: try `--passes all` (fuse-activation)")
    tip(
      !configuration[Axes.passes].contains("prepack-weights"), "weights are rearranged at each call: try `--passes all`"
    )
    tip(configuration[Axes.kernels] != .fast, "these are not the fastest kernels: try `--kernels fast`")
    tip(
      mallocs > 0 && configuration[Axes.allocator] != .arena,
      "memory is allocated in each inference: try `--allocator arena`")
    tip(
      configuration[Axes.threads] < environment.processors,
      "processors are idle: try `--threads \(environment.processors)`")
    let isSlower = configuration[Axes.isa] != nil && configuration[Axes.isa] != environment.isa
    tip(isSlower, "a slower instruction set was asked for: leave out `--isa` for \(environment.isa)")
    return list + tips.map { $0.prefix(1).uppercased() + $0.dropFirst() + "." }
  }

  // MARK: Files

  /// One line per node, in order (RFC 4180).
  public var csv: String {
    var text = "node,op,kernel,time_ns,time_low_ns,time_high_ns,macs,bytes,flops_per_second,bytes_per_second,mallocs\n"
    for node in working {
      let interval = node.time.hasInterval ? ["\(node.time.low)", "\(node.time.high)"] : ["", ""]
      let fields = [node.name, node.op, node.kernel].map(Format.quoted) + ["\(node.time.value)"] + interval
      text +=
        (fields + [
          "\(node.macs)", "\(node.bytes)", node.speed.map { "\($0)" } ?? "", "\(node.bandwidth)",
          node.allocations.map { "\($0)" } ?? "",
        ]).joined(separator: ",") + "\n"
    }
    return text
  }

  /// The traced inference in Chrome's trace event format, which Perfetto reads too.
  public var chromeTrace: Data {
    get throws {
      var events = [
        TraceEvent(name: "process_name", ph: "M", args: ["name": .text("\(configuration.model), \(label)")])
      ]
      let spans = trace?.spans ?? []
      for thread in Set(spans.map(\.thread)).sorted() {
        let name = thread == 0 ? "caller" : "pool thread \(thread)"
        events.append(TraceEvent(name: "thread_name", ph: "M", tid: thread, args: ["name": .text(name)]))
      }
      for span in spans where nodes.indices.contains(span.node) {
        let node = nodes[span.node]
        events.append(
          TraceEvent(
            name: node.name, cat: node.op, ph: "X", tid: span.thread, ts: Double(span.start) / 1e3,
            dur: Double(span.end - span.start) / 1e3,
            args: ["kernel": .text(node.kernel), "macs": .number(node.macs), "bytes": .number(node.bytes)]))
      }
      let own = spans.filter { $0.thread == 0 }
      for (span, bytes) in zip(own, trace?.liveBytes ?? []) {
        events.append(
          TraceEvent(name: "tensors in use", ph: "C", ts: Double(span.end) / 1e3, args: ["bytes": .number(bytes)]))
      }
      var total = 0
      for span in own where nodes.indices.contains(span.node) {
        total += nodes[span.node].allocations ?? 0
        events.append(
          TraceEvent(name: "mallocs so far", ph: "C", ts: Double(span.end) / 1e3, args: ["calls": .number(total)]))
      }
      return try JSONEncoder.readable.encode(
        TraceFile(traceEvents: events, displayTimeUnit: "ms", otherData: ["version": version]))
    }
  }

  private struct TraceFile: Encodable {
    var traceEvents: [TraceEvent]
    var displayTimeUnit: String
    var otherData: [String: String]
  }

  /// Names and units as the format has them: microseconds, `X` for a span, `C` for a counter, `M` for a name.
  private struct TraceEvent: Encodable {
    enum Argument: Encodable {
      case text(String)
      case number(Int)
      func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .text(let text): try container.encode(text)
        case .number(let number): try container.encode(number)
        }
      }
    }
    var name: String
    var cat: String?
    var ph: String
    var pid = 1
    var tid = 0
    var ts: Double?
    var dur: Double?
    var args: [String: Argument] = [:]
  }
}
