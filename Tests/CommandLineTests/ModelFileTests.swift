import Foundation
import Testing

/// A model of the user's own, run by engines that read ONNX: here by one of a few lines, which adds what it is told to.
@Suite struct ModelFileTests {
  /// An engine that gives the sums of its inputs' bytes, moved by `OFFSET`, and says what it was given.
  private static let engine = """
    import base64, json, os, struct, sys, time
    name = os.path.basename(sys.argv[0])[:-3]
    def emit(kind, **fields): print(json.dumps({"kind": kind, **fields}), flush=True)
    job = json.loads(sys.stdin.readline())
    emit("hello", engine=name, version="7", protocol=2)
    if job["action"] == "idle": sys.exit()
    inputs = json.load(open(job["files"]["inputs"]))
    with open(os.environ["SEEN"], "a") as seen:
        print(json.dumps([job["action"], sorted(job["configuration"]), inputs]), file=seen)
    assert os.path.exists(job["files"]["onnx"])
    if "OVERWRITE" in os.environ and job["action"] == "inspect":
        # An empty field that no reader knows: another file, and a model still.
        with open(os.environ["OVERWRITE"], "ab") as model: model.write(bytes([0x72, 0]))
    emit("prepared", loadNs=1, prepareNs=1)
    if job["action"] == "inspect":
        shift = float(os.environ.get("OFFSET", 0)) if name == "other" else 0
        values = [float(sum(open(entry["file"], "rb").read())) + shift for entry in inputs] * 2
        for value in values:
            emit("output", shape=[1], data=base64.b64encode(struct.pack("<f", value)).decode())
    else:
        emit("warmed", firstInferenceNs=1000, iterations=1, timeNs=1000, steady=True)
        emit("sample", latenciesNs=[1000] * 5)

    """

  private func inModelFolder(_ body: (URL) throws -> Void) throws {
    try inFolder { folder in
      for name in ["one", "other"] { try write(Self.engine, "Suites/peers/\(name).py", in: folder) }
      let export = try shell("bench-suite export mobilenet-v2 --shape 1x3x32x32 --output my.onnx", in: folder)
      #expect(export.status == 0, "\(export.errors)")
      try body(folder)
    }
  }

  private func measure(_ options: String, _ environment: [String: String] = [:], in folder: URL) throws -> (
    status: Int32, output: String, errors: String
  ) {
    try shell(
      "bench-suite measure my.onnx --rounds 1 --time-budget 60 --output o.jsonl \(options)",
      ["SEEN": folder.appendingPathComponent("seen").path].merging(environment) { $1 }, in: folder)
  }

  @Test func `engines run a file, and are held against a named one`() throws {
    try inModelFolder { folder in
      let run = try measure("--engine one,other --expect one", in: folder)
      #expect(run.status == 0, "\(run)")
      let found = try (0..<2).map { try inspected("o.jsonl", row: $0, in: folder) }
      #expect(
        found.allSatisfy { $0["status"] as? String == "measured" && $0["expectedFrom"] as? String == "one 7" })
      let rows = try rows("o.jsonl", in: folder)
      #expect(rows.map { $0["status"] as? String } == ["measured", "measured"])
      // The name with what it holds, wherever it lies.
      let id = try #require(rows[0]["id"] as? String)
      #expect(id.firstMatch(of: #/^my\.onnx@[0-9a-f]{8}\/engine=one/#) != nil, "\(id)")
      #expect(run.output.contains("Outputs of my.onnx@") && run.output.contains("against those of one 7"))
      // What outputs are held against is none of a worker's business.
      let seen = try String(contentsOf: folder.appendingPathComponent("seen"), encoding: .utf8)
      #expect(!seen.contains("expect") && seen.contains("\"shape\": [1, 3, 32, 32], \"type\": \"float32\""))
      let wrong = try measure("--engine one,other --expect one", ["OFFSET": "100000000"], in: folder)
      #expect(wrong.status == 3 && wrong.output.contains("INVALID: the output is off by"), "\(wrong)")
    }
  }

  @Test func `inputs and expected outputs come from files`() throws {
    try inModelFolder { folder in
      // Zeros but for one byte: the sum is that byte.
      var image = Data(count: 3 * 32 * 32 * 4)
      image[5] = 42
      try image.write(to: folder.appendingPathComponent("x.bin"))
      let head = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }"
      var right = Data([0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(head.utf8.count), 0]) + Data(head.utf8)
      withUnsafeBytes(of: Float(42)) { right.append(contentsOf: $0) }
      try right.write(to: folder.appendingPathComponent("y.npy"))
      let run = try measure("--engine one --input x.bin --expect y.npy", in: folder)
      #expect(run.status == 0, "\(run)")
      let line = try inspected("o.jsonl", in: folder)
      #expect(line["expectedFrom"] as? String == "file y.npy", "\(line)")
      #expect((line["notes"] as? [String])?.contains("of 2 outputs the first 1 were checked") == true)
      for (options, message) in [
        ("--engine one --input missing.npy", "cannot be read"), ("--engine one --expect missing.npy", "cannot be read"),
        ("--engine one --input y.npy", "is not that of"), ("--engine one --shape 1x3x64x64", "is not that of"),
        ("--engine one --shape z=1x3x32x32", "has no input and no extent z"),
        ("--engine one --weights w.safetensors", "has its own"),
        ("--engine one --input Suites", "has no file for input"),
      ] {
        let wrong = try measure(options, in: folder)
        #expect(wrong.status == 1 && wrong.errors.contains(message), "\(options): \(wrong)")
      }
      try write("no model", "my.onnx", in: folder)
      let broken = try measure("--engine one", in: folder)
      #expect(broken.status == 64 && broken.errors.contains("no ONNX model"), "\(broken)")
      let missing = try shell("bench-suite measure none.onnx", in: folder)
      #expect(missing.status == 64 && missing.errors.contains("no such file"), "\(missing)")
    }
  }

  @Test func `Pacer runs a file on kernels and oracle, and names the op that it lacks`() throws {
    try inModelFolder { folder in
      let unknown = try measure("--engine one --expect nobody", in: folder)
      #expect(unknown.status == 1 && unknown.errors.contains("unknown engine to expect"), "\(unknown)")
      let run = try measure("--passes none,all", in: folder)
      #expect(run.status == 0, "\(run)")
      for row in 0..<2 {
        let line = try inspected("o.jsonl", row: row, in: folder)
        #expect(line["status"] as? String == "measured" && line["expectedFrom"] == nil, "\(line)")
      }
      let recipe = try shell("bench-suite recipe o.jsonl; bench-suite recipe o.jsonl --output r.html", in: folder)
      #expect(recipe.status == 0 && recipe.output.contains("| my.onnx@"), "\(recipe)")
      #expect(recipe.output.hasSuffix("recipe  r.html\n"), "\(recipe)")
      let check = try shell("bench-suite recipe --check o.jsonl", in: folder)
      #expect(check.status == 64 && check.errors.contains("name no record"), "\(check)")
      // An operator that nobody has: other engines' rows are measured, held against what the format was made for.
      let path = folder.appendingPathComponent("my.onnx")
      var model = try Data(contentsOf: path)
      let softmax = try #require(model.range(of: Data("GlobalAveragePool".utf8)))
      model.replaceSubrange(softmax, with: Data("GlobalAveragePoof".utf8))
      try model.write(to: path)
      try write("import sys; sys.exit(3)", "Suites/peers/onnxruntime.py", in: folder)
      let lacking = try measure("--engine pacer,one,other", in: folder)
      let words = lacking.output.replacing(#/\s+/#, with: " ")
      #expect(
        words.firstMatch(of: #/unavailable: my\.onnx@[0-9a-f]{8}: Pacer has no GlobalAveragePoof \(node /#) != nil,
        "\(lacking)")
      // What does not run is nobody's baseline.
      let compared = try measure("--engine pacer,one,other --expect one", in: folder)
      #expect(compared.output.contains("unavailable"), "\(compared)")
      let lines = try String(contentsOf: folder.appendingPathComponent("o.jsonl"), encoding: .utf8).split(
        separator: "\n")
      let start = try #require(JSONSerialization.jsonObject(with: Data(lines[0].utf8)) as? [String: Any])
      let planned = try #require(start["configurations"] as? [[String: Any]])
      #expect(planned.map { $0["baseline"] as? Int } == [1, nil, 1], "\(planned)")
      #expect(words.contains("not checked: no reference output: onnxruntime, which"), "\(lacking)")
    }
  }

  @Test func `what needs more memory than is allowed fails before any is taken`() throws {
    try inModelFolder { folder in
      let run = try measure("--max-memory 8MiB", in: folder)
      #expect(
        run.status == 1 && run.output.replacing(#/\s+/#, with: " ").contains("allowed are 8 (--max-memory)"), "\(run)")
      let wrong = try measure("--max-memory lots", in: folder)
      #expect(wrong.status == 64 && wrong.errors.contains("no amount of memory"), "\(wrong)")
    }
  }

  @Test func `a file that lies in two places is measured once, and one that is written over is not measured`() throws {
    try inModelFolder { folder in
      let run = try shell(
        """
        mkdir a; cp my.onnx a/
        bench-suite measure my.onnx,a/my.onnx --engine one --expect one --rounds 1 --output o.jsonl
        """, ["SEEN": folder.appendingPathComponent("seen").path], in: folder)
      #expect(run.status == 0, "\(run)")
      #expect(try rows("o.jsonl", in: folder).count == 1)
      let other = try measure("--engine one --expect one", ["OVERWRITE": "my.onnx"], in: folder)
      // A reason may go over several lines.
      let words = other.output.replacing(#/\s+/#, with: " ")
      #expect(other.status == 1 && words.contains("is another file than it was"), "\(other)")
    }
  }

  @Test func `a gate of a file times two programs that run it`() throws {
    try inModelFolder { folder in
      try write("timed:\n- {model: my.onnx, passes: none, expect: one}\n", "gate.yaml", in: folder)
      let run = try shell(
        """
        bench-suite gate --suite gate.yaml --base-worker 'python3 Suites/peers/one.py' \
          --head-worker 'python3 Suites/peers/other.py' --time-budget 5
        """, ["SEEN": folder.appendingPathComponent("seen").path], in: folder)
      // Unresolved or passed: the latencies are equal, and few.
      #expect(run.output.contains("my.onnx@") && !run.output.contains("NO-DATA"), "\(run)")
    }
  }
}
