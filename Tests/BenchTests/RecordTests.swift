import Foundation
import PacerBench
import Testing

@testable import BenchModel
@testable import BenchReport
@testable import BenchRunner
@testable import BenchStatistics
@testable import BenchWorker

@Suite struct KeptRecordTests {
  private let catalog = Catalog.standard

  /// A record of two rows with five pairs.
  private func maker(_ change: (inout RecordMaker) -> Void = { _ in }) -> RecordMaker {
    var plain = Configuration(model: "resnet-18")
    plain[Axes.weights] = "/home/someone/weights.safetensors"
    var arena = plain
    arena[Axes.allocator] = .arena
    var maker = RecordMaker(
      [
        PlannedConfiguration(configuration: plain), PlannedConfiguration(configuration: arena, baseline: 0),
      ], suite: "s")
    maker.inspect(0)
    maker.inspect(1)
    for ratio in [0.5, 0.51, 0.49, 0.5, 0.505] { maker.pair(1, to: 0, ratio: ratio) }
    change(&maker)
    return maker
  }

  private func write(_ maker: RecordMaker, _ folder: URL) throws -> URL {
    let url = folder.appendingPathComponent("r.jsonl")
    try maker.lines.reduce(into: Data()) { $0 += try $1.data }.write(to: url)
    return url
  }

  private func ended(_ maker: RecordMaker, _ ending: Record.Ending? = nil) -> RecordMaker {
    var maker = maker
    maker.end(ending)
    return maker
  }

  @Test func `a record lies under version and alias, without paths, and is never overwritten`() async throws {
    try await inFolder { folder in
      let made = ended(maker())
      let source = try write(made, folder)
      let keeper = try RecordKeeper(made.record(), folder: folder.appendingPathComponent("kept"), host: nil, catalog)
      let url = try keeper.keep(source)
      #expect(url.path == folder.path + "/kept/1/p/s.jsonl")
      let text = try String(contentsOf: url, encoding: .utf8)
      #expect(!text.contains("/home") && text.contains("weights.safetensors") && !text.contains("slicesNs"))
      let (kept, whole) = (try Record.read(url, catalog), made.record())
      #expect(kept.rows.map(\.runs.count) == [5, 5] && !kept.isAsStored)
      // What tables show is what it was, to the digits that are kept.
      #expect(abs(kept.rows[1].ratio!.value / whole.rows[1].ratio!.value - 1) < 1e-3)
      #expect(abs(kept.rows[0].latency!.value / whole.rows[0].latency!.value - 1) < 1e-3)
      #expect(kept.rows[0].quantilesNs?.count == 5)
      #expect(throws: UserError.self) { try keeper.keep(source) }
      // Kept once more it stays what it is.
      let again = try RecordKeeper(kept, folder: folder.appendingPathComponent("again"), host: "x", catalog).keep(url)
      #expect(try Data(contentsOf: again) == Data(contentsOf: url))
    }
  }

  @Test(arguments: [100, 3_000_000_000, 20_000_000_000_000])
  func `runs of any length are kept to a thousandth`(latencyNs: Int) async throws {
    try await inFolder { folder in
      var made = maker { $0.lines.removeAll { if case .run = $0 { true } else { false } } }
      for ratio in [0.5, 0.51, 0.49, 0.5, 0.505] { made.pair(1, to: 0, ratio: ratio, latencyNs: latencyNs) }
      made.end()
      let keeper = try RecordKeeper(made.record(), folder: folder.appendingPathComponent("kept"), host: nil, catalog)
      let kept = try Record.read(keeper.keep(write(made, folder)), catalog)
      for (row, whole) in zip(kept.rows, made.record().rows) {
        #expect(abs(row.latency!.value / whole.latency!.value - 1) < 1e-3)
      }
    }
  }

  @Test func `an alias stands for one processor`() async throws {
    try await inFolder { folder in
      func keep(_ suite: String, on processor: String) throws -> URL {
        var made = ended(maker())
        made.lines = made.lines.map { line in
          guard case .start(var start) = line else { return line }
          (start.suite, start.environment.processor) = (suite, processor)
          return .start(start)
        }
        let keeper = try RecordKeeper(
          made.record(), folder: folder.appendingPathComponent("kept"), host: "desk", catalog)
        return try keeper.keep(write(made, folder))
      }
      _ = try keep("s", on: "Processor One")
      _ = try keep("t", on: "Processor One")
      #expect { try keep("u", on: "Processor Two") } throws: { "\($0)".contains("desk has records of Processor One") }
      #expect(!FileManager.default.fileExists(atPath: folder.path + "/kept/1/desk/u.jsonl"))
    }
  }

  @Test func `an interrupted run, one without times and two files of one name are refused and leave nothing`()
    async throws
  {
    try await inFolder { folder in
      func refuses(_ maker: RecordMaker) throws {
        let source = try write(maker, folder)
        let keeper = try RecordKeeper(maker.record(), folder: folder.appendingPathComponent("kept"), host: "x", catalog)
        #expect(throws: UserError.self) { try keeper.keep(source) }
      }
      try refuses(maker())
      try refuses(ended(maker(), .interrupted))
      try refuses(ended(maker { $0.lines.removeAll { if case .run = $0 { true } else { false } } }))
      var plans: [PlannedConfiguration] = []
      for folder in ["a", "b"] {
        var configuration = Configuration(model: "resnet-18")
        configuration[Axes.weights] = "/\(folder)/w.st"
        plans.append(PlannedConfiguration(configuration: configuration))
      }
      var twins = RecordMaker(plans)
      for row in 0..<2 {
        twins.inspect(row)
        twins.run(row, [[5]])
      }
      try refuses(ended(twins))
      #expect(!FileManager.default.fileExists(atPath: folder.appendingPathComponent("kept").path))
    }
  }

  @Test(arguments: ["", "My Host", "../up", "-x"])
  func `an alias that is no plain word is refused`(alias: String) {
    #expect(throws: UserError.self) {
      try RecordKeeper(ended(maker()).record(), folder: URL(fileURLWithPath: "/nonexistent"), host: alias, catalog)
    }
  }

  @Test(arguments: ["", "{}", "{\"schema\":\"other\"}", "[1,2", "{\"kind\":\"end\",\"elapsed\":1}\n"])
  func `what is no record is refused`(text: String) async throws {
    try await inFolder { folder in
      let url = folder.appendingPathComponent("r.jsonl")
      try Data(text.utf8).write(to: url)
      #expect(throws: UserError.self) { try Record.read(url, catalog) }
    }
  }

  @Test func `a line that cannot be right is named by its number and its field`() async throws {
    try await inFolder { folder in
      let good = ended(maker())
      for (change, words) in [
        ({ (line: inout RecordLine.RunLine) in line.row = 9 }, "line 4: field row is 9"),
        ({ $0.slicesNs = [[0]] }, "line 4: field slices"), ({ $0.slicesNs = nil }, "line 4: field slices is none"),
      ] as [((inout RecordLine.RunLine) -> Void, String)] {
        var bad = good
        guard case .run(var line) = bad.lines[3] else { return }
        change(&line)
        bad.lines[3] = .run(line)
        let url = try write(bad, folder)
        let error = #expect(throws: UserError.self) { try Record.read(url, catalog) }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
      }
    }
  }

  @Test func `no number of a kept line traps`() async throws {
    try await inFolder { folder in
      let maker = ended(maker())
      let kept = try RecordKeeper.compact(maker.lines, maker.record(), AxisTable())
      for (change, words) in [
        (
          { (line: inout RecordLine) in
            if case .summary(var summary) = line {
              summary.quantilesNs = [1]
              line = .summary(summary)
            }
          }, "quantilesNs"
        ),
        (
          {
            if case .runs(var runs) = $0 {
              runs.numbers[0] = 1 << 50
              $0 = .runs(runs)
            }
          }, "numbers"
        ),
        (
          {
            if case .runs(var runs) = $0 {
              runs.medians?[0][0] = 1 << 50
              $0 = .runs(runs)
            }
          }, "medians"
        ),
        (
          {
            if case .runs(var runs) = $0 {
              runs.unitNs = 0
              $0 = .runs(runs)
            }
          }, "unitNs"
        ),
        (
          {
            if case .runs(var runs) = $0 {
              runs.unitNs = 1 << 40
              runs.medians?[0][0] = 1 << 40
              $0 = .runs(runs)
            }
          }, "medians"
        ),
      ] as [((inout RecordLine) -> Void, String)] {
        var lines = kept
        for index in lines.indices { change(&lines[index]) }
        let url = folder.appendingPathComponent("bad.jsonl")
        try lines.reduce(into: Data()) { $0 += try $1.data }.write(to: url)
        let error = #expect(throws: UserError.self) { try Record.read(url, catalog) }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
      }
    }
  }

  /// What a stranger computes from the lines alone, in another way than the product does.
  static func ratios(_ data: Data) throws -> [Int: [Double]] {
    var medians: [Int: (row: Int, values: [Double])] = [:]
    var baselines: [Int: Int] = [:]
    var ratios: [Int: [Double]] = [:]
    let objects = try data.split(separator: UInt8(ascii: "\n")).map {
      try #require(try JSONSerialization.jsonObject(with: Data($0)) as? [String: Any])
    }
    for (row, entry) in (objects[0]["configurations"] as? [[String: Any]] ?? []).enumerated() {
      baselines[row] = entry["baseline"] as? Int
    }
    var partners: [(row: Int, number: Int, partner: Int)] = []
    for object in objects where object["kind"] as? String == "runs" {
      let row = try #require(object["row"] as? Int)
      let (steps, unit) = (try #require(object["medians"] as? [[Int]]), try #require(object["unitNs"] as? Int))
      let numbers = try #require(object["numbers"] as? [Int])
      let others = object["partners"] as? [Int] ?? numbers.map { _ in -1 }
      var number = 0
      for index in numbers.indices {
        number += numbers[index]
        var values: [Double] = []
        for step in steps[index] { values.append((values.last ?? 0) + Double(step * unit)) }
        medians[number] = (row, values)
        if others[index] != 0 { partners.append((row, number, number + others[index])) }
      }
    }
    for pair in partners where baselines[pair.row] != nil && medians[pair.partner]?.row == baselines[pair.row] {
      let slices = zip(medians[pair.number]!.values, medians[pair.partner]!.values).map { $0 / $1 }
      let logs = slices.indices.dropLast().filter { $0 % 2 == 0 }.map { log(slices[$0] * slices[$0 + 1]) / 2 }.sorted()
      let middle = logs.count / 2
      ratios[pair.row, default: []].append(
        exp(logs.count % 2 == 1 ? logs[middle] : (logs[middle - 1] + logs[middle]) / 2))
    }
    return ratios
  }

  @Test func `a kept record's command names no place of the machine`() {
    for (command, portable) in [
      ("bench-suite run peers --output /a/b.jsonl", "bench-suite run peers"),
      ("bench-suite run x --output=/a/b.jsonl --seed 7", "bench-suite run x --seed 7"),
      ("bench-suite measure /a/my.onnx --input=/b/x.npy", "bench-suite measure my.onnx --input=x.npy"),
      ("bench-suite run default", "bench-suite run default"),
    ] {
      #expect(RecordKeeper.portable(command) == portable)
    }
  }

  @Test func `a kept record's ratios follow from its lines alone`() throws {
    let results = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../Results")
      .standardized
    let library = try RecordLibrary(results, catalog)
    #expect(library.entries.count > 10)
    var checked = 0
    for entry in library.entries where !entry.file.isAsStored {
      let url = results.appendingPathComponent("\(entry.version)/\(entry.host)/\(entry.file.suite).jsonl")
      let data = try Data(contentsOf: url)
      // Design §3 says it of `default`; slow engines time longer, in more slices.
      #expect(data.count < (entry.file.suite == "default" ? 100 << 10 : 200 << 10), "\(url.path)")
      let ratios = try Self.ratios(data)
      for (index, row) in entry.file.rows.enumerated() {
        guard let ratio = row.ratio else { continue }
        let mean = exp(ratios[index]!.map { log($0) }.reduce(0, +) / Double(ratios[index]!.count))
        #expect(abs(ratio.value / mean - 1) < 1e-9 && ratio.count == ratios[index]!.count, "\(row.label)")
        checked += 1
      }
    }
    #expect(checked > 30)
  }

  @Test func `records of older versions are read, and their ratios are as stored`() async throws {
    let old = """
      {"schema":"pacer-result-2","version":"0.8.0","suite":"s","suiteDigest":"d","started":"2026","elapsed":3,
      "command":"c","environment":\(String(decoding: try JSONEncoder().encode(quietMachine), as: UTF8.self)),
      "idleResident":{"pacer":100},"passes":["a"],"isComplete":true,"cells":[
      {"cell":{"engine":"pacer","model":"m","backend":"cpu","kernels":"fast","passes":[],"precision":"fp32",
      "allocator":"system","threads":1,"isa":"baseline"},"label":"all off, baseline","status":"measured","figures":{"macs":5},
      "visits":[{"round":0,"at":0,"figures":{"peak-resident":150},
      "prepared":{"loadTime":1,"optimiseTime":2,"prepareTime":3,"passes":[],"kernels":{}},
      "sample":{"firstInference":1,"warmup":0,"warmupTime":0,"steady":true,"latencies":[10,30,20]}}]},
      {"cell":{"engine":"pacer","model":"m","backend":"cpu","kernels":"fast","passes":["a"],"precision":"fp32",
      "allocator":"arena","threads":2,"isa":"baseline","hugePages":false},"label":"x","status":"measured","figures":{},
      "baseline":"pacer/m/cpu/fast/passes=/fp32/system/1t/baseline",
      "visits":[{"round":0,"at":1,"ratio":0.5,"figures":{},
      "prepared":{"loadTime":1,"optimiseTime":2,"prepareTime":3,"passes":[],"kernels":{}},
      "sample":{"firstInference":1,"warmup":0,"warmupTime":0,"steady":true,"latencies":[11]}}]}]}
      """
    try await inFolder { folder in
      let url = folder.appendingPathComponent("old.json")
      try Data(old.utf8).write(to: url)
      let record = try Record.read(url, catalog)
      #expect(record.isAsStored && record.isComplete && record.rows.map(\.status) == [.measured, .measured])
      #expect(record.rows[1].id == "m/allocator=arena/huge-pages=off/isa=sse2/passes=a/threads=2")
      #expect(record.rows[1].baseline == record.rows[0].id && record.rows[1].ratio?.value == 0.5)
      #expect(record.rows[0].medianOfRuns("peak-resident") == 50 && abs(record.rows[0].latency!.value - 20) < 1e-9)
      #expect(record.document(catalog).markdown.contains("Ratios are as stored"))
      let kept = try RecordKeeper(record, folder: folder, host: "x", catalog).keep(url)
      let again = try Record.read(kept, catalog)
      #expect(
        again.isAsStored && again.rows[1].ratio?.value == 0.5 && again.rows[0].medianOfRuns("peak-resident") == 50)
    }
  }
}
