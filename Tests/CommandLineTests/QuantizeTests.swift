import Foundation
import Testing

/// `--precision int8` and `quantize`.
@Suite struct QuantizeTests {
  private static let tiny = "--iterations 1 --warmup 0 --rounds 1 --shape 1x3x32x32"

  @Test func `int8 is measured where there are kernels, and says why where there are none`() throws {
    try inFolder { folder in
      let run = try shell(
        "bench-suite measure resnet-18 --precision int8 --passes all --format nhwc,nchw \(Self.tiny) --output o.jsonl",
        in: folder)
      let rows = try rows("o.jsonl", in: folder)
      #expect(rows.map { $0["status"] as? String } == ["measured", "unavailable"], "\(run)")
      #expect("\(rows[1])".contains("no int8 kernels"), "\(rows[1])")
    }
  }

  @Test func `ranges that each inference finds are a row of their own`() throws {
    try inFolder { folder in
      let run = try shell(
        "bench-suite measure mobilenet-v2 --precision fp32,int8 --observer dynamic --passes all --activation-bits 8,7 "
          + "\(Self.tiny) --output o.jsonl", in: folder)
      let rows = try rows("o.jsonl", in: folder)
      #expect(rows.map { $0["status"] as? String } == ["measured", "measured", "unavailable"], "\(run)")
      #expect("\(rows.last ?? [:])".contains("leave out activation-bits"), "\(rows)")
      let told = try shell(
        "bench-suite quantize mobilenet-v2 --shape 1x3x32x32 --observer dynamic -o q.onnx --json", in: folder)
      #expect(told.status == 0, "\(told.errors)")
      #expect(
        told.output.contains("ranges by each inference") && !told.output.contains("corrected biases"), "\(told.output)")
    }
  }

  @Test func `layers are told by error, and the file is smaller and runs`() throws {
    try inFolder { folder in
      let told = try shell(
        "bench-suite quantize resnet-18 --shape 1x3x32x32 --observer min-max --keep-float fc -o q.pacer --json",
        in: folder)
      #expect(told.status == 0, "\(told.errors)")
      let survey = try #require(
        try JSONSerialization.jsonObject(with: Data(told.output.utf8)) as? [String: Any], "\(told.output)")
      let layers = try #require(survey["layers"] as? [[String: Any]])
      #expect(layers.count == 20 && !layers.contains { $0["node"] as? String == "fc" })
      let noise = layers.map { $0["signalToNoise"] as? Double ?? .infinity }
      #expect(noise == noise.sorted())
      let all = try #require(survey["signalToNoise"] as? Double)
      #expect(all > 10 && all < noise[0])
      let kept = try #require(survey["kept"] as? [[String: Any]])
      #expect(kept.count == 4 && (kept[3]["signalToNoise"] as? Double ?? 0) > all, "\(kept)")
      let (plain, narrow) = (survey["weightBytes"] as? Int ?? 0, survey["quantizedWeightBytes"] as? Int ?? 0)
      #expect(narrow * 3 < plain, "\(narrow) of \(plain)")
      let run = try shell(
        "bench-suite measure q.pacer --iterations 1 --warmup 0 --rounds 1 --output q.jsonl", in: folder)
      #expect(run.status == 0, "\(run)")
      #expect(try rows("q.jsonl", in: folder).allSatisfy { $0["status"] as? String == "measured" })
    }
  }

  @Test func `as many of the worst layers stay in float32 as an error that is asked for takes`() throws {
    try inFolder { folder in
      let told = try shell(
        "bench-suite quantize mobilenet-v2 --shape 1x3x32x32 --observer min-max --correct-bias off "
          + "--least-signal-to-noise 25 -o q.pacer --json", in: folder)
      #expect(told.status == 0, "\(told.errors)")
      let survey = try #require(
        try JSONSerialization.jsonObject(with: Data(told.output.utf8)) as? [String: Any], "\(told.output)")
      let all = try #require(survey["signalToNoise"] as? Double)
      let target = try #require(survey["target"] as? [String: Any])
      let kept = try #require(target["kept"] as? [String: Any])
      let nodes = try #require(kept["nodes"] as? [String])
      #expect(all < 25 && (kept["signalToNoise"] as? Double ?? 0) >= 25, "\(kept)")
      let layers = try #require(survey["layers"] as? [[String: Any]])
      #expect(!nodes.isEmpty && nodes.count < layers.count)
      #expect(nodes == layers.prefix(nodes.count).map { $0["node"] as? String })
      // The same, told by name; and with one fewer, it is not.
      let fewer = try shell(
        "bench-suite quantize mobilenet-v2 --shape 1x3x32x32 --observer min-max --correct-bias off --skip-layers "
          + "--keep-float \(nodes.dropLast().joined(separator: "+")) --json", in: folder)
      let less = try #require(
        try JSONSerialization.jsonObject(with: Data(fewer.output.utf8)) as? [String: Any], "\(fewer)")
      #expect(less["signalToNoise"] as? Double ?? .infinity < 25, "\(less)")
      let named = try shell(
        "bench-suite quantize mobilenet-v2 --shape 1x3x32x32 --observer min-max --correct-bias off --skip-layers "
          + "--keep-float \(nodes.joined(separator: "+")) -o named.pacer --json", in: folder)
      #expect(named.status == 0, "\(named.errors)")
      func file(_ name: String) throws -> Data { try Data(contentsOf: folder.appendingPathComponent(name)) }
      #expect(try file("q.pacer") == file("named.pacer"))
      let beyond = try shell(
        "bench-suite quantize mobilenet-v2 --shape 1x3x32x32 --observer min-max --correct-bias off --prepare-int8 relu "
          + "--least-signal-to-noise 200 -o beyond.pacer", in: folder)
      #expect(beyond.status == 1 && beyond.errors.contains("--prepare-int8 relu has changed"), "\(beyond)")
      #expect(!FileManager.default.fileExists(atPath: folder.appendingPathComponent("beyond.pacer").path))
    }
  }

  @Test func `an ONNX file has the integers, and is measured as any other`() throws {
    try inFolder { folder in
      let told = try shell(
        "bench-suite quantize resnet-18 --shape 1x3x32x32 --skip-layers --prepare-int8 relu+equalize -o q.onnx",
        in: folder)
      #expect(told.status == 0, "\(told.errors)")
      let size = try FileManager.default.attributesOfItem(atPath: folder.appendingPathComponent("q.onnx").path)[.size]
      #expect(try #require(size as? Int) < 12_500_000)
      let run = try shell(
        "bench-suite measure q.onnx --passes all,recognise-quantised --iterations 1 --warmup 0 --rounds 1 --output q.jsonl",
        in: folder)
      #expect(run.status == 0, "\(run)")
      let rows = try rows("q.jsonl", in: folder)
      #expect(rows.map { $0["status"] as? String } == ["measured", "unavailable"], "\(rows)")
      let reason = rows.last?["reason"] as? String ?? ""
      #expect(reason.contains("int8 kernels"), "\(rows)")
    }
  }

  @Test func `a folder of samples, and choices that are none of float32's`() throws {
    try inFolder { folder in
      let samples = folder.appendingPathComponent("samples")
      try FileManager.default.createDirectory(at: samples, withIntermediateDirectories: false)
      // As NumPy writes it.
      var header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 32, 32), }"
      header += String(repeating: " ", count: 117 - header.count) + "\n"
      for (name, value) in [("a", Float(0.5)), ("b", -1.5)] {
        var data = Data([0x93]) + Data("NUMPY".utf8) + Data([1, 0, 118, 0]) + Data(header.utf8)
        for i in 0..<3072 { withUnsafeBytes(of: value * Float(i % 7)) { data.append(contentsOf: $0) } }
        try data.write(to: samples.appendingPathComponent(name + ".npy"))
      }
      let run = try shell(
        "bench-suite measure mobilenet-v2 --precision fp32,int8 --calibrate samples --observer min-max \(Self.tiny) "
          + "--output o.jsonl", in: folder)
      let rows = try rows("o.jsonl", in: folder)
      #expect(rows.count == 2, "\(run)")
      #expect(rows.filter { "\($0["label"] ?? "")".contains("min-max") }.count == 1, "\(rows)")
      #expect(rows.allSatisfy { $0["status"] as? String != "failed" }, "\(rows)")
      let slip = try shell("bench-suite measure mobilenet-v2 --activation-bits 7 \(Self.tiny)", in: folder)
      #expect(slip.status == 1 && slip.errors.contains("it is for precision int8"), "\(slip)")
    }
  }

  @Test func `bad choices are said before anything runs`() throws {
    try inFolder { folder in
      for (words, reason) in [
        ("--calibrate nowhere", "there is no nowhere"), ("--activation-bits 6", "activation-bits"),
        ("--observer hist", "unknown observer"), ("-o q.json", ".pacer or .onnx"),
        ("--observer histogram,min-max", "one choice"), ("--least-signal-to-noise 20", "leave out --skip-layers"),
      ] {
        let run = try shell("bench-suite quantize resnet-18 --shape 1x3x32x32 --skip-layers \(words)", in: folder)
        #expect(run.status != 0 && run.errors.contains(reason), "\(words): \(run)")
      }
      try Data("x".utf8).write(to: folder.appendingPathComponent("notes.txt"))
      let run = try shell("bench-suite quantize resnet-18 --shape 1x3x32x32 --skip-layers --calibrate .", in: folder)
      #expect(run.status == 1 && run.errors.contains("no picture"), "\(run)")
    }
  }
}
