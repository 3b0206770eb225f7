import Foundation
import Pacer
import Testing

@testable import BenchKit

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
    let error = await #expect(throws: UserError.self) { try await builder.program(commit: commit) }
    #expect(error?.description.contains("does not build") == true, "\(error?.description ?? "")")
    #expect(try await repository.git("worktree", "list").split(separator: "\n").count == 1)
    let left = try FileManager.default.contentsOfDirectory(atPath: folder.appendingPathComponent("cache").path)
    #expect(left.allSatisfy { $0.hasSuffix(".log") }, "\(left)")
  }
}

@Suite struct PairTests {
  /// A worker that answers every turn with one latency, in nanoseconds.
  private func worker(_ latency: Int, dies: Bool = false) -> WorkerCommand {
    let hello = #"{"kind":"hello","engine":"fake","version":"1","protocol":1,"takesTurns":true}"#
    let prepared =
      #"{"kind":"prepared","loadTime":1,"optimiseTime":2,"prepareTime":3,"passes":[],"kernels":{}}"#
    func sample(_ latencies: String) -> String {
      #"{"kind":"sample","firstInference":9,"warmup":3,"warmupTime":0,"steady":true,"latencies":["# + latencies + "]}"
    }
    // Without turns the end of the input is the sign; with turns, each line.
    let script = """
      read job; echo '\(hello)'; echo '\(prepared)'
      case $job in
      *'"takesTurns":true'*)
        read turn || exit 0; echo '\(sample(""))'
        \(dies ? "exit 3" : "")
        while read turn; do echo '\(sample("\(latency)"))'; done ;;
      *) echo '\(sample("\(latency)"))' ;;
      esac
      """
    return WorkerCommand("/bin/sh", ["-c", script])
  }

  private func measure(_ base: WorkerCommand, _ head: WorkerCommand, pairs: Int = 4) async -> [PairSeries] {
    let folder = FileManager.default.temporaryDirectory
    var cell = CellResult(cell: Cell(model: "mobilenet-v2"), label: "c")
    cell.hello = .init(engine: "fake", version: "1", protocol: 1, takesTurns: true)
    let runner = PairedRunner(
      base: Workers(own: base, cacheFolder: folder), head: Workers(own: head, cacheFolder: folder),
      control: base, cells: [(cell, cell)], seconds: 1e6)
    let fresh = await runner.pairs([(0, pairs)])
    let series = await runner.series
    #expect(fresh[0] == series[0].differences)
    return series
  }

  @Test func `two workers take turns, and each pair is a ratio`() async throws {
    let series = await measure(worker(1_000_000), worker(1_030_000))
    #expect(series[0].failure == nil && series[0].tookTurns && series[0].pairs.count == 4)
    #expect(series[0].differences.allSatisfy { abs($0 - log(1.03)) < 1e-12 })
    #expect(series[1].label == "control" && series[1].differences == [0, 0, 0, 0])
    // Each block of two pairs has both orders.
    #expect(series[0].pairs.count { $0.baseFirst } == 2)
  }

  @Test func `a worker that ends in the middle ends its cell, with the reason`() async throws {
    let series = await measure(worker(1_000_000), worker(1_000_000, dies: true))
    #expect(series[0].pairs.isEmpty && series[0].failure?.contains("head: the worker exited with status 3") == true)
    #expect(series[1].pairs.count == 4)
  }
}
