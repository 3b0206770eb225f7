import ArgumentParser
import Foundation
import Pacer

struct GateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gate", abstract: "Decide whether a change made anything worse.",
    discussion: """
      bench-suite gate                  counts against the committed baseline, times against the merge base
      bench-suite gate HEAD~1 --strict  another base; changed identities and unresolved times fail too
      bench-suite gate --exact-only     counts alone: nothing is built, no times are taken
      bench-suite gate --accept         make the figures of now the baseline
      bench-suite gate --base-worker 'old/engine --serve' --head-worker 'new/engine --serve'
      bench-suite gate --self-test      how often the gate is right on this machine

      Tier 0 counts: allocations, bytes, arena, weights, accuracy, and instructions where valgrind is installed. Worse
      is REGRESSION, better IMPROVEMENT; what a cell is (graph, kernels, output) is CHANGED. Tier 1 times pairs of fresh
      processes that take turns, until each cell is shown slower by more than the margin or not slower by the target;
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
  @Option(help: "Seconds for the times (default: the suite's).")
  var timeBudget: Double?
  @Option(help: "Instead of a revision: a command that speaks the worker protocol.")
  var baseWorker: String?
  @Option(help: "Instead of the working tree: a command that speaks the worker protocol.")
  var headWorker: String?
  @Option(help: "A command before the workers that count, such as 'qemu-x86_64 -cpu Nehalem'.")
  var workerPrefix: String?
  @Option(help: "Make head slower by this share, such as 3%, to see what the gate finds.")
  var inject: String?
  @Option(help: "The timed cell to make slower, by number from 1 (default: all).")
  var injectIn: Int?
  @Flag(help: "Try the gate on differences that are known, and print how often it was right.")
  var selfTest = false
  @Option(help: "With --self-test: gates of each kind.")
  var gates = 5
  @Option(help: "With --self-test: which of same, reordered, harmless, slower, muchSlower; a comma list.")
  var trials: String?
  @Option(help: "File to write as JUnit XML.")
  var junit: String?
  @Option(help: "File to write as Markdown.")
  var output: String?
  @Flag(help: "Print JSON instead of Markdown.")
  var json = false

  func validate() throws {
    if (baseWorker == nil) != (headWorker == nil) {
      throw ValidationError("--base-worker and --head-worker go together")
    }
    if baseWorker != nil && (base != nil || accept || exactOnly || selfTest) {
      throw ValidationError("two workers are only timed and counted against each other: leave out the rest")
    }
    if let inject, Self.share(inject) == nil {
      throw ValidationError("--inject needs a share such as 3%, not \(inject)")
    }
    if gates < 1 { throw ValidationError("--gates must be at least 1") }
  }

  func run() async throws {
    let status = try await userFacing {
      let terminal = Terminal(isQuiet: json)
      let loaded = try GateSuite.load(suite, in: suitesFolder)
      if selfTest { return try await tryItself(loaded, terminal) }
      let result = try await judge(loaded, terminal)
      try write(result)
      return result.exitStatus
    }
    if status != 0 { throw ExitCode(status) }
  }

  // MARK: The gate

  private func judge(_ suite: GateSuite, _ terminal: Terminal) async throws -> GateResult {
    let start = Date()
    var result = GateResult(
      version: await Version.current(release: pacerRelease).description,
      policy: .init(isStrict: strict, reportsImprovement: reportImprovement))
    let arms = try await arms(&result, terminal)
    var counted: [CellResult] = []
    if baseWorker == nil { counted = try await count(suite, arms?.head.workers ?? .standard, &result, terminal) }
    if let arms {
      let session = try session(suite, arms, terminal)
      terminal.announce(
        "timing \(session.cells.count) cells of \(arms.base.version) and \(arms.head.version), at most "
          + Terminal.duration(session.seconds))
      result.comparison = try await untilInterrupted { await session.run() }
      terminal.finish()
    }
    try await settle(suite, counted, &result, terminal)
    result.elapsed = -start.timeIntervalSinceNow
    return result
  }

  /// The two programs to time; nil where there are none, with the reason in the result.
  private func arms(
    _ result: inout GateResult, _ terminal: Terminal
  ) async throws -> (base: VersionSession.Arm, head: VersionSession.Arm)? {
    if let baseWorker, let headWorker { return (try foreign(baseWorker), try foreign(headWorker)) }
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

  /// Any engine that speaks the protocol, for every cell whatever its `engine:` says.
  private func foreign(_ command: String) throws -> VersionSession.Arm {
    let words = command.split(separator: " ").map(String.init)
    guard let first = words.first else { throw UserError("a worker is a command, not \"\(command)\"") }
    var workers = Workers.standard
    workers.own = WorkerCommand(first, Array(words.dropFirst()))
    workers.peers = workers.peers.mapValues { _ in workers.own }
    return VersionSession.Arm(version: command, workers: workers)
  }

  private func session(
    _ suite: GateSuite, _ arms: (base: VersionSession.Arm, head: VersionSession.Arm), _ terminal: Terminal
  ) throws -> VersionSession {
    var session = VersionSession(
      base: arms.base, head: arms.head, catalog: catalog, cells: try GateSuite.cells(suite.timed, catalog),
      oracle: WorkerCommand(ownPath, ["worker"]))
    session.rule = suite.rule
    session.seconds = timeBudget ?? suite.budget
    session.progress = { terminal.show($0) }
    if let share = inject.flatMap(Self.share) {
      if let injectIn, !session.cells.indices.contains(injectIn - 1) {
        throw UserError("--inject-in must be 1 to \(session.cells.count)")
      }
      let cells = injectIn.map { [$0 - 1] } ?? Array(session.cells.indices)
      session.slowdown = Dictionary(uniqueKeysWithValues: cells.map { ($0, share) })
    }
    return session
  }

  static func share(_ text: String) -> Double? {
    let number = text.hasSuffix("%") ? Double(text.dropLast()).map { $0 / 100 } : Double(text)
    return number.flatMap { $0 >= 0 && $0 <= 10 ? $0 : nil }
  }

  // MARK: Tier 0

  private var baselineURL: URL { suitesFolder.appendingPathComponent("baselines/\(baselineName).json") }
  private var baselineName: String {
    URL(fileURLWithPath: suite).lastPathComponent.replacingOccurrences(of: ".yaml", with: "")
  }
  private var toolchain: String {
    MachineDescription.current(processor: "", isa: "", git: "").toolchain
  }

  private func count(
    _ suite: GateSuite, _ own: Workers, _ result: inout GateResult, _ terminal: Terminal
  ) async throws -> [CellResult] {
    var workers = own
    workers.prefix = workerPrefix?.split(separator: " ").map(String.init) ?? []
    let gate = ExactGate(catalog: catalog, workers: workers, suite: suite) { label, done, total in
      terminal.show(.counting(label: label, done: done, of: total))
    }
    let counted = try await untilInterrupted { try await gate.count() }
    terminal.finish()
    result.counted = counted.count
    result.wrong = counted.lazy.compactMap(\.wrongOutput).first
    let baseline = try Baseline.read(baselineURL) ?? Baseline()
    result.differences = baseline.differences(to: counted, toolchain: toolchain, metrics: catalog.exactMetrics)
    return counted
  }

  /// Applies what was counted to the baseline where that was asked for, or prints the patch that would.
  private func settle(
    _ suite: GateSuite, _ counted: [CellResult], _ result: inout GateResult, _ terminal: Terminal
  ) async throws {
    guard !result.differences.isEmpty else { return }
    let old = try Baseline.read(baselineURL) ?? Baseline()
    let new = old.accepting(counted, toolchain: toolchain, metrics: catalog.exactMetrics)
    guard new != old else { return }
    guard accept else {
      let patch = try await new.patch(of: baselineURL, named: "Suites/baselines/\(baselineName).json")
      let file = projectFolder.appendingPathComponent("Results/local/gate.patch")
      try writeAtomically(Data(patch.utf8), to: file)
      let lines = patch.split(separator: "\n").count
      if lines <= 80 { terminal.announce(patch) }
      terminal.announce(
        "accept these \(lines) lines with: git apply \(displayPath(file)), or bench-suite gate --accept")
      return
    }
    var others = result
    others.differences = result.differences.filter { $0.metric == "status" }
    guard [.pass, .unresolved, .improvement, .noData].contains(others.verdict), result.timingProblem == nil else {
      terminal.announce("nothing is accepted: \(others.verdict.rawValue) apart from the figures")
      return
    }
    try new.write(to: baselineURL)
    result.isAccepted = true
    terminal.announce("accepted: \(displayPath(baselineURL))")
  }

  // MARK: Reports

  private func write(_ result: GateResult) throws {
    let environment = ProcessInfo.processInfo.environment
    if let junit { try writeAtomically(Data(result.junit.utf8), to: URL(fileURLWithPath: junit)) }
    if let output { try result.report.write(to: URL(fileURLWithPath: output)) }
    if let path = environment["GITHUB_STEP_SUMMARY"], !path.isEmpty {
      let file = URL(fileURLWithPath: path)
      let before = (try? Data(contentsOf: file)) ?? Data()
      try writeAtomically(before + Data(result.report.markdown.utf8), to: file)
    }
    if json {
      print(try JSONEncoder.text(result.figures), terminator: "")
    } else {
      print(result.report.markdown)
      if environment["GITHUB_ACTIONS"] == "true" { for line in result.annotations { print(line) } }
    }
  }

  // MARK: Self-test

  private func tryItself(_ suite: GateSuite, _ terminal: Terminal) async throws -> Int32 {
    let kinds = try (trials?.split(separator: ",").map(String.init) ?? SelfTest.Kind.allCases.map(\.rawValue)).map {
      guard let kind = SelfTest.Kind(rawValue: $0) else {
        throw UnknownName(kind: "trial", name: $0, known: SelfTest.Kind.allCases.map(\.rawValue))
      }
      return kind
    }
    let head = try await VersionSource.workingTree(VersionSource.builder(terminal))
    let session = try session(suite, (head, head), terminal)
    terminal.announce("\(gates) gates of each of \(kinds.count) kinds, \(session.cells.count) cells each")
    let test = SelfTest(session) { trial in
      terminal.finish()
      terminal.announce(
        "\(trial.name): \(trial.gates) gates, \(trial.alarms) alarms, \(trial.found)/\(trial.slowed) found")
    }
    let result = try await untilInterrupted(keepsPart: true) { try await test.run(kinds, gates: gates) }
    terminal.finish()
    print("\n" + SelfTest.markdown(result.trials))
    for trial in result.trials {
      for (reason, count) in trial.invalidReasons.sorted(by: { $0.key < $1.key }) {
        print("invalid in \(count) of \(trial.gates) gates (\(trial.name)): \(reason)")
      }
    }
    let file = projectFolder.appendingPathComponent("Results/local/self-test.json")
    try writeAtomically(JSONEncoder.readable.encode(result), to: file)
    print("figures \(displayPath(file))\n")
    if kinds.contains(.same) { print(await replays(result.recorded, suite.rule)) }
    return 0
  }

  private func replays(_ recorded: [[Double]], _ rule: TimeRule) async -> String {
    let pairs = recorded.reduce(0) { $0 + $1.count }
    var text = "\(pairs) recorded pairs of A/A, replayed in contiguous blocks:\n\n"
    for (name, shift, inOne) in [
      ("as they are", 0, false), ("1 % slower in every cell", log(1.01), false),
      ("3 % slower in one cell", log(1.03), true),
      ("5 % slower in one cell", log(1.05), true),
    ] {
      let result = await SelfTest.replay(recorded, rule: rule, shift: shift, inOne: inOne)
      text +=
        "- \(name): \(result.regressions) of \(result.gates) gates with a regression, \(result.unresolved) unresolved\n"
    }
    return text
  }
}
