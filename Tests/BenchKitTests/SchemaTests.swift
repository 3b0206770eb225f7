import Foundation
import Pacer
import Testing

@testable import BenchKit

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
    let wrong = ["cells: []", "cells:\n  - modell: x", "name: x", "budget: -1\ncells:\n  - model: x"]
    let errors = try complaints("suite", wrong.map { Data($0.utf8) })
    #expect(errors.count == 4 && errors.allSatisfy { $0 != "fits" }, "\(errors)")
  }

  @Test func `results fit their schema`() throws {
    let file = KnownResult.file([[], ["freeze"]]) { $0.isEmpty ? 1 : 0.5 }
    #expect(try complaints("result", [JSONEncoder.readable.encode(file)]) == ["fits"])
    #expect(try complaints("result", [Data("{}".utf8)]) != ["fits"])
  }

  @Test func `jobs and lines fit their schema`() throws {
    var job = Job(.latency, Cell(model: "resnet-18"))
    (job.processors, job.takesTurns, job.iterations) = ([0], true, 3)
    let lines: [WorkerLine] = [
      .hello(.init(engine: "e", version: "v", protocol: 1)),
      .prepared(.init(loadTime: 1, optimiseTime: 2, prepareTime: 3)),
      .sample(.init(firstInference: 1, warmup: 0, warmupTime: 0, steady: true, latencies: [])),
      .profile([.init(node: "n", op: "o", kernel: "k", time: 1)]),
      .trace(.init(spans: [.init(node: 0, thread: 0, start: 0, end: 1)], liveBytes: [])),
      .memory(
        .init(
          steps: [.init(node: "n", op: "o", heldBytes: 1)],
          blocks: [.init(name: "n", first: 0, last: 0, byteCount: 1, offset: 0)], constantBytes: 2)),
      .figure(.init("x", unavailable: "why")), .output(.init(shape: [1], values: [1])), .skipped(reason: "r"),
      .failed(reason: "f"), .note("n"),
    ]
    let documents = try [JSONEncoder().encode(job)] + lines.map { try JSONEncoder().encode($0) }
    #expect(try complaints("worker", documents) == Array(repeating: "fits", count: documents.count))
    #expect(try complaints("worker", [Data(#"{"kind":"sample"}"#.utf8)]) != ["fits"])
  }
}
