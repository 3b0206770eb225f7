import Foundation
import PacerBench
import Testing

@testable import BenchModel
@testable import BenchReport
@testable import BenchRunner
@testable import BenchStatistics
@testable import BenchWorker

@Suite struct DocumentTests {
  private var document: Document {
    var document = Document("A <title> & `code`")
    document.text("Some `a < b` text.")
    document.note("doubt.")
    document.heading("Part")
    document.table(
      Table(
        ["name", "number"], left: 1,
        [
          Table.Row([Table.Field("a|b"), Table.Field("10 ms", key: 10e6)], tags: ["model": "m"]),
          Table.Row([Table.Field("c"), Table.Field("900 µs", key: 9e5)], tags: ["model": "n"]),
        ]))
    document.code("run it")
    return document
  }

  @Test func `as Markdown, columns line up`() {
    #expect(
      document.markdown == """
        # A <title> & `code`

        Some `a < b` text.

        > Note: doubt.

        ## Part

        | name | number |
        | ---- | -----: |
        | a\\|b |  10 ms |
        | c    | 900 µs |

        ```sh
        run it
        ```

        """)
  }

  @Test func `as a page, everything is escaped and sorted by its number`() {
    let page = document.html
    #expect(page.contains("<h1>A &lt;title&gt; &amp; <code>code</code></h1>"))
    #expect(page.contains("<p>Some <code>a &lt; b</code> text.</p>"))
    #expect(page.contains("<tr data-model=\"m\"><th scope=\"row\">a|b</th>"))
    #expect(page.contains("<td data-key=\"10000000.0\" class=\"figure\" data-label=\"number\">10 ms</td>"))
    #expect(!page.contains("http"), "a page needs nothing from elsewhere")
  }

  @Test func `a few bars that are much longer are cut, and others are not`() {
    #expect(SVG.limit(of: [1, 1.1, 1.2, 9]) == 1.2 && SVG.limit(of: [1, 2, 3, 4]) == 4)
    #expect(SVG.limit(of: [0, 0, 0, 500]) == 500 && SVG.limit(of: [3]) == 3)
    // Half of them are no outliers.
    #expect(SVG.limit(of: [1, 1, 9, 9]) == 9)
    #expect(SVG.limit(of: [50, 50, 98, 106, 106, 106, 158, 38_659]) == 158)
  }

  @Test func `rows fit the terminal, whatever is in them`() {
    var rows = KnownResult.file([[], ["freeze"], KnownResult.passes]) { _ in 1 }.rows
    (rows[1].status, rows[1].reason) = (.failed, String(repeating: "a long reason ", count: 20))
    for width in [60, 80, 120] {
      let table = TerminalTable(rows, KnownResult.catalog, width: width)
      let lines = table.heading("mobilenet-v2") + rows.flatMap { table.lines($0) }
      #expect(lines.allSatisfy { $0.count <= width }, "\(lines)")
      #expect(lines.count > rows.count + 3 && table.lines(rows[1], isWhole: false).count == 1)
    }
  }

  @Test func `ticks are round and reach the end`() {
    #expect(SVG.ticks(to: 1).map { ($0 * 10).rounded() } == [0, 2, 4, 6, 8, 10])
    #expect(SVG.ticks(to: 37).last! >= 37 && SVG.ticks(to: 0) == [0])
  }
}

@Suite struct ReportFormatTests {
  private var file: Record {
    var record = KnownResult.file([[], ["freeze"]]) { $0.isEmpty ? 1 : 0.5 }
    for index in record.rows.indices {
      record.rows[index].metrics = ["heap-allocations": 7, "heap-bytes": 512]
      record.rows[index].runs = [1_000_000, 2_000_000].enumerated().map { number, latency in
        Run(
          number: number, partner: nil, round: 0, at: 0, slicesNs: [[latency]], sliceMediansNs: [Double(latency)],
          timed: 1, metrics: [:])
      }
    }
    return record
  }

  @Test func `benchstat reads a line per process`() {
    let lines = BenchstatReport().render(file, KnownResult.catalog).split(separator: "\n")
    #expect(lines.contains("Benchmarkmobilenet-v2/no_passes 1 1000000 ns/op 512 B/op 7 allocs/op"))
    #expect(lines.count { $0.hasPrefix("Benchmarkmobilenet-v2/freeze_alone ") } == 2)
  }

  @Test func `github-action-benchmark gets ratios and counts, no times`() throws {
    struct Entry: Decodable, Equatable {
      var name: String
      var unit: String
      var value: Double
    }
    let text = try GitHubActionBenchmarkReport().render(file, KnownResult.catalog)
    let entries = try JSONDecoder().decode([Entry].self, from: Data(text.utf8))
    #expect(entries.contains(Entry(name: "mobilenet-v2: no passes, heap-allocations", unit: "calls", value: 7)))
    let ratio = try #require(entries.first { $0.unit == "× no passes" })
    #expect(ratio.name == "mobilenet-v2: freeze alone" && abs(ratio.value - 0.5) < 1e-6)
  }

  @Test func `CSV has a field for every heading`() {
    let lines = CSVReport().render(file, KnownResult.catalog).split(separator: "\n")
    let counts = lines.map { line in
      // Labels are the only quoted fields, and have commas.
      line.replacing(#/"[^"]*"/#, with: "").count { $0 == "," }
    }
    #expect(Set(counts).count == 1 && lines.count == 3)
  }
}

@Suite struct ProfileTests {
  private var profile: Profile {
    var profile = Profile(
      version: "1", command: "c", configuration: Configuration(model: "resnet-18"), label: "no passes",
      environment: .current(processor: "P", isa: "avx2", git: "1"),
      plain: Estimate(geometric: [100_000, 100_000, 100_000]), profiled: Estimate(geometric: [101_000, 101_000]))
    profile.environment.processors = 2
    func node(_ name: String, _ op: String, _ kernel: String, _ time: Double, macs: Int) -> Profile.Node {
      Profile.Node(
        name: name, op: op, kernel: kernel, time: Estimate(geometric: [Double](repeating: time, count: 5)), macs: macs,
        bytes: 1000,
        allocations: 1)
    }
    profile.nodes = [
      node("conv", "conv2d", "depthwise-nchw-avx2", 70_000, macs: 7000),
      node("norm", "batch_norm", "batch-norm", 29_000, macs: 0),
    ]
    profile.peaks = Peaks(
      isa: "avx2", threads: 1, arithmetic: ["fp32": 1e12], memory: [.init(name: "memory", bytes: 1, rate: 1e9)])
    profile.trace = .init(
      spans: [.init(node: 0, thread: 0, start: 0, end: 70_000), .init(node: 0, thread: 1, start: 10, end: 60_000)],
      liveBytes: [64])
    return profile
  }

  @Test func `nodes sum to the whole, kinds have shares, advice names the flag`() {
    #expect(abs(profile.coverage - 0.99) < 1e-9 && abs(profile.cost - 0.01) < 1e-9)
    #expect(profile.kinds.map(\.name) == ["depthwise conv2d", "batch_norm"])
    let advice = profile.advice.joined(separator: " ")
    #expect(advice.contains("bound by memory") && advice.contains("--passes all") && advice.contains("--threads 2"))
    #expect(profile.report(isWhole: true).markdown.contains("99.0 % of it"))
    #expect(profile.csv.split(separator: "\n").count == 3)
  }

  @Test func `the trace is what viewers of Chrome's trace events read`() throws {
    struct File: Decodable {
      struct Event: Decodable {
        var name: String
        var ph: String
        var pid: Int
        var tid: Int
        var ts: Double?
        var dur: Double?
      }
      var traceEvents: [Event]
    }
    let events = try JSONDecoder().decode(File.self, from: profile.chromeTrace).traceEvents
    let spans = events.filter { $0.ph == "X" }
    #expect(spans.map(\.tid) == [0, 1] && spans[0].name == "conv" && spans[0].dur == 70)
    #expect(spans.allSatisfy { $0.ts != nil } && events.contains { $0.ph == "C" && $0.name == "tensors in use" })
    #expect(events.filter { $0.ph == "M" }.map(\.name) == ["process_name", "thread_name", "thread_name"])
  }

  @Test func `two profiles are joined by node`() {
    var other = profile
    other.nodes[1].time = Estimate(geometric: [Double](repeating: 14_500, count: 5))
    other.nodes[0].kernel = "depthwise-nhwc-avx2"
    let text = Profile.difference(profile, other).markdown.replacing(#/ +/#, with: " ")
    let row = "| conv | conv2d | 70.0 µs | 70.0 µs | ~ | depthwise-nchw-avx2 → depthwise-nhwc-avx2 |"
    #expect(text.contains(row), "\(text)")
    #expect(text.contains("-50"))
  }
}

@Suite struct KernelSurveyTests {
  private var survey: KernelSurvey {
    let peaks = Peaks(
      isa: "avx2", threads: 1, arithmetic: ["fp32": 1e11],
      memory: [.init(name: "L1", bytes: 1000, rate: 1e11), .init(name: "memory", bytes: 1e6, rate: 1e10)])
    var survey = KernelSurvey(
      version: "1", command: "c", environment: .current(processor: "P", isa: "avx2", git: "1"), peaks: peaks)
    survey.kernels = [
      .init(
        model: "resnet-18", node: "conv", kernel: "conv-nhwc", shapes: "1x3x8x8 ∗ 4x3x3x3 → 1x4x6x6", count: 2,
        time: Estimate(geometric: [40_000, 40_000, 40_000]), macs: 1_000_000, bytes: 800, arithmeticLimit: 20_000,
        memoryLimit: 8),
      .init(
        model: "resnet-18", node: "pool", kernel: "pool-nhwc", shapes: "1x4x6x6 → 1x4x3x3", count: 1,
        time: Estimate(geometric: [10_000, 10_000, 10_000]), macs: 0, bytes: 50_000, arithmeticLimit: 0,
        memoryLimit: 5_000),
    ]
    return survey
  }

  @Test func `a kernel has lost what is over its nearer limit, times the nodes that run it`() {
    #expect(survey.kernels.map { $0.lost.rounded() } == [40_000, 5_000])
    #expect(survey.peaks.memory(holding: 999)?.name == "L1" && survey.peaks.memory(holding: 1e9)?.name == "memory")
    let text = survey.report.markdown.replacing(#/ +/#, with: " ")
    #expect(
      text.contains(
        "| conv | conv-nhwc | 1x3x8x8 ∗ 4x3x3x3 → 1x4x6x6 | 2 | 40.0 µs | ±0.0% | 50.0 | 50% | 0.02 | 0% | 40.0 µs |"),
      "\(text)")
    #expect(
      text.contains("| pool | pool-nhwc | 1x4x6x6 → 1x4x3x3 | 1 | 10.0 µs | ±0.0% | – | – | 5.00 | 50% | 5.00 µs |"))
    #expect(text.contains("resnet-18: all kernels together take 90.0 µs, of which 45.0 µs are lost."))
  }
}

@Suite struct PeerFindingTests {
  @Test func `Pacer is set beside each other engine on as many threads, and a winner is named only where it won`()
    throws
  {
    let yaml = """
      compares: [engine, passes, allocator]
      configurations:
      - {model: resnet-18, passes: all, threads: [1, 2]}
      - {model: resnet-18, engine: [slow, quick, mnn], passes: none, threads: [1, 2]}
      """
    func file(_ ratios: [String: (Double, Int)]) throws -> Record {
      let plan = try PacerBench.Suite.parse(yaml, file: "t.yaml", .standard).plan(.standard)
      var record = RecordMaker(plan, suite: "peers").record()
      for index in record.rows.indices {
        record.rows[index].status = .measured
        record.rows[index].ratio = ratios[record.rows[index].label].map { ratio, count in
          Estimate(geometric: (0..<count).map { ratio * exp(0.01 * Double($0 % 3 - 1)) })
        }
      }
      return record
    }
    let sure = try file([
      "slow": (2, 12), "quick": (1.25, 12), "mnn": (1.5, 12), "slow, 2 threads": (0.5, 12),
      "quick, 2 threads": (1.001, 12),
    ])
    let found = PeerFinding.all(in: sure)
    #expect(found.map(\.pacer.label) == ["pacer, all passes", "pacer, all passes, 2 threads"])
    #expect(found.map(\.beatsAll) == [true, false])
    let words = ResultTable.conclusions(sure, .standard).joined(separator: " ")
    #expect(words.contains("resnet-18, pacer, all passes: faster than "), "\(words)")
    #expect(
      words.contains("slower than slow, 2 threads 2.00×") && words.contains("against quick, 2 threads not significant"))
    #expect(words.components(separatedBy: "every other engine").count == 2)
    // Of a set without the engine that may be the fastest nothing is said to be faster than all.
    var without = found[0]
    without.rivals.removeAll { $0.configuration[Axes.engine] == PeerFinding.indispensable }
    #expect(without.beatsAll && without.rivals.count == 2 && !without.isFastest && found[0].isFastest)
    // Four pairs decide nothing, and seven are not enough for a claim against all.
    let few = try file(["slow": (2, 4), "quick": (1.25, 4)])
    #expect(
      ResultTable.conclusions(few, .standard).joined().contains(
        "against quick not resolved (4 pairs), slow not resolved (4 pairs)"))
    let seven = try file(["slow": (2, 7), "quick": (1.25, 7)])
    let claims = ResultTable.conclusions(seven, .standard).joined()
    #expect(claims.contains("faster than") && !claims.contains("every other"))
  }
}

@Suite struct DoctorTests {
  @Test func `what disturbs has advice, what cannot be read says so`() {
    var machine = MachineDescription.current(processor: "P", isa: "avx2", git: "1")
    (machine.governor, machine.smt, machine.steal, machine.quota) = ("powersave", "on", 0.05, "1.50")
    let facts = Doctor.facts(machine, .standard)
    for name in ["frequency governor", "SMT", "steal time", "CPU quota"] {
      #expect(facts.first { $0.name == name }?.advice != nil, "\(name)")
    }
    (machine.governor, machine.steal) = ("unavailable", nil)
    let others = Doctor.facts(machine, .standard)
    #expect(others.first { $0.name == "steal time" }?.value == "unavailable")
    #expect(others.first { $0.name == "frequency governor" }?.advice == nil)
    #expect(others.contains { $0.name == "vulkan" })
  }
}

@Suite struct OpTableTests {
  @Test func `every op is fast on the processor in both formats, and correct in the oracle`() throws {
    let table = try OpTable(Runtime.standard, isa: "sse2")
    #expect(!table.hasWrong)
    let fast = table.entries.filter { $0.column.hasPrefix("cpu, ") }
    #expect(Set(fast.map(\.column)) == ["cpu, nchw, fp32", "cpu, nhwc, fp32"])
    // Blocks are made behind channels-last alone.
    #expect(fast.allSatisfy { $0.correct == $0.cases })
    let slow = fast.filter { $0.onReference > 0 }
    #expect(
      Set(slow.map { "\($0.op) \($0.column) \($0.words)" }) == [
        "depthwise_block cpu, nchw, fp32 reference (22)"
      ])
    #expect(table.entries.contains { $0.column.hasPrefix("metal") && $0.words.hasPrefix("unsupported") })
  }
}
