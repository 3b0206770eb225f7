import Foundation
import GraphCore
import ModelZoo
import TensorCore
import TestSupport
import Testing

/// Faults that people met, each as they would meet it: the program in a folder of their own.
@Suite struct FaultTests {
  /// Runs a script of the shell in a folder of its own, with the program on the path.
  func shell(
    _ script: String, _ environment: [String: String] = [:], in folder: URL
  ) throws -> (status: Int32, output: String, errors: String) {
    let path = Program.folder.path + ":" + (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin")
    return try Program.run(
      ["-c", "cd '\(folder.path)'; \(script)"], executable: "/bin/bash",
      environment: ["PATH": path, "TINY": tiny].merging(environment) { $1 })
  }
  private let tiny = "--shape 1x3x32x32 --iterations 1 --warmup 0 --rounds 1"

  func inFolder(_ body: (URL) throws -> Void) throws {
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.createDirectory(
      at: folder.appendingPathComponent("Suites/peers"), withIntermediateDirectories: true)
    try body(folder)
  }

  private func object(_ name: String, in folder: URL) throws -> [String: Any] {
    let data = try Data(contentsOf: folder.appendingPathComponent(name))
    return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
  }
  private func cells(_ name: String, in folder: URL) throws -> [[String: Any]] {
    try #require(try object(name, in: folder)["cells"] as? [[String: Any]])
  }
  func write(_ text: String, _ name: String, in folder: URL) throws {
    try Data(text.utf8).write(to: folder.appendingPathComponent(name))
  }
  private func visits(_ cell: [String: Any]) -> [[String: Any]] { cell["visits"] as? [[String: Any]] ?? [] }
  private func latencies(_ visit: [String: Any]) -> [Double] {
    (visit["sample"] as? [String: Any])?["latencies"] as? [Double] ?? []
  }

  // MARK: Identity

  @Test func `01 two shapes have two names, and each ratio is to its own shape`() throws {
    try inFolder { folder in
      let run = try shell(
        "bench-suite measure mobilenet-v2 --shape 1x3x32x32,2x3x32x32 --passes none,all --iterations 2 --warmup 0 --rounds 1 "
          + "--output s.json; bench-suite report s.json --format benchstat", in: folder)
      #expect(run.status == 0, "\(run.errors)")
      let cells = try cells("s.json", in: folder)
      #expect(Set(cells.compactMap { $0["label"] as? String }).count == 4)
      for cell in cells where cell["baseline"] != nil {
        let batch = ((cell["cell"] as? [String: Any])?["shape"] as? [Int])?.first ?? 0
        #expect((cell["baseline"] as? String)?.contains("/\(batch)x3x32x32") == true)
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
        for file in a b; do cp -p $file.st w.st; bench-suite measure mobilenet-v2 $TINY --weights w.st --output $file.json || exit; done
        """, in: folder)
      #expect(run.status == 0, "\(run.output)\(run.errors)")
    }
  }

  @Test func `43 a suite's name is no path`() throws {
    try inFolder { folder in
      for name in ["../../outside", "", "a/b", "-x", "a b"] {
        try write("name: \"\(name)\"\ncells:\n- {model: mobilenet-v2, shape: 1x3x32x32}\n", "s.yaml", in: folder)
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
        "cells:\n- {model: mobilenet-v2, passes: every-combination, threads: [1, 2, 3, 4, 5, 6, 7, 8]}\n", "s.yaml",
        in: folder)
      let run = try shell("bench-suite run s.yaml --dry-run", in: folder)
      #expect(run.output.hasPrefix("8192 configurations;"), "\(run.output)\(run.errors)")
    }
  }

  @Test func `53 a run is resumed only as it was begun`() throws {
    try inFolder { folder in
      let suite = { (iterations: Int) in
        "rounds: 2\njob: {iterations: \(iterations), warmup: 0}\ncells:\n- {model: mobilenet-v2, shape: 1x3x32x32}\n"
      }
      try write(suite(8), "s.yaml", in: folder)
      #expect(try shell("bench-suite run s.yaml --output o.json", in: folder).status == 0)
      #expect(try shell("bench-suite run s.yaml --resume --output o.json", in: folder).status == 0)
      let prefixed = try shell("bench-suite run s.yaml --resume --worker-prefix 'env A=1' --output o.json", in: folder)
      #expect(prefixed.status == 1 && prefixed.errors.contains("run without --resume"))
      try write(suite(64), "s.yaml", in: folder)
      #expect(try shell("bench-suite run s.yaml --resume --output o.json", in: folder).status == 1)
      let counts = try visits(cells("o.json", in: folder)[0]).map { latencies($0).count }
      #expect(counts == [8, 8])
    }
  }

  // MARK: Numbers from outside

  @Test(arguments: [
    "--time-budget inf", "--time-budget nan", "--time-budget=-1", "--time-budget 1e30", "--timeout inf", "--timeout=-1",
    "--timeout 0", "--min-time 1e10", "--min-time nan", "--iterations 9000000000000000000", "--iterations 0",
    "--warmup=-1", "--rounds 0", "--rounds 99999999999999999999", "--worker-prefix \"'\"",
    "--disable freeze --disable winograd", "--output o.html", "--output o.MD",
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
        emit(kind="hello", engine="odd", version="1", protocol=1)
        emit(kind="prepared", loadTime=1, optimiseTime=1, prepareTime=int(os.environ.get("PREPARE", "1")), passes=[], kernels={})
        if job["action"] == "counts":
            emit(kind="output", shape=[9223372036854775807, 2], data="")
        emit(kind="sample", firstInference=1, warmup=0, warmupTime=0, steady=True, latencies=[0])
        """, "Suites/peers/odd.py", in: folder)
      let run = try shell(
        "bench-suite measure mobilenet-v2 --engine pacer,odd $TINY --output o.json", in: folder)
      #expect(run.status == 1 && run.output.contains("field shape[0]"), "\(run.output)\(run.errors)")
      let cells = try cells("o.json", in: folder)
      #expect(cells.map { $0["status"] as? String } == ["measured", "failed"])

      try write("timed:\n- {model: mobilenet-v2, shape: 1x3x32x32, passes: all}\n", "gate.yaml", in: folder)
      let gate = try shell(
        """
        PREPARE=-1 bench-suite gate --suite gate.yaml --base-worker 'python3 Suites/peers/odd.py' \
          --head-worker 'python3 Suites/peers/odd.py' --time-budget 5 --junit g.xml
        """, in: folder)
      #expect(gate.status == 5 && gate.output.contains("prepareTime is -1"), "\(gate.output)\(gate.errors)")
      let junit = try String(contentsOf: folder.appendingPathComponent("g.xml"), encoding: .utf8)
      #expect(junit.contains("failures=\"1\"") && junit.contains("prepareTime is -1"), "\(junit)")
    }
  }

  @Test func `39 a result or a baseline with numbers that are none is refused`() throws {
    try inFolder { folder in
      #expect(try shell("bench-suite measure mobilenet-v2 $TINY --output o.json", in: folder).status == 0)
      let text = try String(contentsOf: folder.appendingPathComponent("o.json"), encoding: .utf8)
      for (name, changed) in [
        ("cells[0].figures.heap-bytes", text.replacing(#/"heap-bytes" : \d+/#, with: "\"heap-bytes\" : 1e300")),
        ("latencies", text.replacing(#/"latencies" : \[[^\]]*\]/#, with: "\"latencies\" : []")),
        ("latencies", text.replacing(#/"latencies" : \[[^\]]*\]/#, with: "\"latencies\" : [-3]")),
        ("latency", text.replacing(#/"latency" : \{[^}]*\}/#, with: #""latency":{"value":0,"count":1}"#)),
        ("version", text.replacing(#/"version" : "0[^"]*"/#, with: "\"version\" : \"../../x\"")),
        ("suite", text.replacing("\"suite\" : \"measure\"", with: "\"suite\" : \"../x\"")),
      ] {
        try write(changed, "bad.json", in: folder)
        for format in ["markdown", "benchstat", "csv", "github-action-benchmark"] {
          let run = try shell("bench-suite report bad.json --format \(format)", in: folder)
          #expect(run.status == 1 && run.errors.contains(name), "\(name): \(run.errors)")
        }
      }
      try write("exact:\n- {model: mobilenet-v2, shape: 1x3x32x32, isa: baseline}\n", "gate.yaml", in: folder)
      let gate = try shell(
        """
        bench-suite gate --suite gate.yaml --exact-only --accept >/dev/null
        sed -i 's/"macs" : [0-9]*/"macs" : 1e300/' Suites/baselines/gate.json
        bench-suite gate --suite gate.yaml --exact-only
        """, in: folder)
      #expect(gate.status == 1 && gate.errors.contains("macs is 1e+300"), "\(gate.errors)")
    }
  }

  @Test func `48 a precision that does not exist is a mistake, not unavailable`() throws {
    try inFolder { folder in
      let run = try shell("bench-suite measure mobilenet-v2 $TINY --precision fp32,fp61 --output o.json", in: folder)
      #expect(run.status == 1 && run.errors.contains("unknown precision \"fp61\"; did you mean fp32?"), "\(run.errors)")
    }
  }

  // MARK: Budgets

  @Test func `08 46 what there was no time for is said, and nothing measured is a failure`() throws {
    try inFolder { folder in
      let run = try shell(
        "bench-suite measure mobilenet-v2 --shape 1x3x32x32 --time-budget 0.001 --output o.json", in: folder)
      #expect(run.status == 1 && run.output.contains("not measured: budget spent"), "\(run.output)")
      #expect(run.output.contains("nothing was measured"))
      #expect(try object("o.json", in: folder)["isComplete"] as? Bool == false)
      let record = try shell("bench-suite record o.json --host x --folder kept", in: folder)
      #expect(record.status == 1 && !FileManager.default.fileExists(atPath: folder.appendingPathComponent("kept").path))
      // Counting and the reference are within the budget too: a spent one leaves rows, not a run of any length.
      let many = try shell(
        "bench-suite measure mobilenet-v2 --shape 1x3x64x64 --passes every-pair,all-but-one --time-budget 1 --output m.json",
        in: folder)
      #expect(many.status == 1)
      let statuses = try Set(cells("m.json", in: folder).compactMap { $0["status"] as? String })
      #expect(statuses.contains("pending"), "\(statuses)")
    }
  }

  @Test func `15 38 each process times for as long as it is asked to, in pairs both`() throws {
    try inFolder { folder in
      let run = try shell(
        """
        bench-suite measure mobilenet-v2 --shape 1x3x32x32 --passes none,all --min-time 0.3 --rounds 1 --output o.json
        bench-suite measure mobilenet-v2 --shape 1x3x32x32 --backend null --min-time 0.3 --rounds 1 --output n.json
        """, in: folder)
      #expect(run.status == 0, "\(run.errors)")
      for cell in try cells("o.json", in: folder) {
        #expect(visits(cell).allSatisfy { latencies($0).reduce(0, +) >= 0.3e9 })
      }
      // Far more inferences than are kept.
      let sample = try #require(try visits(cells("n.json", in: folder)[0])[0]["sample"] as? [String: Any])
      #expect((sample["timed"] as? Int ?? 0) > 100_000 && (sample["latencies"] as? [Int] ?? []).count <= 65_536)
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
        SPEED=1000 LD_PRELOAD=./clock.so bench-suite measure mobilenet-v2 --shape 1x3x32x32 --rounds 2 --time-budget 600 --output o.json
        """, in: folder)
      #expect(run.status == 0, "\(run.output)\(run.errors)")
      #expect(try visits(cells("o.json", in: folder)[0]).count == 2)
      #expect((try object("o.json", in: folder)["elapsed"] as? Double ?? 1e9) < 300)
    }
  }

  // MARK: Files

  @Test(arguments: [
    "report r.json --format csv --output x.json", "report r.json --format html --output x.md",
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
        bench-suite measure mobilenet-v2 $TINY --output r.json >/dev/null
        mkfifo pipe; touch target.csv private.csv; ln -s target.csv link.csv; chmod 600 private.csv
        mkdir sub; ln -s sub/new.csv dangling.csv
        cat pipe > piped & for file in /dev/null pipe link.csv private.csv dangling.csv; do
          bench-suite report r.json --format csv --output $file || exit; done; wait
        bench-suite report r.json --format csv --output /dev/stdout > redirected
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
        for model in mobilenet-v2 resnet-18; do bench-suite measure $model $TINY --output r.json || exit; done
        bench-suite measure mobilenet-v2 --shape 1x3x32x32 --time-budget 0.001 --output r.json
        printf '{"mine": 1}' > other.json
        bench-suite measure mobilenet-v2 $TINY --output other.json; echo "status $?"
        """, in: folder)
      #expect(run.output.contains("status 1") && run.errors.contains("not written over"), "\(run.errors)")
      #expect(try object("other.json", in: folder)["mine"] as? Int == 1)
      let model = { (name: String) in
        try (cells(name, in: folder)[0]["cell"] as? [String: Any])?["model"] as? String
      }
      #expect(try model("r.json") == "resnet-18")
      let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
      let kept = try #require(names.first { $0.hasPrefix("r-") && $0.hasSuffix(".json") })
      #expect(try model(kept) == "mobilenet-v2" && run.output.contains(kept))
    }
  }

  @Test func `21 output that nobody takes is one sentence, and a run goes on`() throws {
    try inFolder { folder in
      let run = try shell(
        """
        bench-suite measure mobilenet-v2 $TINY --output r.json > /dev/null
        bench-suite report r.json --format csv > /dev/full; echo $?
        bench-suite list models > /dev/full; echo $?
        bench-suite --help > /dev/full; echo $?
        bench-suite report r.json --format csv >&-; echo $?
        bench-suite measure mobilenet-v2 $TINY --output o.json > /dev/full; echo $?; grep -c firstInference o.json
        bench-suite measure mobilenet-v2 $TINY --output p.json >&-; echo $?; grep -c firstInference p.json
        bench-suite measure mobilenet-v2 $TINY --output o.json --json > /dev/null 2> /dev/full; echo $?
        bench-suite report nothing.json 2>&-; echo $?
        (trap '' PIPE; bench-suite measure mobilenet-v2 $TINY --output o.json | true; echo ${PIPESTATUS[0]})
        """, in: folder)
      #expect(
        run.output.split(separator: "\n") == ["1", "1", "1", "1", "1", "1", "1", "1", "0", "1", "1"], "\(run)")
      #expect(run.errors.components(separatedBy: "standard output cannot be written").count == 8, "\(run.errors)")
    }
  }

  @Test func `34 a regression is one where nothing can be kept, with both reports`() throws {
    try inFolder { folder in
      try write("exact:\n- {model: mobilenet-v2, shape: 1x3x32x32, isa: baseline}\n", "gate.yaml", in: folder)
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

  // MARK: Pictures and weights

  @Test func `07 28 37 weights as they are found`() throws {
    try inFolder { folder in
      let weights = { (name: String) in folder.appendingPathComponent(name) }
      try writeWeights(of: .mobileNetV2, to: weights("plain.st"))
      try writeWeights(of: .mobileNetV2, to: weights("uncounted.st")) { name, tensor in
        name.hasSuffix("num_batches_tracked") ? nil : plainWeights(tensor)
      }
      try writeWeights(of: .mobileNetV2, to: weights("parallel.st"), prefix: "module.")
      try writeWeights(of: .mobileNetV2, to: weights("double.st")) { _, tensor in
        guard tensor.type.dtype == .float32 else { return plainWeights(tensor) }
        return ("F64", tensor.values.map(Double.init).withUnsafeBytes { Data($0) })
      }
      try writeWeights(of: .mobileNetV2, to: weights("brain.st")) { _, tensor in
        guard tensor.type.dtype == .float32 else { return plainWeights(tensor) }
        return ("BF16", tensor.values.map { UInt16($0.bitPattern >> 16) }.withUnsafeBytes { Data($0) })
      }
      try writeWeights(of: .mobileNetV2, to: weights("nan.st")) { name, tensor in
        guard name == "classifier.1.bias" else { return plainWeights(tensor) }
        return ("F32", ([.nan] + tensor.values.dropFirst()).withUnsafeBytes { Data($0) })
      }
      let run = try shell(
        """
        for file in plain uncounted parallel double brain nan; do
          bench-suite measure mobilenet-v2 $TINY --weights $file.st --output $file.json > /dev/null; echo $file $?; done
        bench-suite measure mobilenet-v2 $TINY --output seeded.json > /dev/null
        """, in: folder)
      #expect(
        run.output.split(separator: "\n")
          == ["plain 0", "uncounted 0", "parallel 0", "double 0", "brain 0", "nan 1"], "\(run)")
      func digest(_ name: String) throws -> String? { try cells(name, in: folder)[0]["outputDigest"] as? String }
      for name in ["uncounted", "parallel", "double"] { #expect(try digest("\(name).json") == digest("plain.json")) }
      #expect(try digest("brain.json") != digest("plain.json"))
      // Loading takes what the tensors take, wherever they come from.
      func peak(_ name: String) throws -> Double {
        let figures = try visits(cells(name, in: folder)[0])[0]["figures"] as? [String: Double]
        return try #require(figures?["peak-resident"]) / 1_048_576
      }
      #expect(try abs(peak("plain.json") - peak("seeded.json")) < 6)
    }
  }

  @Test(.enabled(if: Shared.isPresent, Shared.isMissing)) func `10 11 13 28 pictures as they are found`() throws {
    try inFolder { folder in
      try writeWeights(of: .mobileNetV2, to: folder.appendingPathComponent("a.st"))
      try writeWeights(of: .mobileNetV2, to: folder.appendingPathComponent("nan.st")) { name, tensor in
        guard name == "classifier.1.bias" else { return plainWeights(tensor) }
        return ("F32", ([.nan] + tensor.values.dropFirst()).withUnsafeBytes { Data($0) })
      }
      let cases = Shared.path("cases")
      let run = try shell(
        """
        for file in 10-cmyk-jpeg/cmyk.jpg 11-exif-rotation/exif6.jpg 11-exif-rotation/upright.png 11-exif-rotation/plain.jpg; do
          bench-suite measure mobilenet-v2 $TINY --input '\(cases)'/$file --output o.json > /dev/null || echo failed
          grep -o '"input" : "[0-9a-f]*"' o.json; done
        (ulimit -v 6000000; bench-suite classify '\(cases)'/13-thin-picture/wide.png --weights a.st > /dev/null; echo $?)
        for json in "" --json; do bench-suite classify '\(cases)'/28-classify-nan/plain.jpg --weights nan.st $json; echo $?; done
        """, in: folder)
      let lines = run.output.split(separator: "\n")
      #expect(lines.count == 7 && !lines.contains("failed"), "\(run)")
      guard lines.count == 7 else { return }
      #expect(lines[1] == lines[2] && lines[1] != lines[3])
      #expect(lines[4...] == ["0", "3", "3"] && run.errors.contains("NaN"))
    }
  }

  // MARK: Git and folders of others

  /// A repository of somebody's own with a suite and two commits.
  private let repository = """
    export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
    git init -q -b main r && cd r && mkdir Suites && git config user.name n && git config user.email e
    for name in a b; do echo $name > f; git add f; git commit -qm $name; done

    """

  @Test func `16 a version is that of the program's own checkout`() throws {
    try inFolder { folder in
      let run = try shell(
        repository
          + "bench-suite measure mobilenet-v2 $TINY --output v.json > /dev/null; git rev-parse --short=12 HEAD",
        in: folder)
      let version = try #require(try object("r/v.json", in: folder)["version"] as? String)
      #expect(!version.contains(run.output.trimmingCharacters(in: .whitespacesAndNewlines)))
    }
  }

  @Test(.enabled(if: getuid() == 0, "only root gives files to others"))
  func `17 git's own words about a foreign checkout`() throws {
    try inFolder { folder in
      let run = try shell(
        repository
          + "cd ..; mkdir home; chown -R 4242:4242 r; cd r; export HOME=$PWD/../home; bench-suite compare; bench-suite compare HEAD~1 HEAD",
        in: folder)
      #expect(run.status == 1, "\(run)")
      #expect(
        run.errors.components(separatedBy: "git config --global --add safe.directory").count == 3, "\(run.errors)")
      let none = try shell(
        repository + "PATH=\(Program.folder.path) bench-suite compare HEAD~1 HEAD",
        in: folder.appendingPathComponent("home"))
      #expect(none.errors.contains("git is not installed"), "\(none.errors)")
    }
  }

  @Test func `18 19 from a hook and when interrupted, a build leaves index, worktrees and folders as they were`() throws
  {
    try inFolder { folder in
      // A toolchain that takes for ever, and a child that would outlive it.
      let run = try shell(
        repository + """
          mkdir ../bin; printf '#!/bin/sh\\necho $$ > "$MARK"; sleep 600 & wait\\n' > ../bin/swift; chmod +x ../bin/swift
          echo staged > f; git add f; cp .git/index ../index
          PATH=$PWD/../bin:$PATH MARK=$PWD/../mark GIT_DIR=$PWD/.git GIT_INDEX_FILE=$PWD/.git/index GIT_EXTERNAL_DIFF=false \
            GIT_WORK_TREE=/nonexistent bench-suite compare HEAD~1 HEAD & program=$!
          while [ ! -s ../mark ] && kill -0 $program; do sleep 0.05; done
          kill -TERM $program; wait $program; echo "status $?"
          cmp .git/index ../index && git worktree list | wc -l && ls Results/local/versions
          while kill -0 $(cat ../mark) 2>/dev/null; do sleep 0.05; done; echo ended
          """, in: folder)
      #expect(run.output.hasSuffix("status 130\n1\nended\n"), "\(run)")
    }
  }

  @Test func `44 found through PATH, or by a link, the program finds its suites`() throws {
    try inFolder { folder in
      let run = try shell(
        "mkdir none; cd none; bench-suite run smoke --dry-run && ln -s \"$(command -v bench-suite)\" b && ./b run smoke --dry-run",
        in: FileManager.default.temporaryDirectory.appendingPathComponent(folder.lastPathComponent))
      #expect(run.status == 0, "\(run)")
    }
  }

  @Test func `56 58 the patch that is printed is one, from wherever git takes it`() throws {
    try inFolder { folder in
      let run = try shell(
        repository + """
          mkdir -p bench/Suites/baselines && cd bench
          printf 'exact:\\n- {model: mobilenet-v2, shape: 1x3x32x32, isa: baseline}\\n' > Suites/gate.yaml
          bench-suite gate --exact-only --accept > /dev/null
          sed -i 's/"nodes" : [0-9]*/"nodes" : 1/' Suites/baselines/gate.json; git add -A; git commit -qm c
          git config diff.external 'echo external'; git config diff.noprefix true
          hint=$(GIT_EXTERNAL_DIFF='echo external' bench-suite gate --exact-only | grep -o 'git -C.*apply [^ ,]*')
          cd /; sh -c "$hint" && cd - > /dev/null && git status --short . && bench-suite gate --exact-only | grep '^PASS'
          """, in: folder)
      #expect(run.output.contains("M Suites/baselines/gate.json") || run.output.contains("M bench/Suites"), "\(run)")
      #expect(run.output.contains("PASS"), "\(run)")
    }
  }

  // MARK: Gates

  @Test(arguments: [
    ("instructions:\n  model: mobilenet-v2\n", "t.yaml:2: instructions must be a list"),
    ("exact: mobilenet-v2\n", "exact must be a list"), ("exact:\n", "exact must be a list"),
    ("exact: []\n", "exact is an empty list"),
    ("exact:\n- {model: mobilenet-v2, passes: []}\n", "passes is an empty list"),
    ("exact:\n- {model: mobilenet-v2}\nexact:\n- {model: resnet-18}\n", "exact"),
    ("exact:\n- {model: mobilenet-v2, threads: \"\"}\n", "threads"),
  ])
  func `20 a gate that would look at less than it says is a mistake`(yaml: String, message: String) throws {
    try inFolder { folder in
      try write(yaml, "t.yaml", in: folder)
      let run = try shell("bench-suite gate --suite t.yaml --exact-only --accept", in: folder)
      #expect(run.status == 1 && run.errors.contains(message), "\(run)")
    }
  }

  static let hasValgrind =
    (try? Program.run(["-c", "command -v valgrind && command -v strip"], executable: "/bin/sh").status) == 0

  @Test(.enabled(if: hasValgrind, "valgrind or strip is not installed"))
  func `41 a configuration that is counted both ways is held against both`() throws {
    try inFolder { folder in
      let cell = "- {model: mobilenet-v2, shape: 1x3x32x32, passes: all, isa: baseline}"
      try write("exact:\n\(cell)\ninstructions:\n\(cell)\n", "gate.yaml", in: folder)
      let run = try shell(
        """
        bench-suite gate --suite gate.yaml --exact-only --accept > /dev/null; bench-suite gate --suite gate.yaml --exact-only
        """, in: folder)
      #expect(run.status == 0 && run.output.contains("1 configuration counted: all exact metrics match"), "\(run)")
      let text = try String(contentsOf: folder.appendingPathComponent("Suites/baselines/gate.json"), encoding: .utf8)
      #expect(text.contains("\"instructions\"") && text.contains("\"weight-bytes\""))
    }
  }

  @Test func `49 where neither worker does anything, the gate says why`() throws {
    try inFolder { folder in
      try write("timed:\n- {model: mobilenet-v2, shape: 1x3x32x32, passes: all}\n", "gate.yaml", in: folder)
      let run = try shell(
        "bench-suite gate --suite gate.yaml --base-worker no-such-program --head-worker no-such-program", in: folder)
      #expect(run.status == 5 && run.output.contains("no-such-program is not found"), "\(run)")
    }
  }

  @Test func `a share is injected into any worker that obeys, and others are told apart`() throws {
    try inFolder { folder in
      try write("timed:\n- {model: mobilenet-v2, shape: 1x3x32x32, passes: all}\n", "gate.yaml", in: folder)
      let lib = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Suites/peers/lib").path
      try write(
        """
        import base64, subprocess, sys, time
        sys.path.insert(0, "\(lib)")
        import pacer_worker
        class Output:
            shape = (1,)
            def astype(self, kind): return self
            def tobytes(self): return b"\\0" * 4
        def infer():
            end = time.perf_counter() + 0.001
            while time.perf_counter() < end: pass
            return Output()
        pacer_worker.serve("slow", lambda: ("1", lambda cell, files: (infer, "cpu")))
        """, "slow.py", in: folder)
      let job =
        #"{"protocol":1,"action":"latency","minTime":0.01,"iterations":5,"slowdown":1.0,"files":{},"cell":{"backend":"cpu","threads":1}}"#
      let run = try shell("echo '\(job)' | python3 slow.py", in: folder)
      #expect(run.status == 0 && run.output.contains("\"slowsDown\": true"), "\(run)")
      let sample = try #require(run.output.split(separator: "\n").first { $0.contains("\"sample\"") })
      let numbers = sample.matches(of: #/\d+/#).compactMap { Double($0.output) }.suffix(5)
      #expect(numbers.allSatisfy { $0 >= 2e6 }, "\(sample)")

      let plain = try shell(
        """
        printf '#!/bin/sh\\nbench-suite worker | sed s/,\\\\"slowsDown\\\\":true// | sed s/\\\\"slowsDown\\\\":true,//' > w; chmod +x w
        bench-suite gate --suite gate.yaml --base-worker ./w --head-worker ./w --inject 100% --time-budget 2
        """, in: folder)
      #expect(plain.status == 3 && plain.output.contains("does not obey `slowdown`"), "\(plain)")
    }
  }

  // MARK: Workers and machines

  @Test func `24 a thread that cannot be made is an error, and too many for the processors are remarked on`() throws {
    try inFolder { folder in
      let run = try shell(
        """
        (ulimit -s 1048576; ulimit -v 12000000; bench-suite measure mobilenet-v2 $TINY --threads 64 --output o.json); echo $?
        taskset -c 0 bench-suite measure mobilenet-v2 $TINY --threads 1,4 --output t.json
        """, in: folder)
      #expect(run.output.contains("of 64 could not be started") && run.output.contains("\n1\n"), "\(run)")
      #expect(run.output.contains(": 4 threads share 1 processor."), "\(run)")
      let notes = try cells("t.json", in: folder).map { ($0["notes"] as? [String])?.count ?? 0 }
      #expect(notes == [0, 1])
    }
  }

  @Test func `29 50 a command keeps its spaces, and a result tells how it was made`() throws {
    try inFolder { folder in
      let run = try shell(
        """
        mkdir 'my tools'; printf '#!/bin/sh\\nexec "$@"\\n' > 'my tools/run'; chmod +x 'my tools/run'
        bench-suite measure mobilenet-v2 $TINY --worker-prefix "'my tools/run'" --output o.json
        """, in: folder)
      #expect(run.status == 0, "\(run)")
      let result = try object("o.json", in: folder)
      let command = try #require(result["command"] as? String)
      #expect(command.contains(#"--worker-prefix ''\''my tools/run'\'''"#), "\(command)")
      #expect(result["workerPrefix"] as? [String] == ["my tools/run"])
      #expect(try shell("\(command) > /dev/null", in: folder).status == 0)
    }
  }

  @Test func `35 a terminal without escapes gets none`() throws {
    try inFolder { folder in
      for terminal in ["dumb", ""] {
        let run = try shell(
          "script -qc \"bench-suite measure mobilenet-v2 $TINY --output o.json\" out > /dev/null; grep -c \"$(printf '\\033')\" out",
          ["TERM": terminal], in: folder)
        #expect(run.output == "0\n", "\(run)")
      }
    }
  }

  @Test(arguments: ["KILL", "HUP", "TERM", "INT"])
  func `however the runner ends, nothing of its workers is left`(signal: String) throws {
    try inFolder { folder in
      // A worker that would go on for ten minutes, started by a shell that ignores what it can.
      let run = try shell(
        """
        printf '#!/bin/sh\\ntrap "" HUP TERM INT\\necho $$ >> pids\\nexec 3<&0; "$@" <&3 & echo $! >> pids; wait\\n' > w; chmod +x w
        bench-suite measure mobilenet-v2 --shape 1x3x32x32 --min-time 600 --time-budget 2000 --timeout 2000 --worker-prefix ./w \
          --output o.json > out 2>&1 & program=$!
        while [ "$(wc -l < pids 2>/dev/null || echo 0)" -lt 6 ] && kill -0 $program; do sleep 0.05; done
        kill -\(signal) $program; wait $program; echo "status $?"
        for pid in $(cat pids); do while kill -0 $pid 2>/dev/null; do sleep 0.05; done; done; echo ended
        """, in: folder)
      #expect(run.output == "status \(signal == "KILL" ? 137 : 130)\nended\n", "\(run)")
    }
  }
}

/// Siblings of those faults, found by trying.
@Suite struct SiblingTests {
  private let faults = FaultTests()

  @Test func `one run writes at a time, links and modes stay, and what is not ours is not written over`() throws {
    try faults.inFolder { folder in
      let run = try faults.shell(
        """
        bench-suite measure mobilenet-v2 --shape 1x3x32x32 --rounds 1000 --min-time 1 --time-budget 100 --output r.json > /dev/null 2>&1 & first=$!
        while [ ! -e .r.json.lock ]; do sleep 0.02; done
        bench-suite measure mobilenet-v2 $TINY --output r.json; echo "second $?"; kill -TERM $first; wait $first
        rm -f r.*; mkdir store; ln -s store/x.json r.json; touch store/x.json; chmod 600 store/x.json
        for _ in 1 2; do bench-suite measure mobilenet-v2 $TINY --output r.json > /dev/null; done
        test -L r.json && stat -c %a store/x.json && ls r-*.json | wc -l
        echo mine > other.md; bench-suite measure mobilenet-v2 $TINY --output other.json; echo "other $?"; cat other.md
        bench-suite measure mobilenet-v2 $TINY --output v1.2 > /dev/null; ls v1.2 v1.2.md
        bench-suite report r.json --format github-action-benchmark --output r.json; echo "report $?"
        bench-suite memory mobilenet-v2 --shape 1x3x32x32 --output v.json > /dev/null
        bench-suite memory mobilenet-v2 --shape 1x3x64x64 --output v.json > /dev/null 2>&1; ls v-*.json | wc -l
        """, in: folder)
      let lines = run.output.split(separator: "\n").filter { !$0.hasPrefix("note:") && !$0.contains("configuration") }
      #expect(
        lines == ["second 1", "600", "1", "other 1", "mine", "v1.2", "v1.2.md", "report 1", "1"], "\(run)")
      #expect(run.errors.contains("another run is writing") && run.errors.contains("no report of Pacer"))
    }
  }

  @Test func `a run is not resumed under another instruction set or on another machine`() throws {
    try faults.inFolder { folder in
      let run = try faults.shell(
        """
        PACER_ISA=baseline bench-suite measure mobilenet-v2 $TINY --output o.json > /dev/null
        sed 's/"processor" : "[^"]*"/"processor" : "Other"/' o.json > p.json
        PACER_ISA=baseline bench-suite measure mobilenet-v2 $TINY --resume --output o.json > /dev/null; echo $?
        PACER_ISA=baseline bench-suite measure mobilenet-v2 $TINY --resume --output p.json > /dev/null; echo $?
        """, in: folder)
      #expect(run.output == "0\n1\n" && run.errors.contains("measured elsewhere: processor Other"), "\(run)")
    }
  }

  @Test func `a gate tells of what it no longer looks at, and two suites of one name have two baselines`() throws {
    try faults.inFolder { folder in
      let run = try faults.shell(
        """
        mkdir other; suite() { printf 'exact:\\n- {model: ['"$1"'], shape: 1x3x32x32, passes: none, isa: baseline}\\n' > $2; }
        suite mobilenet-v2,resnet-18 gate.yaml; suite resnet-18 other/gate.yaml
        bench-suite gate --suite gate.yaml --exact-only --accept > /dev/null
        bench-suite gate --suite other/gate.yaml --exact-only --accept > /dev/null; ls Suites/baselines
        bench-suite gate --suite gate.yaml --exact-only > /dev/null; echo $?
        suite mobilenet-v2 gate.yaml
        bench-suite gate --suite gate.yaml --exact-only | grep -c 'no longer in the suite'
        bench-suite gate --suite gate.yaml --exact-only --strict > /dev/null; echo $?
        bench-suite gate --suite gate.yaml --exact-only --accept | grep -o 'without 1 configuration'
        """, in: folder)
      #expect(
        run.output.split(separator: "\n") == [
          "gate.json", "other-gate.json", "0", "1", "2", "without 1 configuration",
        ],
        "\(run)")
    }
  }

  @Test(arguments: [
    "gate HEAD~1 --exact-only", "gate --exact-only --inject 3%", "gate --inject-in 2", "gate --gates 3",
    "gate --trials same",
    "gate --inject 3% --inject-in 0", "gate --exact-only --junit x --output x", "profile --diff a b --json",
    "profile --diff a b --passes none", "gate --exact-only --time-budget 5",
  ])
  func `an option that would do nothing is a usage error`(words: String) throws {
    try faults.inFolder { folder in
      let run = try faults.shell("bench-suite \(words)", in: folder)
      #expect(run.status == 64, "\(run)")
    }
  }

  @Test func `what is no regular file is no weights and no picture, and two sets of weights are none`() throws {
    try faults.inFolder { folder in
      try writeWeights(of: .mobileNetV2, to: folder.appendingPathComponent("w.st"), prefix: "ema.")
      let run = try faults.shell(
        """
        mkfifo pipe
        for option in "--weights pipe" "--input pipe" "--weights /dev/zero" "--input ."; do
          bench-suite measure mobilenet-v2 $TINY $option --output o.json; echo $?; done
        bench-suite classify pipe --weights w.st; echo $?
        bench-suite classify x --weights pipe; echo $?
        bench-suite measure mobilenet-v2 $TINY --output o.json > /dev/null
        bench-suite report <(cat o.json) --format csv | wc -l
        """, in: folder)
      #expect(run.output.split(separator: "\n") == ["1", "1", "1", "1", "1", "1", "2"], "\(run)")
    }
  }

  @Test func `words of a worker are one line of a table, whatever is in them`() throws {
    try faults.inFolder { folder in
      try faults.write(
        """
        import json, sys
        sys.stdin.readline()
        for line in [dict(kind="hello", engine="odd", version="1", protocol=1), dict(kind="failed", reason="\\x1b[31mred |\\nsecond\\uffff")]:
            print(json.dumps(line), flush=True)
        """, "Suites/peers/odd.py", in: folder)
      let run = try faults.shell(
        "bench-suite measure mobilenet-v2 --engine odd $TINY --output e.json > /dev/null; bench-suite report e.json",
        in: folder)
      let row = run.output.split(separator: "\n").first { $0.contains("FAILED") }
      #expect(row?.contains("red \\| second") == true && !run.output.contains("\u{1b}"), "\(run)")
    }
  }
}
