import Foundation
import Testing

/// `optimize`, and what measures the files that it writes.
@Suite struct OptimizeTests {
  /// Half a second.
  private static let tiny = "--iterations 1 --warmup 0 --rounds 1"

  private func optimize(_ words: String, in folder: URL) throws {
    let run = try shell(
      "bench-suite optimize mobilenet-v2 --shape 1x3x32x32 --skip-check -o m.pacer \(words)", in: folder)
    #expect(run.status == 0, "\(run)")
  }

  @Test func `a model is saved, measured, profiled, placed and written as ONNX`() throws {
    try inFolder { folder in
      let saved = try shell(
        "bench-suite optimize mobilenet-v2 --shape 1x3x32x32 --disable winograd -o m.pacer --json", in: folder)
      #expect(saved.status == 0, "\(saved.errors)")
      let told = try #require(
        try JSONSerialization.jsonObject(with: Data(saved.output.utf8)) as? [String: Any], "\(saved.output)")
      let variants = try #require(told["variants"] as? [[String: Any]])
      #expect(variants.map { $0["instructionSet"] as? String } == [nil, "sse2", "avx2", "avx512", "neon"])
      #expect((told["passes"] as? [String])?.contains("winograd") == false)
      let size = try FileManager.default.attributesOfItem(atPath: folder.appendingPathComponent("m.pacer").path)[.size]
      #expect(told["byteCount"] as? Int == size as? Int)

      let run = try shell("bench-suite measure m.pacer --huge-pages off,on \(Self.tiny) --output o.jsonl", in: folder)
      #expect(run.status == 0, "\(run)")
      let rows = try rows("o.jsonl", in: folder)
      #expect(rows.allSatisfy { $0["status"] as? String == "measured" }, "\(rows)")
      #expect(rows.allSatisfy { ($0["label"] as? String)?.contains("optimised") == true }, "\(rows)")
      // The copy is held against the mapping.
      #expect(rows.map { $0["ratio"] is [String: Any] } == [false, true], "\(rows)")
      let notes = try (0..<2).map { try inspected("o.jsonl", row: $0, in: folder)["notes"] as? [String] ?? [] }
      #expect(!notes.joined().contains { $0.contains("packed at load") }, "\(notes)")
      // What is mapped is there once, a copy twice.
      let (peaks, weights) = try (
        rows.map { try #require(metrics($0)["peak-resident"]) }, #require(metrics(rows[0])["weight-bytes"])
      )
      #expect(peaks[0] + weights / 4 < peaks[1], "\(peaks)")

      for command in [
        "memory m.pacer --output memory.json", "profile m.pacer --output p.json", "placement m.pacer --isa neon --plan",
        "export m.pacer --output again.onnx",
      ] {
        let run = try shell("bench-suite \(command)", in: folder)
        #expect(run.status == 0, "\(command): \(run)")
      }
    }
  }

  @Test func `what it is not packed for is packed at load, and huge pages take a copy`() throws {
    try inFolder { folder in
      try optimize("--isa neon", in: folder)
      let run = try shell(
        "bench-suite measure m.pacer --huge-pages off,on \(Self.tiny) --output o.jsonl", in: folder)
      #expect(run.status == 0, "\(run)")
      let notes = try (0..<2).map { try inspected("o.jsonl", row: $0, in: folder)["notes"] as? [String] ?? [] }
      #expect(notes.allSatisfy { $0.contains { $0.contains("packed at load") } }, "\(notes)")
      #expect(notes.map { $0.contains { $0.contains("copied out of the file") } } == [false, true], "\(notes)")
    }
  }

  @Test func `inputs that come with it are what it is measured on`() throws {
    try inFolder { folder in
      var image = Data(count: 3 * 32 * 32 * 4)
      image[5] = 42
      try image.write(to: folder.appendingPathComponent("x.bin"))
      try optimize("--isa avx2 --bundle-input x.bin", in: folder)
      func input(_ options: String) throws -> String? {
        let run = try shell("bench-suite measure \(options) \(Self.tiny) --output o.jsonl", in: folder)
        #expect(run.status == 0, "\(options): \(run)")
        return (try inspected("o.jsonl", in: folder)["prepared"] as? [String: Any])?["input"] as? String
      }
      let bundled = try #require(try input("m.pacer"))
      #expect(try input("m.pacer --input x.bin") == bundled)
      try Data(count: image.count).write(to: folder.appendingPathComponent("x.bin"))
      #expect(try input("m.pacer --input x.bin") != bundled)
      let wrong = try shell(
        "bench-suite optimize resnet-18 --shape 1x3x64x64 --bundle-input x.bin -o n.pacer", in: folder)
      #expect(wrong.status == 1 && wrong.errors.contains("needs"), "\(wrong)")
    }
  }

  @Test func `what it settles itself, what cannot read it and what is no such file is said`() throws {
    try inFolder { folder in
      try optimize("--isa sse2", in: folder)
      try write(
        """
        import json, sys
        json.loads(sys.stdin.readline())
        print(json.dumps({"kind": "hello", "engine": "one", "version": "7", "protocol": 2}))
        """, "Suites/peers/one.py", in: folder)
      let run = try shell("bench-suite measure m.pacer --engine pacer,one \(Self.tiny) --output o.jsonl", in: folder)
      #expect(run.status == 0, "\(run)")
      #expect((try rows("o.jsonl", in: folder)[1]["reason"] as? String) == "one reads no .pacer files")
      try write("a letter", "letter", in: folder)
      try write("a letter", "letter.pacer", in: folder)
      for (words, status, message) in [
        ("measure m.pacer --passes all", 1, "optimised already"),
        ("measure m.pacer --disable freeze", 1, "optimised already"),
        ("measure m.pacer --preset latest", 1, "optimised already"),
        ("measure m.pacer --weights w.safetensors", 1, "has its own"),
        ("measure m.pacer --shape 1x3x64x64", 1, "are fixed"), ("measure letter.pacer", 64, "no .pacer file"),
        ("optimize m.pacer -o n.pacer", 1, "optimised already"),
        ("optimize mobilenet-v2 --disable freze", 64, "freeze?"),
        ("optimize mobilenet-v2 --isa avx3", 64, "avx2?"), ("optimize mobilenet-v2 -o m.onnx", 64, ".pacer"),
        ("optimize mobilenet-v2 --shape 1x3x32x32 --skip-check --isa sse2 -o letter", 1, "not written over"),
      ] as [(String, Int32, String)] {
        let result = try shell("bench-suite \(words)", in: folder)
        #expect(result.status == status && result.errors.contains(message), "\(words): \(result)")
      }
      #expect(
        FileManager.default.contents(atPath: folder.appendingPathComponent("letter").path) == Data("a letter".utf8))
    }
  }

  @Test func `a file that is cut short while it runs ends that process, which says so`() throws {
    try inFolder { folder in
      try optimize("--isa sse2,avx2,avx512,neon", in: folder)
      let path = folder.appendingPathComponent("m.pacer").path
      let job = """
        {"protocol":2,"action":"latency","configuration":{"model":"\(path)@0123456789abcdef","huge-pages":false},\
        "iterations":1,"minSeconds":0.1,"warmup":0,"interleaved":true,"files":{"pacer":"\(path)","inputs":"inputs.json"}}
        """
      try write(job, "job", in: folder)
      try Data(count: 3 * 32 * 32 * 4).write(to: folder.appendingPathComponent("x.bin"))
      try write(
        "[{\"name\":\"input\",\"type\":\"float32\",\"shape\":[1,3,32,32],\"file\":\"x.bin\"}]", "inputs.json",
        in: folder)
      let run = try shell(
        """
        trap '' PIPE
        coproc W { pacer-worker; }
        exec 3<&${W[0]} 4>&${W[1]}; pid=$W_PID
        cat job >&4; echo >&4
        while read -r line <&3; do case "$line" in *'"ready"'*) break;; *failed*) echo "$line";; esac; done
        truncate -s 8192 m.pacer
        echo >&4; echo >&4 2>/dev/null
        cat <&3; wait $pid; echo "status $?"
        """, in: folder)
      #expect(run.output.contains("status 135") && run.errors.contains("cut short"), "\(run)")
    }
  }

  @Test func `a file that was cut short fails its runs, and no others`() throws {
    try inFolder { folder in
      try optimize("--isa sse2", in: folder)
      // Cut before anything but an inspection and the oracle: workers are started with the job on their standard input.
      try write(
        """
        read -r job
        case "$job" in *'"action":"latency"'*m.pacer*|*m.pacer*'"action":"latency"'*) truncate -s 8192 m.pacer;; esac
        (printf '%s\\n' "$job"; cat) | "$@"
        """, "cut.sh", in: folder)
      let run = try shell(
        "bench-suite measure m.pacer,mobilenet-v2 --iterations 1 --warmup 0 --rounds 1 --timeout 20 --worker-prefix 'bash cut.sh' --output o.jsonl",
        in: folder)
      let rows = try rows("o.jsonl", in: folder)
      #expect(run.status == 1 && rows.count == 2, "\(run)")
      #expect(rows[1]["status"] as? String == "measured", "\(rows)")
      #expect("\(run.output)\(run.errors)".contains("cut short"), "\(run)")
    }
  }
}
