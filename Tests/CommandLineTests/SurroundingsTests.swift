import Foundation
import GraphCore
import ModelZoo
import TensorCore
import TestSupport
import Testing

/// Faults of pictures, weights, repositories, gates, workers and machines.
@Suite struct SurroundingsTests {
  // MARK: Pictures and weights

  @Test func `07 28 37 weights as they are found`() throws {
    try inFolder { folder in
      let weights = { (name: String) in folder.appendingPathComponent(name) }
      try writeWeights(of: .mobileNetV2, to: weights("plain.st"))
      try writeWeights(of: .mobileNetV2, to: weights("uncounted.st")) { name, tensor in
        name.hasSuffix("num_batches_tracked") ? nil : plainWeights(tensor)
      }
      try writeWeights(of: .mobileNetV2, to: weights("parallel.st"), prefix: "module.")
      try writeTorchWeights(of: .mobileNetV2, to: weights("torch.pth"))
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
      try writeWeights(of: .mobileNetV2, to: weights("tiny.st")) { name, tensor in
        guard name == "classifier.1.bias" else { return plainWeights(tensor) }
        return (
          "F32",
          ([Float.leastNormalMagnitude / 2, -Float.leastNormalMagnitude / 8] + tensor.values.dropFirst(2))
            .withUnsafeBytes { Data($0) }
        )
      }
      let run = try shell(
        """
        bench-suite measure mobilenet-v2 $TINY --weights tiny.st --output tiny.jsonl > /dev/null
        for file in plain uncounted parallel double brain nan; do
          bench-suite measure mobilenet-v2 $TINY --weights $file.st --output $file.jsonl > /dev/null; echo $file $?; done
        bench-suite measure mobilenet-v2 $TINY --weights torch.pth --output torch.jsonl > /dev/null
        bench-suite measure mobilenet-v2 $TINY --output seeded.jsonl > /dev/null
        """, in: folder)
      #expect(
        run.output.split(separator: "\n")
          == ["plain 0", "uncounted 0", "parallel 0", "double 0", "brain 0", "nan 1"], "\(run)")
      func digest(_ name: String) throws -> String? { try inspected(name, in: folder)["output"] as? String }
      for name in ["uncounted", "parallel", "double", "torch"] {
        #expect(try digest("\(name).jsonl") == digest("plain.jsonl"))
      }
      #expect(try digest("brain.jsonl") != digest("plain.jsonl"))
      let notes = try inspected("tiny.jsonl", in: folder)["notes"] as? [String]
      #expect(notes?.first?.hasPrefix("2 of the weights are denormal") == true)
      // Loading takes what the tensors take, wherever they come from.
      func peak(_ name: String) throws -> Double {
        let readings = try runs(name, in: folder)[0]["metrics"] as? [String: Double]
        return try #require(readings?["peak-resident"]) / 1_048_576
      }
      for name in ["plain.jsonl", "torch.jsonl"] { #expect(try abs(peak(name) - peak("seeded.jsonl")) < 6, "\(name)") }
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
          bench-suite measure mobilenet-v2 $TINY --input '\(cases)'/$file --output o.jsonl > /dev/null || echo failed
          grep -o '"input":"[0-9a-f]*"' o.jsonl; done
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
          + "bench-suite measure mobilenet-v2 $TINY --output v.jsonl > /dev/null; git rev-parse --short=12 HEAD",
        in: folder)
      let version = try #require(try lines("r/v.jsonl", in: folder)[0]["version"] as? String)
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
          printf 'exact:\\n- {model: mobilenet-v2, shape: 1x3x32x32, isa: sse2}\\n' > Suites/gate.yaml
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
      let row = "- {model: mobilenet-v2, shape: 1x3x32x32, passes: all, isa: sse2}"
      try write("exact:\n\(row)\ninstructions:\n\(row)\n", "gate.yaml", in: folder)
      let run = try shell(
        """
        bench-suite gate --suite gate.yaml --exact-only --accept > /dev/null; bench-suite gate --suite gate.yaml --exact-only
        """, in: folder)
      #expect(
        run.status == 0 && run.output.contains("1 configuration counted: all deterministic metrics match"), "\(run)")
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
        pacer_worker.serve("slow", lambda: ("1", lambda configuration, onnx, feed: (infer, "cpu")))
        """, "slow.py", in: folder)
      let job =
        #"{"protocol":2,"action":"latency","minSeconds":0.01,"iterations":5,"slowdown":1.0,"files":{},"configuration":{"model":"m"}}"#
      let run = try shell("echo '\(job)' | python3 slow.py", in: folder)
      #expect(run.status == 0 && run.output.contains("\"obeysSlowdown\": true"), "\(run)")
      let sample = try #require(run.output.split(separator: "\n").first { $0.contains("\"sample\"") })
      let numbers = sample.matches(of: #/\d+/#).compactMap { Double($0.output) }.suffix(5)
      #expect(numbers.allSatisfy { $0 >= 2e6 }, "\(sample)")

      let plain = try shell(
        """
        printf '#!/bin/sh\\npacer-worker | sed s/,\\\\"obeysSlowdown\\\\":true// | sed s/\\\\"obeysSlowdown\\\\":true,//' > w; chmod +x w
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
        (ulimit -s 1048576; ulimit -v 12000000; bench-suite measure mobilenet-v2 $TINY --threads 64 --output o.jsonl); echo $?
        taskset -c 0 bench-suite measure mobilenet-v2 $TINY --threads 1,4 --output t.jsonl
        """, in: folder)
      #expect(run.output.contains("of 64 could not be started") && run.output.contains("\n1\n"), "\(run)")
      #expect(run.output.contains(": 4 threads share 1 processor."), "\(run)")
      let notes = try (0..<2).map { try (inspected("t.jsonl", row: $0, in: folder)["notes"] as? [String])?.count ?? 0 }
      #expect(notes == [0, 1])
    }
  }

  @Test func `29 50 a command keeps its spaces, and a result tells how it was made`() throws {
    try inFolder { folder in
      let run = try shell(
        """
        mkdir 'my tools'; printf '#!/bin/sh\\nexec "$@"\\n' > 'my tools/run'; chmod +x 'my tools/run'
        bench-suite measure mobilenet-v2 $TINY --worker-prefix "'my tools/run'" --output o.jsonl
        """, in: folder)
      #expect(run.status == 0, "\(run)")
      let result = try lines("o.jsonl", in: folder)[0]
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
          "script -qc \"bench-suite measure mobilenet-v2 $TINY --output o.jsonl\" out > /dev/null; grep -c \"$(printf '\\033')\" out",
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
          --output o.jsonl > out 2>&1 & program=$!
        while [ "$(wc -l < pids 2>/dev/null || echo 0)" -lt 6 ] && kill -0 $program; do sleep 0.05; done
        kill -\(signal) $program; wait $program; echo "status $?"
        for pid in $(cat pids); do while kill -0 $pid 2>/dev/null; do sleep 0.05; done; done; echo ended
        """, in: folder)
      #expect(run.output == "status \(signal == "KILL" ? 137 : 130)\nended\n", "\(run)")
    }
  }
}
