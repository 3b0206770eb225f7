import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer

struct GateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gate", abstract: "Decide whether a change made anything worse.",
    discussion: """
      bench-suite gate                  counts against the committed baseline, times against the merge base
      bench-suite gate HEAD~1 --strict  another base; changed identities and unresolved times fail too
      bench-suite gate --exact-only     counts alone: nothing is built, no times are taken
      bench-suite gate --accept         make what is counted now the baseline
      bench-suite gate --base-worker 'old/engine --serve' --head-worker 'new/engine --serve'
      bench-suite gate --self-test      how often the gate is right on this machine

      Tier 0 counts: allocations, bytes, arena, weights, accuracy, and instructions where valgrind is installed. Worse
      is REGRESSION, better IMPROVEMENT; what a configuration is (graph, kernels, output) is CHANGED. Tier 1 times pairs of fresh
      processes, interleaved, until each configuration is shown slower by more than the margin or not slower by the target;
      both stand in Suites/gate.yaml.

      Exit status: 0 pass (unresolved times pass with a warning), 1 the tool failed, 2 regression, 3 invalid (an output
      is wrong, or the control moved), 4 improvement (--report-improvement), 5 no data, 6 unresolved (--strict).
      """)

  @Argument(help: "A git revision to take times against (default: the merge base).")
  var base: String?
  @Option(help: "Suite: a name under Suites/ or a YAML file.")
  var suite = "gate"
  @Flag(help: "Count only.")
  var exactOnly = false
  @Flag(help: "Make what was counted the baseline, if nothing else failed.")
  var accept = false
  @Flag(help: "Changed identities and unresolved times fail too.")
  var strict = false
  @Flag(help: "Exit with 4 where something got better and nothing worse.")
  var reportImprovement = false
  @Option(help: "Seconds for the times (default: the suite's).", transform: Values.seconds)
  var timeBudget: Double?
  @Option(
    help: "Instead of a revision: a command that speaks the worker protocol; quotes as in a shell.",
    transform: Values.command)
  var baseWorker: [String] = []
  @Option(help: "Instead of the working tree: a command that speaks the worker protocol.", transform: Values.command)
  var headWorker: [String] = []
  @Option(
    help: "A command before the workers that count, such as 'qemu-x86_64 -cpu Nehalem'.", transform: Values.command)
  var workerPrefix: [String] = []
  @Option(help: "Make head slower by this share, such as 3%, to see what the gate finds.")
  var inject: String?
  @Option(help: "The timed configuration to make slower, by number from 1 (default: all).")
  var injectIn: Int?
  @Flag(help: "Try the gate on differences that are known, and print how often it was right.")
  var selfTest = false
  @Option(help: "With --self-test: gates of each kind (default: 5).", transform: Values.processes)
  var gates: Int?
  @Option(help: "With --self-test: which of same, reordered, harmless, slower, muchSlower; a comma list.")
  var trials: String?
  @Option(help: "File to write as JUnit XML.")
  var junit: String?
  @Option(help: "File to write: a page (.html), JSON (.json), or Markdown.")
  var output: String?
  @Flag(help: "Print JSON instead of Markdown.")
  var json = false

  func validate() throws {
    if baseWorker.isEmpty != headWorker.isEmpty {
      throw ValidationError("--base-worker and --head-worker go together")
    }
    if !baseWorker.isEmpty && (base != nil || accept || exactOnly || selfTest) {
      throw ValidationError("two workers are only timed and counted against each other: leave out the rest")
    }
    if let inject, Self.share(inject) == nil {
      throw ValidationError("--inject needs a share such as 3%, not \(inject)")
    }
    if let output { _ = try OutputName(output, ["md", "html", "json"]) }
    if let junit { _ = try OutputName(junit, ["xml"]) }
    if let junit, let output,
      URL(fileURLWithPath: junit).standardizedFileURL == URL(fileURLWithPath: output).standardizedFileURL
    {
      throw ValidationError("--junit and --output name the same file")
    }
    if exactOnly && (base != nil || inject != nil || timeBudget != nil) {
      throw ValidationError("--exact-only takes no times: leave out the revision, --inject and --time-budget")
    }
    if injectIn != nil && inject == nil { throw ValidationError("--inject-in goes with --inject") }
    if let injectIn, injectIn < 1 { throw ValidationError("--inject-in is a number from 1") }
    if selfTest && (base != nil || inject != nil || accept || exactOnly || junit != nil || output != nil || json) {
      throw ValidationError("--self-test goes with --suite, --time-budget, --gates and --trials only")
    }
    if !selfTest && (trials != nil || gates != nil) {
      throw ValidationError("--trials and --gates go with --self-test")
    }
  }

  func run() async throws {
    let status = try await userFacing {
      let terminal = Terminal(isQuiet: json)
      let loaded = try GateSuite.load(suite, in: suitesFolders, catalog)
      if selfTest { return try await tryItself(loaded, terminal) }
      let (result, changed) = try await untilInterrupted { try await judge(loaded, terminal) }
      try write(result)
      if let changed { await offer(changed, terminal) }
      return result.exitStatus
    }
    if status != 0 { throw ExitCode(status) }
  }

  // MARK: The gate

  private func judge(
    _ suite: GateSuite, _ terminal: Terminal
  ) async throws -> (result: GateResult, changed: Baseline?) {
    let watch = Stopwatch()
    var result = GateResult(
      version: await currentVersion().description,
      policy: .init(isStrict: strict, reportsImprovement: reportImprovement))
    let sides = try await sides(&result, terminal)
    var counted: [Row] = []
    if baseWorker.isEmpty { counted = try await count(suite, sides?.head.workers ?? .standard, &result, terminal) }
    if let sides {
      let session = try session(suite, sides, terminal)
      terminal.announce(
        "timing \(Format.number(session.rows.count, "configuration")) of \(sides.base.version) and \(sides.head.version), at most "
          + Terminal.duration(session.seconds))
      result.comparison = await session.run()
      try Task.checkCancellation()
      terminal.finish()
    }
    let changed = try await settle(suite, counted, &result, terminal)
    result.elapsed = watch.elapsed
    return (result, changed)
  }

  /// The two programs to time; nil where there are none, with the reason in the result.
  private func sides(
    _ result: inout GateResult, _ terminal: Terminal
  ) async throws -> (base: SideBySide.Side, head: SideBySide.Side)? {
    if !baseWorker.isEmpty { return (foreign(baseWorker), foreign(headWorker)) }
    if exactOnly { return nil }
    let builder = VersionSource.builder(terminal)
    do {
      let revision = if let base { base } else { try await VersionSource.repository.mergeBase() }
      return (try await VersionSource.revision(revision, builder), try await VersionSource.workingTree(builder))
    } catch let error as NothingToCompare {
      result.note = error.description
    } catch let error as UserError where base == nil {
      result.timingProblem = error.description
    }
    return nil
  }

  /// Any engine that speaks the protocol, for every configuration whatever its `engine:` says.
  private func foreign(_ words: [String]) -> SideBySide.Side {
    var workers = Workers.standard
    workers.own = WorkerCommand(words[0], Array(words.dropFirst()))
    // What is right is said by neither of the two: `references` stay the engines themselves.
    workers.peers = workers.peers.mapValues { _ in workers.own }
    workers.exportsForOwn = true
    return SideBySide.Side(version: ShellWords.join(words), workers: workers)
  }

  private func session(
    _ suite: GateSuite, _ sides: (base: SideBySide.Side, head: SideBySide.Side), _ terminal: Terminal
  ) throws -> SideBySide {
    var session = SideBySide(
      base: sides.base, head: sides.head, catalog: catalog, rows: try GateSuite.rows(suite.timed, catalog),
      oracle: Workers.ownWorker)
    session.rule = suite.rule
    session.metrics = suite.metrics
    session.seconds = timeBudget ?? suite.budget
    session.progress = { terminal.show($0) }
    if let share = inject.flatMap(Self.share) {
      if let injectIn, !session.rows.indices.contains(injectIn - 1) {
        throw UserError("--inject-in must be 1 to \(session.rows.count)")
      }
      let configurations = injectIn.map { [$0 - 1] } ?? Array(session.rows.indices)
      session.slowdown = Dictionary(uniqueKeysWithValues: configurations.map { ($0, share) })
    }
    return session
  }

  static func share(_ text: String) -> Double? {
    let number = text.hasSuffix("%") ? Double(text.dropLast()).map { $0 / 100 } : Double(text)
    return number.flatMap { $0 >= 0 && $0 <= 10 ? $0 : nil }
  }

  // MARK: Tier 0

  private var baselineURL: URL { suitesFolder.appendingPathComponent("baselines/\(baselineName).json") }
  /// The suite's name, or its place in the project: suites of one name in two folders have two baselines.
  private var baselineName: String {
    let url = URL(fileURLWithPath: suite)
    guard ["yaml", "yml"].contains(url.pathExtension) else { return suite }
    let path = url.deletingPathExtension().resolvingSymlinksInPath().path
    let project = projectFolder.resolvingSymlinksInPath().path + "/"
    guard path.hasPrefix(project) else { return url.deletingPathExtension().lastPathComponent }
    let inside = path.dropFirst(project.count)
    return (inside.hasPrefix("Suites/") ? inside.dropFirst(7) : inside).replacingOccurrences(of: "/", with: "-")
  }
  private var toolchain: String {
    MachineDescription.current(processor: "", isa: "", git: "").toolchain
  }

  private func count(
    _ suite: GateSuite, _ own: Workers, _ result: inout GateResult, _ terminal: Terminal
  ) async throws -> [Row] {
    var workers = own
    workers.prefix = workerPrefix
    let gate = ExactGate(catalog: catalog, workers: workers, suite: suite) { label, done, total in
      terminal.show(.inspecting(label: label, done: done, of: total))
    }
    let counted = try await gate.count()
    try Task.checkCancellation()
    terminal.finish()
    result.rows = counted.map(GateResult.Counted.init)
    result.wrong = counted.lazy.compactMap(\.wrongOutput).first
    let baseline = try Baseline.read(baselineURL) ?? Baseline()
    result.differences = baseline.differences(to: counted, toolchain: toolchain, metrics: catalog.deterministicMetrics)
    return counted
  }

  /// Applies what was counted to the baseline where that was asked for, or gives the baseline that it would make.
  private func settle(
    _ suite: GateSuite, _ counted: [Row], _ result: inout GateResult, _ terminal: Terminal
  ) async throws -> Baseline? {
    guard !result.differences.isEmpty else { return nil }
    let old = try Baseline.read(baselineURL) ?? Baseline()
    let new = old.accepting(counted, toolchain: toolchain, metrics: catalog.deterministicMetrics)
    guard new != old else { return nil }
    guard accept else { return new }
    var others = result
    others.differences = result.differences.filter { $0.metric == "status" }
    guard [.pass, .unresolved, .improvement, .noData].contains(others.verdict), result.timingProblem == nil else {
      terminal.announce("nothing is accepted: \(others.verdict.rawValue) apart from what was counted")
      return nil
    }
    try new.write(to: baselineURL)
    result.isAccepted = true
    let dropped = Set(old.rows.keys).subtracting(counted.map(\.id)).count
    let words = dropped > 0 ? ", without \(Format.number(dropped, "configuration")) that the suite no longer has" : ""
    terminal.announce("accepted: \(displayPath(baselineURL))\(words)")
    return nil
  }

  /// Patches name files from the top of the repository, or of the project where there is none.
  private func pathInRepository(_ url: URL) async -> String {
    let top = ((try? await VersionSource.repository.top()) ?? projectFolder).resolvingSymlinksInPath().path + "/"
    // The file itself may not be there yet.
    let path = url.deletingLastPathComponent().resolvingSymlinksInPath().appendingPathComponent(url.lastPathComponent)
      .path
    return path.hasPrefix(top) ? String(path.dropFirst(top.count)) : url.lastPathComponent
  }

  /// Says how to accept what was counted. The verdict stands whether or not the patch can be kept.
  private func offer(_ changed: Baseline, _ terminal: Terminal) async {
    let file = projectFolder.appendingPathComponent("Results/local/gate.patch")
    do {
      let patch = try await changed.patch(of: baselineURL, named: await pathInRepository(baselineURL))
      let lines = patch.split(separator: "\n").count
      if lines <= 80 { terminal.announce(patch) }
      try writeFile(Data(patch.utf8), to: file)
      let top = try? await VersionSource.repository.top()
      let apply = ShellWords.join(["git"] + (top.map { ["-C", $0.path] } ?? []) + ["apply", file.path])
      terminal.announce("accept these \(lines) lines with: \(apply), or bench-suite gate --accept")
    } catch {
      terminal.announce("the patch that would accept this could not be kept: \(error)")
    }
  }

  // MARK: Reports

  private func write(_ result: GateResult) throws {
    let environment = ProcessInfo.processInfo.environment
    let metrics = try JSONEncoder.text(result.summary)
    if json {
      StandardOutput.print(metrics, terminator: "")
    } else {
      StandardOutput.print(result.report.markdown)
      if environment["GITHUB_ACTIONS"] == "true" { for line in result.annotations { StandardOutput.print(line) } }
    }
    // One that cannot be written does not keep the others from being.
    var failure: (any Error)?
    func attempt(_ body: () throws -> Void) { do { try body() } catch { failure = failure ?? error } }
    if let junit { attempt { try writeFile(Data(result.junit.utf8), to: URL(fileURLWithPath: junit)) } }
    if let output {
      attempt {
        let name = try OutputName(output, ["md", "html", "json"])
        let text = name.format == "json" ? metrics : result.report.text(as: name.format)
        try checkNoResult(at: name.url)
        try writeFile(Data(text.utf8), to: name.url)
      }
    }
    if let path = environment["GITHUB_STEP_SUMMARY"], !path.isEmpty {
      attempt { try appendToFile(Data(result.report.markdown.utf8), URL(fileURLWithPath: path)) }
    }
    guard let failure else { return }
    StandardError.write("bench-suite: \(failure)\n")
    // A report that is missing is a failure of the tool, unless there is something worse to say.
    if result.exitStatus == 0 { throw ExitCode(1) }
  }

  // MARK: Self-test

  private func tryItself(_ suite: GateSuite, _ terminal: Terminal) async throws -> Int32 {
    let kinds = try (trials?.split(separator: ",").map(String.init) ?? SelfTest.Kind.allCases.map(\.rawValue)).map {
      guard let kind = SelfTest.Kind(rawValue: $0) else {
        throw UnknownName(kind: "trial", name: $0, known: SelfTest.Kind.allCases.map(\.rawValue))
      }
      return kind
    }
    let builder = VersionSource.builder(terminal)
    let head = try await untilInterrupted { try await VersionSource.workingTree(builder) }
    let reordered =
      kinds.contains(.reordered)
      ? try await builder.reordered(scratch: VersionSource.scratchFolder, head.workers.chance) : nil
    let session = try session(suite, (head, head), terminal)
    terminal.announce("\(gates ?? 5) gates of each of \(kinds.count) kinds, \(session.rows.count) configurations each")
    let test = SelfTest(session, reordered: reordered) { trial in
      terminal.finish()
      terminal.announce(
        "\(trial.name): \(Format.number(trial.gates, "gate")), \(Format.number(trial.falsePositives, "false positive")), "
          + "\(trial.found)/\(trial.slowed) found")
    }
    let result = try await untilInterrupted(keepsPart: true) { try await test.run(kinds, gates: gates ?? 5) }
    terminal.finish()
    StandardOutput.print("\n" + SelfTestOutcome.markdown(result.trials))
    for trial in result.trials {
      for (reason, count) in trial.invalidReasons.sorted(by: { $0.key < $1.key }) {
        StandardOutput.print("invalid in \(count) of \(trial.gates) gates (\(trial.name)): \(reason)")
      }
    }
    let file = projectFolder.appendingPathComponent("Results/local/self-test.json")
    try writeFile(JSONEncoder.readable.encode(result), to: file)
    StandardOutput.print("written \(displayPath(file))\n")
    if kinds.contains(.same) { StandardOutput.print(await replays(result.recorded, suite.rule)) }
    return 0
  }

  private func replays(_ recorded: [[Double]], _ rule: TimeRule) async -> String {
    let pairs = recorded.reduce(0) { $0 + $1.count }
    var text = "\(pairs) recorded pairs of A/A, replayed in contiguous blocks:\n\n"
    for (name, shift, inOne) in [
      ("as they are", 0, false), ("1 % slower in every configuration", log(1.01), false),
      ("3 % slower in one configuration", log(1.03), true),
      ("5 % slower in one configuration", log(1.05), true),
    ] {
      let result = await SelfTest.replay(recorded, rule: rule, shift: shift, inOne: inOne)
      text +=
        "- \(name): \(result.regressions) of \(result.gates) gates with a regression, \(result.unresolved) unresolved\n"
    }
    return text
  }
}
