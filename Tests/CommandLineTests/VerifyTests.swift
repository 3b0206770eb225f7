import Foundation
import Testing

/// `verify`: models with the data that came with them, laid out as the ONNX project does.
@Suite struct VerifyTests {
  /// A line of the cases that ops are held against.
  private struct Case: Decodable {
    let model: Data
    let inputs: [Data]
    let outputs: [Data]
  }

  /// Additions.
  private static let cases: [Case] = {
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../ModelFilesTests/Cases/ops.jsonl")
    let lines = (try? Data(contentsOf: url))?.split(separator: UInt8(ascii: "\n")) ?? []
    // Those of one operator are enough, and the file is long.
    let start = Data(#"{"op":"Add","#.utf8)
    return lines.filter { $0.starts(with: start) }.compactMap { try? JSONDecoder().decode(Case.self, from: Data($0)) }
  }()

  /// An addition of two tensors with one data set: in a folder of this name.
  private func write(_ name: String, in folder: URL, model: Data? = nil, output: Data? = nil) throws {
    let given = try #require(Self.cases.first)
    let place = folder.appendingPathComponent(name)
    let data = place.appendingPathComponent("test_data_set_0")
    try FileManager.default.createDirectory(at: data, withIntermediateDirectories: true)
    try (model ?? given.model).write(to: place.appendingPathComponent("model.onnx"))
    for (index, input) in given.inputs.enumerated() {
      try input.write(to: data.appendingPathComponent("input_\(index).pb"))
    }
    try (output ?? given.outputs[0]).write(to: data.appendingPathComponent("output_0.pb"))
  }

  /// With an operator that nobody has.
  private func unknown() throws -> Data {
    let given = try #require(Self.cases.first)
    var model = given.model
    let place = try #require(model.range(of: Data("Add".utf8)))
    model.replaceSubrange(place, with: Data("Axx".utf8))
    return model
  }

  @Test func `one model: each output in each configuration, and what is wrong with it`() throws {
    try inFolder { folder in
      try write("right", in: folder)
      let right = try shell("bench-suite verify right", in: folder)
      #expect(right.status == 0 && right.output.components(separatedBy: "holds").count == 3, "\(right)")
      #expect(right.output.contains("no passes") && right.output.contains("all passes"))
      let file = try shell(
        "bench-suite verify right/model.onnx --passes none --kernels reference --isa sse2", in: folder)
      #expect(file.status == 0 && file.output.components(separatedBy: "holds").count == 2, "\(file)")
      // An input is no sum, unless all is allowed.
      try write("wrong", in: folder, output: Self.cases[0].inputs[0])
      let wrong = try shell("bench-suite verify wrong", in: folder)
      #expect(wrong.status == 3 && wrong.output.contains("DIFFER"), "\(wrong)")
      #expect(try shell("bench-suite verify wrong --atol 1e9", in: folder).status == 0)
      try write("unknown", in: folder, model: unknown())
      let unknown = try shell("bench-suite verify unknown", in: folder)
      #expect(unknown.status == 1 && unknown.errors.contains("Pacer has no Axx (node "), "\(unknown)")
    }
  }

  @Test func `an optimised file: each tensor against its digest, then outputs`() throws {
    try inFolder { folder in
      try write("right", in: folder)
      for (model, path) in [("right/model.onnx", "right/m.pacer"), ("right/model.onnx", "alone/m.pacer")] {
        let saved = try shell("bench-suite optimize \(model) -o \(path)", in: folder)
        #expect(saved.status == 0, "\(saved)")
      }
      let right = try shell("bench-suite verify right/m.pacer", in: folder)
      #expect(right.status == 0 && right.output.contains("what was written; all outputs hold"), "\(right)")
      #expect(
        right.output.components(separatedBy: "holds").count == 2 && right.output.contains("optimised"), "\(right)")
      let alone = try shell("bench-suite verify alone/m.pacer", in: folder)
      #expect(alone.status == 0 && alone.output.contains("what was written; no folder test_data_set_0"), "\(alone)")
      let passes = try shell("bench-suite verify right/m.pacer --passes all", in: folder)
      #expect(passes.status == 1 && passes.errors.contains("optimised already"), "\(passes)")

      let saved = try shell("bench-suite optimize mobilenet-v2 --shape 1x3x32x32 --skip-check -o m.pacer", in: folder)
      #expect(saved.status == 0, "\(saved)")
      // Beside another model's data it is no less whole.
      let other = try shell("cp m.pacer right/other.pacer && bench-suite verify right/other.pacer", in: folder)
      #expect(other.status == 0 && other.output.contains("the data beside it does not fit"), "\(other)")
      let url = folder.appendingPathComponent("m.pacer")
      let whole = try Data(contentsOf: url)
      // Its last byte is a weight's, whose digest alone can tell.
      var damaged = whole
      damaged[damaged.count - 1] ^= 1
      try damaged.write(to: url)
      let weight = try shell("bench-suite verify m.pacer", in: folder)
      #expect(weight.status == 1 && weight.errors.contains("is damaged: f32["), "\(weight)")
      try Data(whole.dropLast()).write(to: url)
      let short = try shell("bench-suite verify m.pacer", in: folder)
      #expect(short.status == 1 && short.errors.contains("it is cut short"), "\(short)")
    }
  }

  @Test func `what cannot be verified says what to do`() throws {
    try inFolder { folder in
      try write("bare", in: folder)
      try FileManager.default.removeItem(at: folder.appendingPathComponent("bare/test_data_set_0"))
      for (words, status, message) in [
        ("bare", 5, "no folder test_data_set_0"), ("Suites", 5, "holds no model.onnx"), ("none", 1, "no such file"),
        ("bare --input x.npy", 64, "--input: verify runs"), ("bare --rtol big", 64, "no share"),
        ("bare --backend metal", 1, "metal is unavailable"),
      ] as [(String, Int32, String)] {
        let result = try shell("bench-suite verify \(words)", in: folder)
        #expect(result.status == status && result.errors.contains(message), "\(words): \(result)")
      }
      try write("broken", in: folder)
      try FileManager.default.removeItem(at: folder.appendingPathComponent("broken/test_data_set_0/input_1.pb"))
      let broken = try shell("bench-suite verify broken", in: folder)
      #expect(broken.status == 1 && broken.errors.contains("no input_1.pb"), "\(broken)")
    }
  }

  @Test func `many models: a line for each, and what passed by operator`() throws {
    try inFolder { folder in
      for name in ["many/a", "many/deep/b"] { try write(name, in: folder) }
      try write("many/c", in: folder, model: unknown())
      let some = try shell("bench-suite verify many", in: folder)
      #expect(some.status == 1 && some.output.contains("3 models: 2 passed, 0 failed, 1 unsupported."), "\(some)")
      #expect(some.output.contains("passed       deep/b\n") && some.output.contains("unsupported  c: "), "\(some)")
      try write("many/d", in: folder, output: Self.cases[0].inputs[0])
      let all = try shell("bench-suite verify many --json", in: folder)
      let result = try #require(try JSONSerialization.jsonObject(with: Data(all.output.utf8)) as? [String: Any])
      let cases = try #require(result["cases"] as? [[String: Any]])
      #expect(all.status == 3)
      #expect(cases.map { $0["status"] as? String } == ["passed", "unsupported", "differs", "passed"])
      #expect(cases.map { $0["op"] as? String } == ["Add", "Axx", "Add", "Add"])
      #expect(cases[1]["missing"] as? [String] == ["Axx"])
    }
  }
}
