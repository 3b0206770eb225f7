import Foundation
import PacerBench
import Testing

@testable import BenchModel
@testable import BenchReport
@testable import BenchRunner
@testable import BenchStatistics
@testable import BenchWorker

private let checkout = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent()

/// Runs a Python program; its status and what it printed.
private func python(_ program: String, _ arguments: [String]) throws -> (status: Int32, text: String) {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = ["python3", "-c", program] + arguments
  let pipe = Pipe()
  process.standardOutput = pipe
  process.standardError = pipe
  try process.run()
  let data = pipe.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  return (process.terminationStatus, String(decoding: data, as: UTF8.self))
}

private let hasValidator = (try? python("import jsonschema, yaml", []).status) == 0

/// The published schemas against what Pacer writes and reads.
@Suite(.enabled(if: hasValidator, "no JSON Schema validator (packages python3-jsonschema and python3-yaml)"))
struct SchemaTests {
  /// What a validator says about each document, by a schema of `Suites/schemas`.
  private func complaints(_ schema: String, _ documents: [Data]) throws -> [String] {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let files = try documents.enumerated().map { index, data in
      let file = folder.appendingPathComponent("\(index)").path
      try data.write(to: URL(fileURLWithPath: file))
      return file
    }
    let program = """
      import json, sys, jsonschema, yaml
      validator = jsonschema.Draft202012Validator(json.load(open(sys.argv[1])))
      jsonschema.Draft202012Validator.check_schema(validator.schema)
      for file in sys.argv[2:]:
          errors = list(validator.iter_errors(yaml.safe_load(open(file))))
          print("fits" if not errors else errors[0].message.replace("\\n", " ")[:400])
      """
    let path = checkout.appendingPathComponent("Suites/schemas/\(schema).schema.json").path
    let (status, text) = try python(program, [path] + files)
    try #require(status == 0, "\(text)")
    return text.split(separator: "\n").map(String.init)
  }

  @Test func `every suite fits its schema, and a misspelt one does not`() throws {
    let folder = checkout.appendingPathComponent("Suites")
    let suites = try Suite.names(in: folder).map { try Data(contentsOf: folder.appendingPathComponent($0 + ".yaml")) }
    let said = try complaints("suite", suites)
    #expect(said.count > 4 && said.allSatisfy { $0 == "fits" }, "\(said)")
    let wrong = ["configurations: []", "configurations:\n  - modell: x", "name: x", "budget: -1\ncells:\n  - model: x"]
    let errors = try complaints("suite", wrong.map { Data($0.utf8) })
    #expect(errors.count == 4 && errors.allSatisfy { $0 != "fits" }, "\(errors)")
  }

  @Test func `records fit their schema line by line, as they grow and as they are kept`() throws {
    var maker = KnownResult.maker([[], ["freeze"]]) { _ in 1 }
    maker.lines.insert(.idle(engine: "pacer", bytes: 1), at: 1)
    maker.pair(1, to: 0, ratio: 0.5)
    maker.lines += [
      .partition(
        row: 0,
        .init(
          graph: "g",
          devices: [
            .init(name: "npu", isHost: false, executionNs: 1, nodeNs: [2, nil]),
            .init(name: "cpu", isHost: true, executionNs: 0, nodeNs: [3, 4]),
          ], byteNs: 0.1, chosen: ["npu", "cpu"],
          cost: .init(nodesNs: 1, executions: 1, executionsNs: 1, copiedBytes: 0, copiesNs: 0), unmeasuredCost: nil)),
      .unavailable(rows: [0, 1], reasons: ["energy": "no counter"]), .failed(row: 1, reason: "r"), .resumed(seed: 1),
    ]
    maker.end(.budget)
    let kept = try RecordKeeper.compact(maker.lines, maker.record(), AxisTable())
    let lines = try (maker.lines + kept).map { try $0.data }
    #expect(try complaints("record", lines) == Array(repeating: "fits", count: lines.count))
    #expect(
      try complaints("record", [Data("{}".utf8), Data(#"{"kind":"run","row":"x"}"#.utf8)]).allSatisfy { $0 != "fits" })
  }

  @Test func `the files are what the program makes of its axes and types`() throws {
    for schema in Schemas(.standard).all {
      let url = checkout.appendingPathComponent("Suites/schemas/\(schema.name).schema.json")
      #expect(try String(contentsOf: url, encoding: .utf8) == JSONEncoder.text(schema.value), "bench-suite schema")
    }
  }

  @Test func `jobs and lines fit their schema`() throws {
    var job = Job(.latency, Configuration(model: "resnet-18"))
    (job.processors, job.interleaved, job.iterations) = ([0], true, 3)
    job.layout = .init(stack: 1, heap: 2)
    let lines: [WorkerLine] = [
      .hello(.init(engine: "e", version: "v")), .prepared(.init(loadNs: 1, optimiseNs: 2, prepareNs: 3)), .ready,
      .warmed(.init(firstInferenceNs: 1, iterations: 0, timeNs: 0, steady: true)), .sample(.init(latenciesNs: [1])),
      .profile([.init(node: "n", op: "o", kernel: "k", timeNs: 1)]),
      .trace(.init(spans: [.init(node: 0, thread: 0, start: 0, end: 1)], liveBytes: [])),
      .memory(
        .init(
          steps: [.init(node: "n", op: "o", heldBytes: 1)],
          blocks: [.init(name: "n", first: 0, last: 0, byteCount: 1, offset: 0)], constantBytes: 2)),
      .partition(
        .init(
          graph: "g", devices: [.init(name: "d", isHost: true, executionNs: 0, nodeNs: [1, nil])], byteNs: 0.1,
          chosen: ["d", "d"],
          cost: .init(nodesNs: 1, executions: 0, executionsNs: 0, copiedBytes: 0, copiesNs: 0), unmeasuredCost: nil)),
      .metric(.init("x", unavailable: "why")), .output(.init(shape: [1], values: [1])), .skipped(reason: "r"),
      .failed(reason: "f"), .note("n"),
    ]
    #expect(lines.count == WorkerLine.Kind.allCases.count)
    let documents = try [JSONEncoder().encode(job)] + lines.map { try JSONEncoder().encode($0) }
    #expect(try complaints("worker", documents) == Array(repeating: "fits", count: documents.count))
    #expect(try complaints("worker", [Data(#"{"kind":"sample"}"#.utf8)]) != ["fits"])
  }
}
