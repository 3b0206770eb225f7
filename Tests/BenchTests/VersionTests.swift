import Foundation
import PacerBench
import Testing

@testable import BenchModel
@testable import BenchReport
@testable import BenchRunner
@testable import BenchStatistics
@testable import BenchWorker

@Suite struct BisectionTests {
  private let commits = (0..<13).map { "c\($0)" }

  /// Judges until there is nothing left to judge, and returns the suspects and how many were judged.
  private func search(_ judge: (Int) -> Bisection.Judgement) -> (suspects: [String], steps: Int) {
    var bisection = Bisection(commits)
    var steps = 0
    while let next = bisection.next {
      bisection.judge(next, judge(commits.firstIndex(of: next)!))
      steps += 1
    }
    return (bisection.suspects, steps)
  }

  @Test(arguments: 0..<13)
  func `the culprit is found wherever it is, in four steps`(culprit: Int) {
    let result = search { $0 >= culprit ? .bad : .good }
    #expect(result.suspects == ["c\(culprit)"] && result.steps <= 4)
  }

  @Test func `what cannot be judged stays a suspect`() {
    let result = search { $0 == 5 || $0 == 6 ? .skip : $0 >= 6 ? .bad : .good }
    #expect(result.suspects == ["c5", "c6", "c7"])
    #expect(search { _ in .skip }.suspects == commits)
    #expect(Bisection(["only"]).suspects == ["only"] && Bisection(["only"]).next == nil)
  }
}

@Suite struct RepositoryTests {
  /// A repository with commits a, b, c on main, and what is done to it after that.
  private func repository(_ script: String = "") throws -> (Repository, URL) {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let git = Process()
    git.executableURL = URL(fileURLWithPath: "/bin/sh")
    git.currentDirectoryURL = folder
    let commit = "git -c user.name=n -c user.email=e commit -qam"
    git.arguments = [
      "-ec",
      """
      git init -q -b main r && cd r
      for name in a b c; do echo $name > f; git add f; \(commit) $name; done
      \(script)
      """,
    ]
    // Whatever settings, signatures and hooks somebody has.
    git.environment = ProcessInfo.processInfo.environment.merging(
      ["GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"]
    ) { $1 }
    for name in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_PREFIX"] { git.environment?[name] = nil }
    try git.run()
    git.waitUntilExit()
    #expect(git.terminationStatus == 0)
    return (Repository(folder.appendingPathComponent("r")), folder)
  }

  @Test func `the merge base is where a branch left the trunk, changed or not`() async throws {
    let (repository, folder) = try repository(
      "git checkout -q -b topic HEAD~1; echo d > f; git -c user.name=n -c user.email=e commit -qam d")
    defer { try? FileManager.default.removeItem(at: folder) }
    #expect(try await repository.mergeBase() == repository.commit("main~1"))
    #expect(try await repository.commits(from: repository.commit("main~2"), to: repository.commit("main")).count == 2)
  }

  @Test func `on the trunk, changes are compared with HEAD, and without any there is nothing to compare`() async throws
  {
    let (repository, folder) = try repository()
    defer { try? FileManager.default.removeItem(at: folder) }
    let error = await #expect(throws: NothingToCompare.self) { try await repository.mergeBase() }
    #expect(error?.description.contains("HEAD~1") == true)
    try Data("x".utf8).write(to: repository.folder.appendingPathComponent("f"))
    #expect(try await repository.mergeBase() == repository.commit("HEAD"))
  }

  @Test func `a shallow clone is named, with what brings the rest`() async throws {
    let (repository, folder) = try repository("git clone -q --depth 1 file://$PWD ../shallow")
    defer { try? FileManager.default.removeItem(at: folder) }
    let shallow = Repository(folder.appendingPathComponent("shallow"))
    let error = await #expect(throws: UserError.self) { try await shallow.commit("HEAD~1") }
    #expect(error?.description.contains("fetch-depth: 0") == true)
    let other = await #expect(throws: UserError.self) { try await repository.commit("nonsense") }
    #expect(other?.description.contains("fetch-depth") == false)
  }

  @Test func `a base that does not build is an error with its log, and leaves no worktree`() async throws {
    let (repository, folder) = try repository()
    defer { try? FileManager.default.removeItem(at: folder) }
    let builder = VersionBuilder(
      repository, cache: folder.appendingPathComponent("cache"), configuration: "debug"
    ) { _ in }
    let commit = try await repository.commit("HEAD")
    let error = await #expect(throws: UserError.self) { try await builder.worker(commit: commit) }
    #expect(error?.description.contains("does not build") == true, "\(error?.description ?? "")")
    #expect(try await repository.git("worktree", "list").split(separator: "\n").count == 1)
    let left = try FileManager.default.contentsOfDirectory(atPath: folder.appendingPathComponent("cache").path)
    #expect(left.allSatisfy { $0.hasSuffix(".log") }, "\(left)")
  }
}

@Suite struct PairTests {
  /// A worker that answers every slice with one latency, in nanoseconds.
  private func worker(_ latency: Int, dies: Bool = false) -> WorkerCommand {
    let hello = WorkerLine.hello(.init(engine: "fake", version: "1", interleaves: true))
    let warmed = WorkerLine.warmed(.init(firstInferenceNs: 9, iterations: 3, timeNs: 0, steady: true))
    let sample = WorkerLine.sample(.init(latenciesNs: [latency]))
    // Alone the end of the input is the sign; interleaved, each line.
    return script(
      """
      read job; \(echo(hello, .prepared(.init(loadNs: 1, optimiseNs: 2, prepareNs: 3))))
      case $job in
      *'"interleaved":true'*)
        \(echo(.ready)); read slice || exit 0; \(echo(warmed))
        \(dies ? "exit 3" : "")
        while read slice; do \(echo(sample)); done
        \(echo(.metric(.init("cpu-time", Double(2 * latency)))));;
      *) \(echo(warmed, sample)) ;;
      esac
      """)
  }

  private func measure(_ base: WorkerCommand, _ head: WorkerCommand, pairs: Int = 4) async -> [PairSeries] {
    let folder = FileManager.default.temporaryDirectory
    var row = Row(configuration: Configuration(model: "mobilenet-v2"), label: "c")
    row.hello = .init(engine: "fake", version: "1", interleaves: true)
    let runner = PairedRunner(
      base: Workers(own: base, cacheFolder: folder), head: Workers(own: head, cacheFolder: folder),
      control: base, rows: [(row, row)], seconds: 1e6)
    await runner.measure([(0, pairs)])
    return await runner.series
  }

  @Test func `two workers are interleaved, and each pair is a ratio of all that both read`() async throws {
    let series = await measure(worker(1_000_000), worker(1_030_000))
    #expect(series[0].failure == nil && series[0].isInterleaved && series[0].pairs.count == 4)
    #expect(series[0].differences.allSatisfy { abs($0 - log(1.03)) < 1e-12 })
    let processor = try Catalog.standard.metric("cpu-time")
    #expect(series[0].differences(of: processor).allSatisfy { abs($0 - log(1.03)) < 1e-12 })
    #expect(series[0].differences(of: processor).count == 4)
    #expect(series[1].label == "control" && series[1].differences == [0, 0, 0, 0])
    // Each block of two pairs has both orders.
    #expect(series[0].pairs.count { $0.baseFirst } == 2)
  }

  @Test func `a worker that ends in the middle ends its row, with the reason`() async throws {
    let series = await measure(worker(1_000_000), worker(1_000_000, dies: true))
    #expect(series[0].pairs.isEmpty && series[0].failure?.contains("head: the worker exited with status 3") == true)
    #expect(series[1].pairs.count == 4)
  }
}

/// The whole of a comparison on an engine of scripted latencies.
@Suite struct SideBySideTests {
  private func compare(
    seed: UInt64 = 3, metrics: [Metric] = [latencyMetric], slowdown: [Int: Double] = [:]
  ) async throws -> (comparison: Comparison, log: [String]) {
    var result: (Comparison, [String])!
    try await inFolder { folder in
      let launcher = ScriptedLauncher(sigma: 0.01) { 1e6 * Double($0[Axes.threads] + 1) }
      let workers = Workers.scripted(launcher, in: folder, seed: seed)
      let group = ConfigurationGroup(choices: ["model": ["resnet-18"], "threads": ["1", "2"]], place: "test")
      var session = SideBySide(
        base: .init(version: "1", workers: workers), head: .init(version: "2", workers: workers), catalog: .standard,
        rows: try GateSuite.rows([group], .standard), oracle: workers.own)
      (session.metrics, session.slowdown, session.seconds) = (metrics, slowdown, 1e6)
      result = (await session.run(), launcher.log)
    }
    return result
  }

  @Test func `equal versions pass, a slower row is found, and the same seed replays it`() async throws {
    let same = try await compare()
    #expect(same.comparison.times.map(\.verdict) == [.pass, .pass] && same.comparison.invalid == nil)
    #expect(same.comparison.seed == 3)
    let slower = try await compare(slowdown: [1: 0.05])
    #expect(slower.comparison.times.map(\.verdict) == [.pass, .regression])
    let again = try await compare(slowdown: [1: 0.05])
    #expect(again.log == slower.log && again.log.count > 50)
    #expect(again.comparison.times[1].series.differences == slower.comparison.times[1].series.differences)
    #expect(try await compare(seed: 4, slowdown: [1: 0.05]).log != slower.log)
  }

  @Test func `other sampled metrics are decided on like latency, from the same pairs`() async throws {
    let processor = try GateSuite.sampled("cpu-time", .standard)
    let result = try await compare(metrics: [latencyMetric, processor], slowdown: [0: 0.05]).comparison
    #expect(result.times.map(\.metric) == ["latency", "cpu-time", "latency", "cpu-time"])
    // The scripted engine takes the same processor time whatever it does.
    #expect(result.times.map(\.verdict) == [.regression, .pass, .pass, .pass])
    #expect(result.report.markdown.contains("cpu-time"))
    #expect(throws: UnknownName.self) { try GateSuite.sampled("heap-bytes", .standard) }
  }
}
