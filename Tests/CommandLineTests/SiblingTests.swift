import Foundation
import GraphCore
import ModelZoo
import TensorCore
import TestSupport
import Testing

/// Siblings of those faults, found by trying.
@Suite struct SiblingTests {
  @Test func `one run writes at a time, links and modes stay, and what is not ours is not written over`() throws {
    try inFolder { folder in
      let run = try shell(
        """
        bench-suite measure mobilenet-v2 --shape 1x3x32x32 --rounds 1000 --min-time 1 --time-budget 100 --output r.jsonl > /dev/null 2>&1 & first=$!
        while [ ! -e .r.jsonl.lock ] && kill -0 $first; do sleep 0.02; done
        bench-suite measure mobilenet-v2 $TINY --output r.jsonl; echo "second $?"; kill -TERM $first; wait $first
        rm -f r.*; mkdir store; ln -s store/x.jsonl r.jsonl; touch store/x.jsonl; chmod 600 store/x.jsonl
        for _ in 1 2; do bench-suite measure mobilenet-v2 $TINY --output r.jsonl > /dev/null; done
        test -L r.jsonl && stat -c %a store/x.jsonl && ls r-*.jsonl | wc -l
        echo mine > other.md; bench-suite measure mobilenet-v2 $TINY --output other.jsonl; echo "other $?"; cat other.md
        bench-suite measure mobilenet-v2 $TINY --output v1.2 > /dev/null; ls v1.2 v1.2.md
        bench-suite report r.jsonl --format github-action-benchmark --output s.json && cp r.jsonl s.json; bench-suite report r.jsonl --format github-action-benchmark --output s.json; echo "report $?"
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
    try inFolder { folder in
      let run = try shell(
        """
        PACER_ISA=sse2 bench-suite measure mobilenet-v2 $TINY --output o.jsonl > /dev/null
        sed 's/"processor":"[^"]*"/"processor":"Other"/' o.jsonl > p.jsonl
        PACER_ISA=sse2 bench-suite measure mobilenet-v2 $TINY --resume --output o.jsonl > /dev/null; echo $?
        PACER_ISA=sse2 bench-suite measure mobilenet-v2 $TINY --resume --output p.jsonl > /dev/null; echo $?
        """, in: folder)
      #expect(run.output == "0\n1\n" && run.errors.contains("measured elsewhere: processor Other"), "\(run)")
    }
  }

  @Test func `a gate tells of what it no longer looks at, and two suites of one name have two baselines`() throws {
    try inFolder { folder in
      let run = try shell(
        """
        mkdir other; suite() { printf 'exact:\\n- {model: ['"$1"'], shape: 1x3x32x32, passes: none, isa: sse2}\\n' > $2; }
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
    try inFolder { folder in
      let run = try shell("bench-suite \(words)", in: folder)
      #expect(run.status == 64, "\(run)")
    }
  }

  @Test func `what is no regular file is no weights and no picture, and two sets of weights are none`() throws {
    try inFolder { folder in
      try writeWeights(of: .mobileNetV2, to: folder.appendingPathComponent("w.st"), prefix: "ema.")
      let run = try shell(
        """
        mkfifo pipe
        for option in "--weights pipe" "--input pipe" "--weights /dev/zero" "--input ."; do
          bench-suite measure mobilenet-v2 $TINY $option --output o.jsonl; echo $?; done
        bench-suite classify pipe --weights w.st; echo $?
        bench-suite classify x --weights pipe; echo $?
        bench-suite measure mobilenet-v2 $TINY --output o.jsonl > /dev/null
        bench-suite report <(cat o.jsonl) --format csv | wc -l
        """, in: folder)
      #expect(run.output.split(separator: "\n") == ["1", "1", "1", "1", "1", "1", "2"], "\(run)")
    }
  }

  @Test func `words of a worker are one line of a table, whatever is in them`() throws {
    try inFolder { folder in
      try write(
        """
        import json, sys
        sys.stdin.readline()
        for line in [dict(kind="hello", engine="odd", version="1", protocol=2), dict(kind="failed", reason="\\x1b[31mred |\\nsecond\\uffff")]:
            print(json.dumps(line), flush=True)
        """, "Suites/peers/odd.py", in: folder)
      let run = try shell(
        "bench-suite measure mobilenet-v2 --engine odd $TINY --output e.jsonl > /dev/null; bench-suite report e.jsonl",
        in: folder)
      let row = run.output.split(separator: "\n").first { $0.contains("FAILED") }
      #expect(row?.contains("red \\| second") == true && !run.output.contains("\u{1b}"), "\(run)")
    }
  }
}
