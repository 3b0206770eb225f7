import Foundation
import GraphCore
import ModelZoo
import TensorCore
import TestSupport
import Testing

/// Faults that people met, each as they would meet it: the program in a folder of their own.
@Suite struct FaultTests {
  // MARK: Identity

  @Test func `01 two shapes have two names, and each ratio is to its own shape`() throws {
    try inFolder { folder in
      let run = try shell(
        "bench-suite measure mobilenet-v2 --shape 1x3x32x32,2x3x32x32 --passes none,all --iterations 2 --warmup 0 --rounds 1 "
          + "--output s.jsonl; bench-suite report s.jsonl --format benchstat", in: folder)
      #expect(run.status == 0, "\(run.errors)")
      let rows = try rows("s.jsonl", in: folder)
      #expect(Set(rows.compactMap { $0["label"] as? String }).count == 4)
      for row in rows where row["baseline"] != nil {
        let shape = (row["configuration"] as? [String: Any])?["shape"] as? String ?? ""
        #expect((row["baseline"] as? String)?.contains("shape=\(shape)") == true)
      }
      #expect(run.output.contains("/1x3x32x32") && run.output.contains("/2x3x32x32"))
    }
  }

  @Test func `03 weights that change under a name, a size and a time have a reference of their own`() throws {
    try inFolder { folder in
      try writeWeights(of: .mobileNetV2, to: folder.appendingPathComponent("a.st"))
      try writeWeights(of: .mobileNetV2, to: folder.appendingPathComponent("b.st")) { name, tensor in
        guard name == "classifier.1.weight" else { return plainWeights(tensor) }
        return ("F32", tensor.values.map { -$0 }.withUnsafeBytes { Data($0) })
      }
      let run = try shell(
        """
        touch -r a.st b.st
        for file in a b; do cp -p $file.st w.st; bench-suite measure mobilenet-v2 $TINY --weights w.st --output $file.jsonl || exit; done
        """, in: folder)
      #expect(run.status == 0, "\(run.output)\(run.errors)")
    }
  }

  @Test func `43 a suite's name is no path`() throws {
    try inFolder { folder in
      for name in ["../../outside", "", "a/b", "-x", "a b"] {
        try write(
          "name: \"\(name)\"\nconfigurations:\n- {model: mobilenet-v2, shape: 1x3x32x32}\n", "s.yaml", in: folder)
        let run = try shell("bench-suite run s.yaml --time-budget 1", in: folder)
        #expect(
          run.status == 1 && run.errors.contains("s.yaml:1: a name is letters, digits and hyphens"), "\(run.errors)")
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["Suites", "s.yaml"])
    }
  }

  @Test(.timeLimit(.minutes(1))) func `47 thousands of configurations are planned at once`() throws {
    try inFolder { folder in
      try write(
        "configurations:\n- {model: mobilenet-v2, passes: every-combination, threads: [1, 2, 3, 4, 5, 6, 7, 8]}\n",
        "s.yaml",
        in: folder)
      let run = try shell("bench-suite run s.yaml --dry-run", in: folder)
      #expect(run.output.hasPrefix("32768 configurations;"), "\(run.output)\(run.errors)")
    }
  }

  @Test func `53 a run is resumed only as it was begun`() throws {
    try inFolder { folder in
      let suite = { (iterations: Int) in
        "rounds: 2\njob: {iterations: \(iterations), warmup: 0}\nconfigurations:\n- {model: mobilenet-v2, shape: 1x3x32x32}\n"
      }
      try write(suite(8), "s.yaml", in: folder)
      #expect(try shell("bench-suite run s.yaml --output o.jsonl", in: folder).status == 0)
      #expect(try shell("bench-suite run s.yaml --resume --output o.jsonl", in: folder).status == 0)
      let prefixed = try shell("bench-suite run s.yaml --resume --worker-prefix 'env A=1' --output o.jsonl", in: folder)
      #expect(prefixed.status == 1 && prefixed.errors.contains("run without --resume"))
      try write(suite(64), "s.yaml", in: folder)
      #expect(try shell("bench-suite run s.yaml --resume --output o.jsonl", in: folder).status == 1)
      let counts = try runs("o.jsonl", in: folder).map { latencies($0).count }
      #expect(counts == [8, 8])
    }
  }

  // MARK: Numbers from outside

  @Test(arguments: [
    "--time-budget inf", "--time-budget nan", "--time-budget=-1", "--time-budget 1e30", "--timeout inf", "--timeout=-1",
    "--timeout 0", "--min-time 1e10", "--min-time nan", "--iterations 9000000000000000000", "--iterations 0",
    "--warmup=-1", "--rounds 0", "--rounds 99999999999999999999", "--worker-prefix \"'\"",
    "--disable freeze --disable winograd", "--output o.html", "--output o.MD", "--output o.json", "--seed=-1",
  ])
  func `05 57 a number that cannot be meant, a quote left open, an option given twice are usage errors`(
    options: String
  ) throws {
    try inFolder { folder in
      let run = try shell("bench-suite measure mobilenet-v2 --shape 1x3x32x32 \(options)", in: folder)
      #expect(run.status == 64, "\(run.status) \(run.errors)")
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["Suites"])
    }
  }

  @Test func `04 39 a worker that tells nonsense fails by itself, and the others go on`() throws {
    try inFolder { folder in
      try write(
        """
        import json, os, sys
        job = json.loads(sys.stdin.readline())
        emit = lambda **fields: print(json.dumps(fields), flush=True)
        emit(kind="hello", engine="odd", version="1", protocol=2)
        if job["action"] == "idle":
            sys.exit()
        emit(kind="prepared", loadNs=1, prepareNs=int(os.environ.get("PREPARE", "1")))
        if job["action"] == "inspect":
            emit(kind="output", shape=[9223372036854775807, 2], data="")
        emit(kind="sample", latenciesNs=[0])
        """, "Suites/peers/odd.py", in: folder)
      let run = try shell(
        "bench-suite measure mobilenet-v2 --engine pacer,odd $TINY --output o.jsonl", in: folder)
      #expect(run.status == 1 && run.output.contains("field shape[0]"), "\(run.output)\(run.errors)")
      #expect(try rows("o.jsonl", in: folder).map { $0["status"] as? String } == ["measured", "failed"])

      try write("timed:\n- {model: mobilenet-v2, shape: 1x3x32x32, passes: all}\n", "gate.yaml", in: folder)
      let gate = try shell(
        """
        PREPARE=-1 bench-suite gate --suite gate.yaml --base-worker 'python3 Suites/peers/odd.py' \
          --head-worker 'python3 Suites/peers/odd.py' --time-budget 5 --junit g.xml
        """, in: folder)
      #expect(gate.status == 5 && gate.output.contains("prepareNs is -1"), "\(gate.output)\(gate.errors)")
      let junit = try String(contentsOf: folder.appendingPathComponent("g.xml"), encoding: .utf8)
      #expect(junit.contains("failures=\"1\"") && junit.contains("prepareNs is -1"), "\(junit)")
    }
  }

  @Test func `39 a result or a baseline with numbers that are none is refused`() throws {
    try inFolder { folder in
      #expect(try shell("bench-suite measure mobilenet-v2 $TINY --output o.jsonl", in: folder).status == 0)
      let text = try String(contentsOf: folder.appendingPathComponent("o.jsonl"), encoding: .utf8)
      for (name, changed) in [
        ("metrics.heap-bytes", text.replacing(#/"heap-bytes":\d+/#, with: "\"heap-bytes\":1e300")),
        ("slices", text.replacing(#/"slicesNs":\[\[[^\]]*\]\]/#, with: "\"slicesNs\":[]")),
        ("slices", text.replacing(#/"slicesNs":\[\[[^\]]*\]\]/#, with: "\"slicesNs\":[[-3]]")),
        (
          "row",
          text.replacing(#/"kind":"run","metrics"/#, with: "\"kind\":\"run\",\"row\":7,\"metrics\"")
            .replacing(#/"row":0,"slicesNs"/#, with: "\"slicesNs\"")
        ),
        ("version", text.replacing(#/"version":"0[^"]*"/#, with: "\"version\":\"../../x\"")),
        ("suite", text.replacing("\"suite\":\"measure\"", with: "\"suite\":\"../x\"")),
      ] {
        try write(changed, "bad.jsonl", in: folder)
        for format in ["markdown", "benchstat", "csv", "github-action-benchmark"] {
          let run = try shell("bench-suite report bad.jsonl --format \(format)", in: folder)
          #expect(run.status == 1 && run.errors.contains(name), "\(name): \(run.errors)")
        }
      }
      try write("exact:\n- {model: mobilenet-v2, shape: 1x3x32x32, isa: sse2}\n", "gate.yaml", in: folder)
      let gate = try shell(
        """
        bench-suite gate --suite gate.yaml --exact-only --accept >/dev/null
        sed -i 's/"macs" : [0-9]*/"macs" : 1e300/' Suites/baselines/gate.json
        bench-suite gate --suite gate.yaml --exact-only
        """, in: folder)
      #expect(gate.status == 1 && gate.errors.contains("macs is 1e+300"), "\(gate.errors)")
    }
  }

  // MARK: Budgets

  @Test func `08 46 what there was no time for is said, and nothing measured is a failure`() throws {
    try inFolder { folder in
      let run = try shell(
        "bench-suite measure mobilenet-v2 --shape 1x3x32x32 --time-budget 0.001 --output o.jsonl", in: folder)
      #expect(run.status == 1 && run.output.contains("not measured: budget spent"), "\(run.output)")
      #expect(run.output.contains("nothing was measured"))
      #expect(try summary("o.jsonl", in: folder)["isComplete"] as? Bool == false)
      let record = try shell("bench-suite record o.jsonl --host x --folder kept", in: folder)
      #expect(record.status == 1 && !FileManager.default.fileExists(atPath: folder.appendingPathComponent("kept").path))
      // Counting and the reference are within the budget too: a spent one leaves rows, not a run of any length.
      let many = try shell(
        "bench-suite measure mobilenet-v2 --shape 1x3x64x64 --passes every-pair,all-but-one --time-budget 1 --output m.jsonl",
        in: folder)
      #expect(many.status == 1)
      let statuses = try Set(rows("m.jsonl", in: folder).compactMap { $0["status"] as? String })
      #expect(statuses.contains("pending"), "\(statuses)")
    }
  }

  @Test func `15 38 each process times for as long as it is asked to, in pairs both`() throws {
    try inFolder { folder in
      let measured = try shell(
        """
        bench-suite measure mobilenet-v2 --shape 1x3x32x32 --passes none,all --min-time 0.3 --rounds 1 --output o.jsonl
        bench-suite measure mobilenet-v2 --shape 1x3x32x32 --backend null --min-time 0.3 --rounds 1 --output n.jsonl
        """, in: folder)
      #expect(measured.status == 0, "\(measured.errors)")
      for row in 0..<2 {
        #expect(try runs("o.jsonl", row: row, in: folder).allSatisfy { latencies($0).reduce(0, +) >= 0.3e9 })
      }
      // Far more iterations than are kept.
      let run = try #require(try runs("n.jsonl", in: folder).first)
      #expect((run["timed"] as? Int ?? 0) > 100_000 && latencies(run).count <= 65_536)
    }
  }

  /// A library that moves the wall clock, where there is a compiler to make it.
  static let hasClock =
    Shared.isPresent && (try? Program.run(["-c", "command -v cc"], executable: "/bin/sh").status) == 0

  @Test(.enabled(if: hasClock, "no compiler, or no ../shared with the clock"))
  func `31 nobody sets the clock of a run`() throws {
    try inFolder { folder in
      let run = try shell(
        """
        cc -shared -fPIC -O1 -o clock.so '\(Shared.path("cases/31-wall-clock/clock.c"))' -ldl
        SPEED=1000 LD_PRELOAD=./clock.so bench-suite measure mobilenet-v2 --shape 1x3x32x32 --rounds 2 --time-budget 600 --output o.jsonl
        """, in: folder)
      #expect(run.status == 0, "\(run.output)\(run.errors)")
      #expect(try runs("o.jsonl", in: folder).count == 2)
      #expect((try summary("o.jsonl", in: folder)["elapsed"] as? Double ?? 1e9) < 300)
    }
  }

  // MARK: Files

  @Test(arguments: [
    "report r.jsonl --format csv --output x.json", "report r.jsonl --format html --output x.md",
    "gate --exact-only --output x.csv", "gate --exact-only --junit x.html", "profile resnet-18 --output x.html",
    "kernels resnet-18 --output x.md", "memory resnet-18 --output x.csv", "compare a b --output x.html",
    "history --output x.json", "doctor --output x.csv", "recipe --output x.json", "export resnet-18 --output x.json",
    "run smoke --output x.csv", "profile --diff a b --output x.json",
  ])
  func `02 55 an extension that is not what would be written is refused before anything is done`(words: String) throws {
    try inFolder { folder in
      let run = try shell("bench-suite \(words)", in: folder)
      #expect(run.status == (words.hasPrefix("report") ? 1 : 64) || run.status == 64, "\(run.status) \(run.errors)")
      #expect(run.errors.contains("--output") || run.errors.contains("--junit"), "\(run.errors)")
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["Suites"])
    }
  }

  @Test func `06 devices, pipes and links are written to, and a file keeps its mode`() throws {
    try inFolder { folder in
      let run = try shell(
        """
        bench-suite measure mobilenet-v2 $TINY --output r.jsonl >/dev/null
        mkfifo pipe; touch target.csv private.csv; ln -s target.csv link.csv; chmod 600 private.csv
        mkdir sub; ln -s sub/new.csv dangling.csv
        cat pipe > piped & for file in /dev/null pipe link.csv private.csv dangling.csv; do
          bench-suite report r.jsonl --format csv --output $file || exit; done; wait
        bench-suite report r.jsonl --format csv --output /dev/stdout > redirected
        test -p pipe && test -c /dev/null && test -L link.csv && stat -c %a private.csv
        for file in piped target.csv private.csv sub/new.csv redirected; do head -1 $file | cut -d, -f1; done
        GITHUB_STEP_SUMMARY=link.csv; printf kept > target.csv
        bench-suite measure mobilenet-v2 $TINY --output /dev/null >/dev/null; ls /dev/null.* 2>/dev/null
        """, in: folder)
      #expect(run.output.split(separator: "\n") == ["600", "model", "model", "model", "model", "model"], "\(run)")
    }
  }

  @Test func `09 a complete result is never lost`() throws {
    try inFolder { folder in
      let run = try shell(
        """
        for model in mobilenet-v2 resnet-18; do bench-suite measure $model $TINY --output r.jsonl || exit; done
        bench-suite measure mobilenet-v2 --shape 1x3x32x32 --time-budget 0.001 --output r.jsonl
        printf '{"mine": 1}' > other.jsonl
        bench-suite measure mobilenet-v2 $TINY --output other.jsonl; echo "status $?"
        """, in: folder)
      #expect(run.output.contains("status 1") && run.errors.contains("not written over"), "\(run.errors)")
      #expect(try object("other.jsonl", in: folder)["mine"] as? Int == 1)
      let model = { (name: String) in
        try (rows(name, in: folder)[0]["configuration"] as? [String: Any])?["model"] as? String
      }
      #expect(try model("r.jsonl") == "resnet-18")
      let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
      let kept = try #require(names.first { $0.hasPrefix("r-") && $0.hasSuffix(".jsonl") })
      #expect(try model(kept) == "mobilenet-v2" && run.output.contains(kept))
    }
  }

  @Test func `21 output that nobody takes is one sentence, and a run goes on`() throws {
    try inFolder { folder in
      let run = try shell(
        """
        bench-suite measure mobilenet-v2 $TINY --output r.jsonl > /dev/null
        bench-suite report r.jsonl --format csv > /dev/full; echo $?
        bench-suite list models > /dev/full; echo $?
        bench-suite --help > /dev/full; echo $?
        bench-suite report r.jsonl --format csv >&-; echo $?
        bench-suite measure mobilenet-v2 $TINY --output o.jsonl > /dev/full; echo $?; grep -c slicesNs o.jsonl
        bench-suite measure mobilenet-v2 $TINY --output p.jsonl >&-; echo $?; grep -c slicesNs p.jsonl
        bench-suite measure mobilenet-v2 $TINY --output o.jsonl --json > /dev/null 2> /dev/full; echo $?
        bench-suite report nothing.jsonl 2>&-; echo $?
        (trap '' PIPE; bench-suite measure mobilenet-v2 $TINY --output o.jsonl | true; echo ${PIPESTATUS[0]})
        """, in: folder)
      #expect(
        run.output.split(separator: "\n") == ["1", "1", "1", "1", "1", "1", "1", "1", "0", "1", "1"], "\(run)")
      #expect(run.errors.components(separatedBy: "standard output cannot be written").count == 8, "\(run.errors)")
    }
  }

  @Test func `34 a regression is one where nothing can be kept, with both reports`() throws {
    try inFolder { folder in
      try write("exact:\n- {model: mobilenet-v2, shape: 1x3x32x32, isa: sse2}\n", "gate.yaml", in: folder)
      let run = try shell(
        """
        bench-suite gate --suite gate.yaml --exact-only --accept > /dev/null
        sed -i 's/"nodes" : [0-9]*/"nodes" : 1/' Suites/baselines/gate.json
        rm -rf Results; touch Results
        GITHUB_ACTIONS=true bench-suite gate --suite gate.yaml --exact-only --junit g.xml --output g.HTML
        """, in: folder)
      #expect(run.status == 2 && run.output.contains("could not be kept"), "\(run)")
      #expect(run.output.contains("\n::error title=Pacer gate%2C REGRESSION::"))
      let page = try String(contentsOf: folder.appendingPathComponent("g.HTML"), encoding: .utf8)
      #expect(page.hasPrefix("<!doctype html>"))
      #expect(FileManager.default.fileExists(atPath: folder.appendingPathComponent("g.xml").path))
    }
  }
}
