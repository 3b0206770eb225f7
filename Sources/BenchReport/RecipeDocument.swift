import BenchModel
import BenchStatistics
import Foundation
import RuntimeCore

extension Recipe {
  public var document: Document {
    var document = Document("Performance recipe")
    document.text(
      "What each option of Pacer buys, as measured on the machines below, and how to switch it on. "
        + (isOfRecords
          ? "Each figure is from the records below. "
          : "Nothing here is remembered: `bench-suite recipe` writes this page from the results beside it, and "
            + "`bench-suite recipe --check` proves that it is theirs. ")
        + "An effect is the speed-up with the option over without it, with its 95 % interval; "
        + "\"not significant\" means that the interval holds 1, \"not resolved\" that there were fewer than five pairs, \"same "
        + "graph\" that there was nothing to do."
    )
    describeHosts(&document)
    describeDecisions(&document)
    for pass in catalog.passes where !isOfRecords || hasEffect(pass) { describe(pass, &document) }
    describeIdlePasses(&document)
    describeInteractions(&document)
    describeOptions(&document)
    describeDelegation(&document)
    describeMeasuring(&document)
    return document
  }

  private func describeHosts(_ document: inout Document) {
    document.heading("Where this was measured")
    document.table(
      Table(
        ["host", "machine", "suite", "version", "when"], left: 5,
        hosts.flatMap { host in
          entries(on: host).map { entry in
            [host, entry.file.environment.summary, entry.file.suite, entry.version, entry.file.started]
          }
        }))
    if isOfRecords {
      document.text("Measured with:")
      document.code(library.entries.compactMap(\.file.command).uniqued().joined(separator: "\n"))
    }
    for gap in gaps { document.note("\(gap.section): nothing measured yet. `\(gap.command)` gives some.") }
  }

  // MARK: Decisions

  private func describeDecisions(_ document: inout Document) {
    guard !hosts.isEmpty else { return }
    document.heading("If your model looks like this, start with …")
    var rows: [[String]] = []
    for model in shownModels {
      func row(_ name: String, _ best: @escaping (Attribution) -> [String]?, none: String) -> [String] {
        [model.name, model.character, name]
          + hosts.map { host in
            // One suite that varies a single thing says nothing about what to begin with.
            column(host, { $0.file.suite == "allocators" ? nil : best(attribution($0, model.name)) }) {
              $0.isEmpty ? none : $0.joined(separator: ", then ")
            }
          }
      }
      rows.append(row("passes", bestPasses, none: "none is shown to make it faster"))
      rows += [
        row("leave out", worsePasses, none: "–"),
        row("then", bestOptions, none: "none is shown to make it faster"),
      ].filter { row in
        !row.dropFirst(3).allSatisfy { $0 == "–" } || row[2] == "then" && !isOfRecords
      }
    }
    document.table(Table(["model", "which has", ""] + hosts, left: 3 + hosts.count, rows))
    document.text(
      "The passes that cost most when they alone are left out, those without which it is faster, then what else made it "
        + "faster. All passes together are what "
        + "`optimizeForMobile(graph)` does.")
  }

  /// Whether each pass that changed the graph was left out alone.
  private func ablatesAll(_ attribution: Attribution) -> Bool {
    attribution.hasPasses
      && catalog.passes.allSatisfy { pass in
        attribution.last(pass.name) != nil || attribution.inOrder(pass.name).map { $0.finding == .sameGraph } ?? true
      }
  }

  /// The three passes that cost most when left out; nil where not all were.
  private func bestPasses(_ attribution: Attribution) -> [String]? {
    guard ablatesAll(attribution) else { return nil }
    return best(
      catalog.passes.compactMap { pass in attribution.last(pass.name).map { (pass.name, $0) } }, atMost: 3)
  }

  /// Passes without which it is faster; nil where not all were left out.
  private func worsePasses(_ attribution: Attribution) -> [String]? {
    guard ablatesAll(attribution) else { return nil }
    return catalog.passes.compactMap { pass in attribution.last(pass.name).map { (pass.name, $0) } }
      .filter { $0.1.finding == .slower }.map { "\($0.0) \(Format.speedup($0.1.ratio!))×" }
  }

  /// The two other options that made most of it; nil where none was varied.
  private func bestOptions(_ attribution: Attribution) -> [String]? {
    let options = attribution.options.filter { $0.axis != "kernels" }
    return options.isEmpty ? nil : best(options.map { (name($0), $0.effect) }, atMost: 2)
  }

  /// Those that made it faster, the most first; what is not resolved is told of, as it may be among them.
  private func best(_ effects: [(name: String, effect: Attribution.Effect)], atMost count: Int) -> [String] {
    let found = effects.filter { $0.effect.finding == .faster }
      .sorted { $0.effect.ratio!.value < $1.effect.ratio!.value }.prefix(count)
      .map { "\($0.name) \(Format.speedup($0.effect.ratio!))×" }
    let open = effects.count { $0.effect.finding == .unknown }
    guard open > 0 else { return found }
    let words = "\(open) not resolved"
    return found.isEmpty ? [words] : found.dropLast() + ["\(found.last!); \(words)"]
  }

  /// With what it costs in numbers, where it is another precision.
  private func name(_ option: Attribution.Option) -> String {
    let error = option.axis == Axes.precision.key ? option.effect.change("error", catalog) : nil
    return "\(option.axis) \(option.to)" + (error.map { " (error \($0))" } ?? "")
  }

  // MARK: Passes

  /// Whether somebody measured it where it had something to do.
  private func hasEffect(_ pass: Catalog.Pass) -> Bool {
    library.entries.contains { entry in
      models.contains { model in
        let attribution = attribution(entry, model)
        return [attribution.alone(pass.name), attribution.inOrder(pass.name), attribution.last(pass.name)]
          .contains { $0 != nil && $0?.finding != .sameGraph }
      }
    }
  }

  private func describeIdlePasses(_ document: inout Document) {
    guard isOfRecords else { return }
    let idle = catalog.passes.map(\.name).filter { pass in
      !hasEffect(catalog.passes.first { $0.name == pass }!)
        && library.entries.contains { entry in
          models.contains { attribution(entry, $0).last(pass)?.finding == .sameGraph }
        }
    }
    guard !idle.isEmpty else { return }
    document.heading("Passes with nothing to do")
    document.text(idle.joined(separator: ", ") + ".")
  }

  private func describe(_ pass: Catalog.Pass, _ document: inout Document) {
    document.heading(pass.name)
    document.text("What it does: \(pass.summary). Without it, \(pass.off).")
    var text =
      "In Swift it is part of `optimizeForMobile(graph)`; `optimizeForMobile(graph, disabling: [\"\(pass.name)\"])` "
    text += "leaves it out. On the command line: `bench-suite measure MODEL --disable \(pass.name)`."
    text += pass.pytorchName.map { " PyTorch Mobile calls it `\($0)`." } ?? ""
    document.text(text)
    guard !hosts.isEmpty else { return }
    func row(_ model: String, _ name: String, _ pick: @escaping (Attribution) -> Attribution.Effect?) -> [String] {
      [model, name] + hosts.map { host in column(host, { pick(attribution($0, model)) }, { $0.words }) }
    }
    func cost(_ model: String, _ metric: String) -> [String] {
      [model, metric]
        + hosts.map { host in
          column(host, { attribution($0, model).last(pass.name)?.change(metric, catalog) }, { $0 })
        }
    }
    let costs = ["load", "optimise", "prepare", "weight-bytes", "peak-resident", "heap-allocations", "error"]
    let effects = models.flatMap { model in
      [
        row(model, "alone") { $0.alone(pass.name) },
        row(model, "cumulative") { $0.inOrder(pass.name) },
        row(model, "ablation: all others on") { $0.last(pass.name) },
      ]
    }
    let idle = models.filter { model in
      hosts.contains { host in
        find(host) { attribution($0, model).last(pass.name) ?? attribution($0, model).inOrder(pass.name) }?.0.finding
          == .sameGraph
      }
    }
    // Where there was nothing to do, a table would say no more than that.
    let hasEffects = effects.contains { $0.dropFirst(2).contains { $0 != "–" && !$0.hasPrefix("same graph") } }
    if hasEffects {
      document.table(Table(["model", "speed-up"] + hosts, left: 2, effects))
      document.table(
        Table(
          ["model", "what it costs: without → with"] + hosts, left: 2,
          models.flatMap { model in costs.map { cost(model, $0) } }.filter { $0.dropFirst(2).contains { $0 != "–" } }))
    }
    if !idle.isEmpty { document.text("Nothing to do, so no effect, on \(idle.joined(separator: ", ")).") }
    // A pass that is younger than the results, or of none of their models.
    guard hasEffects || !idle.isEmpty else {
      return document.text("These results hold no row that shows what it does.")
    }
    guard !isOfRecords else { return }
    document.text("Measured with:")
    document.code(Self.suites.prefix(2).map(Self.command).joined(separator: "\n"))
  }

  private func describeInteractions(_ document: inout Document) {
    var rows: [[String]] = []
    var hasAny = false
    for model in models {
      for (index, a) in catalog.passes.map(\.name).enumerated() {
        for b in catalog.passes.map(\.name).dropFirst(index + 1) {
          let fields = hosts.map { host in
            column(
              host,
              { entry -> Attribution.Effect? in
                let effect = attribution(entry, model).interaction(a, b)
                hasAny = hasAny || effect != nil
                return effect
              }, { [.faster, .slower].contains($0.finding) ? $0.words : "–" })
          }
          if fields.contains(where: { !$0.hasPrefix("–") }) { rows.append([model, "\(a) and \(b)"] + fields) }
        }
      }
    }
    guard !rows.isEmpty || !isOfRecords else { return }
    document.heading("Passes that change each other's effect")
    guard hasAny else {
      return document.text("Nothing measured yet: `\(Self.command("attribution"))` gives some.")
    }
    document.text("Together over apart: above 1 they help each other, below 1 they do each other's work.")
    document.table(Table(["model", "passes"] + hosts, left: 2, rows))
  }

  // MARK: Other options

  private func describeOptions(_ document: inout Document) {
    document.heading("Memory format")
    document.text(
      "Images are kept in NCHW unless the pass channels-last is on: `--format nhwc` or `--format nchw` on the command "
        + "line. Both have kernels of their own; the pass's own effect stands above.")
    section(
      "Allocators", "allocator",
      "`PrepareOptions(allocator: .caching)` keeps freed tensors for the next request of their size class (PyTorch Mobile: "
        + "`CPUCachingAllocator`), as does `try cache.withScope { try session.run() }` for a cache of your own; `.arena` "
        + "plans one block ahead and allocates nothing while it runs; `.mapped` maps and unmaps each large tensor, as on "
        + "phones of 2020. On the command line: `--allocator system,caching,arena,mapped`. `bench-suite run allocators` "
        + "sets page faults beside the times, `bench-suite memory MODEL` shows what lies where.", &document)
    section(
      "Outputs in the place of inputs", "in-place",
      "Activations, additions and residuals write over an input that nothing reads any more: on, unless "
        + "`PrepareOptions(inPlace: false)` or `--in-place off`.", &document)
    section(
      "Huge pages", "huge-pages",
      "The system is asked to back weights and planned memory with pages of 2 MiB (`MADV_COLLAPSE`, Linux 6.1), unless "
        + "`PrepareOptions(hugePages: false)` or `--huge-pages off`; the metric huge-pages in a record says how many bytes "
        + "of the process lie on such pages.", &document)
    section(
      "Reused input buffer", "input-buffer",
      "A session owns its input and output tensors: write into `session.inputs[0]`, call `run()`, read "
        + "`session.outputs[0]`. `session.run(with:)` takes a tensor of yours instead. On the command line: "
        + "`--input-buffer reused,fresh`; fresh takes a tensor from the C library for each inference.", &document)
    section(
      "Threads", "threads",
      "`PrepareOptions(threads: 2)`, `--threads 1,2`. The threads spin while an inference runs and sleep between two.",
      &document)
    section(
      "Kernels", "kernels",
      "`--kernels im2col` is how first mobile runtimes did it (the whole matrix, nothing fused), `reference` the scalar "
        + "loops that outputs are held against: the floors that the fast kernels are seen from.", &document)
    section(
      "GPU and accelerators", "backend",
      "`--backend vulkan,metal,nnapi`; a software driver, such as Mesa's llvmpipe, shows that kernels are right, not fast.",
      &document)
    section(
      "Precision: what int8 buys here", "precision",
      "`--precision int8` stores weights and tensors as 8-bit integers and multiplies those; give it samples of what the "
        + "model will see with `--calibrate FOLDER`. `bench-suite quantize MODEL --calibrate FOLDER -o model.pacer` writes "
        + "such a model. The error is the largest over the largest output, of one input, from which ranges are "
        + "learned where nothing is given, and of the weights that were measured, which may be seeded ones: "
        + "`bench-suite accuracy MODEL --labelled FOLDER --precision fp32,int8` counts answers. On a GPU, `fp16` stores in "
        + "16 bits and computes in 32; `fp16-arithmetic` computes in 16 too.",
      metrics: [
        ("weights", "weight-bytes"), ("planned block", "arena-bytes"),
        ("peak memory, with the passes", "peak-resident"),
        ("error", "error"),
      ], &document)
  }

  /// What the values of an axis change: the speed-up, and then these metrics.
  private func section(
    _ title: String, _ axis: String, _ text: String,
    metrics: [(words: String, name: String)] = [("mallocs", "heap-allocations"), ("peak memory", "peak-resident")],
    _ document: inout Document
  ) {
    var rows: [[String]] = []
    for model in models {
      let all = hosts.flatMap { host in
        entries(on: host).flatMap { attribution($0, model).options.filter { $0.axis == axis } }
      }
      for (to, row) in all.map({ [$0.to, $0.row] }).uniqued().map({ ($0[0], $0[1]) }) {
        func option(_ entry: RecordLibrary.Entry) -> Attribution.Option? {
          attribution(entry, model).options.first { $0.axis == axis && $0.to == to && $0.row == row }
        }
        func change(_ name: String) -> [String] {
          hosts.map { host in column(host, { option($0)?.effect.change(name, catalog) }, { $0 }) }
        }
        let speedups = hosts.map { host in column(host, option, { $0.effect.words }) }
        rows.append([model, "\(to), in \(row)", "speed-up"] + speedups)
        for metric in metrics {
          let changes = change(metric.name)
          if changes.contains(where: { $0 != "–" }) { rows.append([model, "", metric.words] + changes) }
        }
      }
    }
    guard !rows.isEmpty || !isOfRecords else { return }
    document.heading(title)
    document.text(text)
    if rows.isEmpty {
      let reasons = hosts.compactMap { host in
        find(host) { entry -> String? in
          let absent = entry.file.rows.filter { $0.status == .unavailable && axis == "backend" }
          let words = absent.map { "\($0.configuration[Axes.backend]): \($0.reason ?? "unavailable")" }.uniqued()
          return words.isEmpty ? nil : words.joined(separator: "; ")
        }.map { "on \(host) \($0.0)" }
      }
      let why = reasons.isEmpty ? "" : " (\(reasons.joined(separator: "; ")))"
      document.text(
        "Nothing measured yet\(why): no kept record of the suites \(Self.suites.joined(separator: ", ")) has any.")
    } else {
      document.table(Table(["model", "option", ""] + hosts, left: 3, rows))
      guard axis == "backend" else { return }
      for host in hosts {
        for device in entries(on: host).flatMap({ ResultTable.devices($0.file) }).uniqued() {
          document.text("On \(host), \(device)")
        }
      }
    }
  }

  // MARK: Measuring

  private func describeMeasuring(_ document: inout Document) {
    document.heading("Setting up a benchmark")
    document.text(
      "`bench-suite doctor` says how noisy the machine is and what to do about it. End other work; fix the frequency where "
        + "you can. Never compare times of two sessions: interleave them, as every ratio here was measured, "
        + "in fresh processes on the same processor. `bench-suite compare BASE HEAD` does it for two versions, "
        + "`bench-suite gate` for a pull request.")
    document.heading("Reading the tables")
    document.text(
      "A× (B–C) reads: the speed-up with the option is A, and the truth lies between B and C in 95 of 100 such "
        + "measurements. Alone: every other pass is off. Cumulative: those before it are on. "
        + "Ablation: all others are on, so it is what would be lost by leaving it out. A pass may buy much alone and little in an ablation, where another does its work too."
    )
  }
}
