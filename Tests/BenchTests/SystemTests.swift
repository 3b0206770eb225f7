import Foundation
import PacerBench
import Testing

@testable import BenchModel
@testable import BenchReport
@testable import BenchRunner
@testable import BenchStatistics
@testable import BenchWorker

@Suite struct ShellWordsTests {
  @Test(arguments: [
    ("a  b\tc", ["a", "b", "c"]), ("'a b' \"c d\"", ["a b", "c d"]), ("a\\ b", ["a b"]), ("''", [""]),
    ("\"a\\\"b\" 'c\\d'", ["a\"b", "c\\d"]), ("x'y'z", ["xyz"]), ("\"\\d\"", ["\\d"]), ("", []),
  ])
  func `words are those of a shell`(text: String, words: [String]) throws {
    #expect(try ShellWords.split(text) == words)
    #expect(try ShellWords.split(ShellWords.join(words)) == words)
  }

  @Test(arguments: ["'a", "\"a", "a\\"]) func `what is not closed is a mistake`(text: String) {
    #expect(throws: UserError.self) { try ShellWords.split(text) }
  }
}

@Suite struct CPUQuotaTests {
  /// A system's files under a folder.
  private func quota(_ files: [String: String]) async throws -> CPUQuota? {
    var found: CPUQuota?
    try await inFolder { folder in
      for (path, text) in files {
        let url = folder.appendingPathComponent(path)
        try FileManager.default.createDirectory(
          at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data((text + "\n").utf8).write(to: url)
      }
      found = CPUQuota.current(root: folder.path)
    }
    return found
  }

  @Test func `in groups v2 the least of the process's own group and those above it counts`() async throws {
    let mount = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"
    let files = [
      "proc/self/cgroup": "0::/a/b", "proc/self/mountinfo": mount, "sys/fs/cgroup/a/cpu.max": "150000 100000",
      "sys/fs/cgroup/a/cpu.stat": "usage_usec 1\nnr_throttled 7", "sys/fs/cgroup/a/b/cpu.max": "max 100000",
    ]
    let nested = try await quota(files)
    #expect(nested?.processors == 1.5 && nested?.throttled == 7)
    let own = try await quota(files.merging(["sys/fs/cgroup/a/b/cpu.max": "50000 100000"]) { $1 })
    #expect(own?.processors == 0.5)
    let free = try await quota(files.merging(["sys/fs/cgroup/a/cpu.max": "max 100000"]) { $1 })
    #expect(free != nil && free?.processors == nil)
  }

  @Test func `in groups v1 the processor's hierarchy is looked at, also from inside a container`() async throws {
    let mounts = """
      31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
      32 23 0:28 /docker/x /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
      """
    let found = try await quota([
      "proc/self/cgroup": "4:memory:/docker/x\n3:cpu,cpuacct:/docker/x", "proc/self/mountinfo": mounts,
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
      "sys/fs/cgroup/cpu,cpuacct/cpu.stat": "nr_periods 9\nnr_throttled 3",
    ])
    #expect(found?.processors == 0.5 && found?.throttled == 3)
  }

  @Test func `without groups nothing is known`() async throws {
    #expect(try await quota(["proc/self/status": ""]) == nil)
  }
}

@Suite struct FileDigestTests {
  @Test func `what is written over, under the same name, size and time, is another file`() async throws {
    try await inFolder { folder in
      let url = folder.appendingPathComponent("w")
      let time = Date(timeIntervalSince1970: 1_000_000)
      var digests = Set<String>()
      for letter in ["a", "b"] {
        // A file of its own that takes the other's place, as `cp` and downloads make them.
        let other = folder.appendingPathComponent("new")
        try Data(letter.utf8).write(to: other)
        try FileManager.default.setAttributes([.modificationDate: time], ofItemAtPath: other.path)
        #expect(rename(other.path, url.path) == 0)
        digests.insert(FileDigest.of(url.path))
      }
      #expect(digests.count == 2 && FileDigest.of("/nonexistent") == "missing")
    }
  }
}

@Suite struct CheckedJSONTests {
  private struct Thing: Decodable { var list: [[String: Int]] }

  @Test(arguments: [
    (#"{"list":[{"a":1},{"b":1e300}]}"#, "field list[1].b is 1e+300"),
    (#"{"list":[{"a":"x"}]}"#, "field list[0].a is no Int"),
    (#"{}"#, "field list is missing"), ("{", "not JSON"), (#"{"list":[{"a":null}]}"#, "list[0].a"),
  ])
  func `what is wrong is named by its field`(text: String, words: String) {
    let error = #expect(throws: UserError.self) { try CheckedJSON.decode(Thing.self, from: Data(text.utf8)) }
    #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
  }
}

/// Whether an output is right, by workers that are scripts.
@Suite struct InspectorTests {
  private func worker(_ values: [Float]?, hangs: Bool = false) -> WorkerCommand {
    var text = echo(
      .hello(.init(engine: "fake", version: "1")), .prepared(.init(loadNs: 1, optimiseNs: 1, prepareNs: 1)))
    if let values { text += "; " + echo(.output(.init(shape: [values.count], values: values))) }
    return script(hangs ? "sleep 600" : text)
  }

  private func inspect(_ values: [Float]?, reference: WorkerCommand, within seconds: Double = 600) async throws -> Row {
    var result = Row(configuration: Configuration(model: "resnet-18"), label: "l")
    try await inFolder { folder in
      let workers = Workers(own: worker(values), cacheFolder: folder)
      result = await Inspector(catalog: .standard, workers: workers, oracle: reference).inspect(
        result, within: seconds)
    }
    return result
  }

  @Test func `a wrong output is INVALID, and shows no time`() async throws {
    let right = worker([1, 2, 3])
    #expect(try await inspect([1, 2, 3.000001], reference: right).status == .measured)
    for wrong in [[1, 2, 3.1], [1, 2], [.nan, 2, 3], [.infinity, 2, 3], [0, 0, 0]] as [[Float]] {
      let result = try await inspect(wrong, reference: right)
      #expect(result.status == .invalid && result.wrongOutput != nil, "\(wrong)")
      let row = ResultTable.row(result, .standard)
      #expect(row.count == 2 && row[1].text.hasPrefix("INVALID: "))
    }
    #expect(try await inspect(nil, reference: right).status == .invalid)
  }

  @Test func `without a reference, or with one that is none, an output is not checked, and nobody calls it wrong`()
    async throws
  {
    for reference in [worker([.nan, 2, 3]), worker(nil), WorkerCommand("/nonexistent", version: 2)] {
      let result = try await inspect([1, 2, 3], reference: reference)
      #expect(result.status == .unchecked && result.wrongOutput == nil)
      #expect(ResultTable.row(result, .standard)[1].text.hasPrefix("not checked: "))
    }
    // Where the time is spent, on a slow reference or before that, as on a machine that has other work.
    let late = try await inspect([1, 2, 3], reference: worker([], hangs: true), within: 2)
    #expect([.unchecked, .pending].contains(late.status) && late.wrongOutput == nil)
  }
}

/// What throws doubt on a row's times stands beside it.
@Suite struct RemarkTests {
  @Test func `a worker's notes, a debug build and other work mark a row, and are told of once`() {
    var result = Row(configuration: Configuration(model: "resnet-18"), label: "l")
    (result.status, result.accuracy) = (.measured, Accuracy([1], reference: [1]))
    result.runs = [0.1, 0.9, 0.5].enumerated().map { number, load in
      Run(
        number: number, partner: nil, round: 0, at: 0, slicesNs: [[5]], sliceMediansNs: [5], timed: 1,
        metrics: ["other-load": load])
    }
    result.add(notes: ["4 threads share 1 processor"])
    result.add(notes: ["4 threads share 1 processor"])
    #expect(ResultTable.row(result, .standard)[0].text == "l *")
    let notes = ResultTable.notes([result])
    #expect(notes.count == 2 && notes[0] == "* resnet-18, l: 4 threads share 1 processor.", "\(notes)")
    #expect(notes[1].contains("up to 0.9 processors busy during 2 of 3 runs"))
    #expect(ResultTable.notes(Array(repeating: result, count: 5)).count == 6)
    result.runs = []
    result.notes = []
    #expect(ResultTable.row(result, .standard)[0].text == "l" && ResultTable.notes([result]).isEmpty)
  }

  @Test func `an engine that says it is a debug build has a remark`() async throws {
    let text = echo(
      .hello(.init(engine: "fake", version: "1", isDebugBuild: true)),
      .prepared(.init(loadNs: 1, optimiseNs: 1, prepareNs: 1)), .note("it is warm"))
    var configuration = Configuration(model: "resnet-18")
    configuration[Axes.backend] = "null"
    let workers = Workers(own: script(text), cacheFolder: FileManager.default.temporaryDirectory)
    let counted = await Inspector(catalog: .standard, workers: workers).inspect(
      Row(configuration: configuration, label: "l"))
    #expect(counted.notes == ["it is warm", "pacer was built without optimisation"])
  }
}

/// What reports may say of how much.
@Suite struct EvidenceTests {
  @Test func `two runs carry no interval, and four resolve nothing`() {
    func estimate(_ count: Int) -> Estimate {
      Estimate(geometric: (0..<count).map { 0.5 * exp(0.001 * Double($0 % 2)) })
    }
    #expect(Format.spread(estimate(1)) == "?" && Format.spread(estimate(2)) == "?" && Format.spread(estimate(3)) != "?")
    for (count, finding) in [(2, Attribution.Effect.Finding.unknown), (4, .unknown), (5, .faster)] {
      #expect(Attribution.Effect(of: estimate(count), over: .one).finding == finding)
    }
    let wide = Estimate(geometric: [0.8, 0.9, 1, 1.1, 1.2])
    #expect(Attribution.Effect(of: wide, over: .one).words.hasPrefix("not significant ("))
    // An end that is not 1 is not written as 1.
    let close = Estimate(value: (0.9 * 0.9985).squareRoot(), low: 0.9, high: 0.9985, count: 20)
    #expect(!Attribution.Effect(of: close, over: .one).words.contains("(1.00–"))
  }

  @Test func `a run that was cut short says so first, and no winner that did not win`() throws {
    var file = KnownResult.file([[], KnownResult.passes]) { $0.isEmpty ? 1 : 0.5 }
    for index in file.rows.indices { file.rows[index].latency = Estimate(geometric: [2, 2, 2, 2, 2]) }
    var configuration = file.rows[1].configuration
    configuration[Axes.allocator] = .arena
    var arena = Row(configuration: configuration, label: "all passes, arena")
    (arena.status, arena.accuracy, arena.baseline) = (.measured, file.rows[1].accuracy, file.rows[0].id)
    (arena.latency, arena.ratio) = (file.rows[1].latency, file.rows[1].ratio)
    file.rows.append(arena)
    func conclusion() -> String { ResultTable.conclusions(file, KnownResult.catalog).joined() }
    #expect(
      conclusion().contains("2.000× faster than no passes") && conclusion().contains("arena not significant"),
      "\(conclusion())")
    file.rows[2].ratio = Estimate(geometric: [0.40, 0.4001, 0.3999, 0.4, 0.4])
    #expect(conclusion().contains("against that, arena 1.25"), "\(conclusion())")
    #expect(conclusion().hasSuffix(" faster."))
    file.rows[2].ratio = Estimate(geometric: [0.60, 0.6001, 0.5999, 0.6, 0.6])
    #expect(conclusion().contains("arena 1.2") && conclusion().hasSuffix(" slower."), "\(conclusion())")
    file.rows[1].ratio = Estimate(geometric: [0.2, 0.8, 1.4, 1, 0.9])
    #expect(conclusion().contains("not significantly different from no passes"))
    file.rows[1].ratio = Estimate(geometric: [0.5, 0.5])
    #expect(conclusion().contains("not resolved after 2 pairs"))
    (file.rows[2].status, file.rows[2].reason) = (.pending, "budget spent")
    try file.apply(.end(.init(ending: .budget, elapsed: 1)))
    file.rows[0].status = .measured
    file.rows[1].status = .measured
    let text = file.document(KnownResult.catalog).markdown
    let first = text.split(separator: "\n").dropFirst().first
    #expect(
      first?.contains("The budget was spent") == true
        && first?.contains("1 of 3 configurations was not measured") == true, "\(text.prefix(400))")
    try file.apply(.end(.init(ending: .interrupted, elapsed: 1)))
    #expect(ResultTable.shortfall(file)?.hasPrefix("Interrupted after ") == true)
  }
}
