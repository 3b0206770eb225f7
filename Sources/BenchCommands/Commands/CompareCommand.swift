import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer

struct CompareCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare", abstract: "Compare two versions: git revisions measured side by side, or stored results.",
    discussion: """
      bench-suite compare                       the merge base and the working tree, uncommitted changes included
      bench-suite compare v1.0 HEAD --model mobilenet-v2 --threads 1,2
      bench-suite compare 0.1.0-g71eb61d0c1f2 0.2.0-g0123456789ab        two versions recorded under Results/
      bench-suite compare A/default.jsonl B/default.jsonl

      Git revisions are built once each, and timed in interleaved pairs of fresh processes on the same processors.
      Stored results are compared by deterministic metrics and by ratios within each run: times of different sessions differ
      for reasons that no version has.

      Exit status: 0 compared, 1 the tool failed, 3 invalid (the control moved, or an output is wrong), 5 nothing to
      compare.
      """)

  @Argument(help: "A git revision, a version under Results/, or a result file (default: the merge base).")
  var base: String?
  @Argument(help: "The newer one (default: the working tree).")
  var head: String?
  @Option(help: "Suite whose configurations are compared; of stored versions, the suite that was run.")
  var suite: String?
  @Option(help: "Models, instead of a suite: mobilenet-v2, resnet-18; a comma list means each.")
  var model: String?
  @OptionGroup var axes: AxisOptions
  @Option(help: "Sampled metrics to decide on, as `list metrics` names them; a comma list means each.")
  var metric = latencyMetric.name
  @Option(help: "Seconds for the times (default: the suite's budget).", transform: Values.seconds)
  var timeBudget: Double?
  @Option(help: "Seed of all chance (default: drawn, and printed).", transform: Values.seed)
  var seed: UInt64?
  @Option(help: "Of stored versions: the host they were recorded on.")
  var host: String?
  @Flag(help: "Print JSON instead of Markdown.")
  var json = false
  @Option(help: "Comparison to write, JSON; reports go beside it (default: Results/compare/BASE..HEAD.json).")
  var output: String?

  func validate() throws {
    if let output { _ = try OutputName(output, ["json"]) }
    do { _ = try metrics() } catch { throw ValidationError("--metric: \(error)") }
  }

  private func metrics() throws -> [Metric] {
    let names = metric.split(separator: ",")
    guard !names.isEmpty else { throw UserError("a metric is missing") }
    return try names.map { try GateSuite.sampled(String($0), catalog) }
  }

  func run() async throws {
    let status = try await userFacing {
      let terminal = Terminal(isQuiet: json)
      let comparison: Comparison = try await untilInterrupted { try await self.comparison(terminal) }
      let url =
        try output.map { try OutputName($0, ["json"]).stem }
        ?? projectFolder.appendingPathComponent("Results/compare/\(comparison.baseVersion)..\(comparison.headVersion)")
      let text = try JSONEncoder.text(comparison.summary)
      let report = comparison.report
      let files = ["md", "html", "json"].map { url.appendingPathExtension($0) }
      try writeBeside(
        [("json", Data(text.utf8)), ("md", Data(report.markdown.utf8)), ("html", Data(report.html.utf8))], at: url
      ) { StandardError.write($0) }
      StandardOutput.print(json ? text : report.markdown, terminator: "")
      if !json {
        for (name, file) in zip(["report", "page  ", "json  "], files) {
          StandardOutput.print("\(name) \(displayPath(file))")
        }
      }
      return comparison.isEmpty ? Int32(5) : comparison.invalid != nil ? 3 : 0
    }
    if status != 0 { throw ExitCode(status) }
  }

  private func comparison(_ terminal: Terminal) async throws -> Comparison {
    let builder = VersionSource.builder(terminal)
    func find(_ name: String) async throws -> VersionSource {
      try await VersionSource.find(name, suite: suite ?? "default", host: host, builder: builder)
    }
    let first: VersionSource
    if let base {
      first = try await find(base)
    } else {
      first = .program(try await VersionSource.revision(VersionSource.repository.mergeBase(), builder))
    }
    if case .stored = first, head == nil {
      throw UserError("\(base!) is a stored result: name the one to compare it with")
    }
    let second =
      if let head { try await find(head) } else { VersionSource.program(try await VersionSource.workingTree(builder)) }
    switch (first, second) {
    case (.stored(let old), .stored(let new)):
      if try !axes.choices(models: model).isEmpty || timeBudget != nil {
        throw ValidationError("stored results are compared as they are: leave out --time-budget and what to measure")
      }
      return Comparison(base: old, head: new, catalog: catalog)
    case (.program(let old), .program(let new)): return try await measure(old, new, terminal)
    default: throw UserError("\(base!) and \(head!) are not alike: compare two git revisions, or two stored results")
    }
  }

  private func measure(_ base: SideBySide.Side, _ head: SideBySide.Side, _ terminal: Terminal) async throws
    -> Comparison
  {
    var loaded = try Suite.load(suite ?? "compare", in: suitesFolders, catalog)
    let choices = try axes.choices(models: model)
    if !choices.isEmpty { loaded.groups = [ConfigurationGroup(choices: choices, place: "command line")] }
    var session = SideBySide(
      base: base, head: head, catalog: catalog, rows: try loaded.rows(catalog),
      oracle: Workers.ownWorker)
    session.seconds = timeBudget ?? loaded.budget
    session.metrics = try metrics()
    if let seed { session.head.workers.chance = Chance(seed: seed) }
    session.profilesUnchanged = true
    session.progress = { terminal.show($0) }
    terminal.announce(
      "\(base.version) → \(head.version): \(Format.number(session.rows.count, "configuration")), at most \(Terminal.duration(session.seconds)) of times"
    )
    let comparison = await session.run()
    try Task.checkCancellation()
    terminal.finish()
    return comparison
  }
}
