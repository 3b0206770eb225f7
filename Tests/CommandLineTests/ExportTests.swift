import Foundation
import Testing

/// `export`: built-in models, files, and what passes make of them.
@Suite struct ExportTests {
  @Test func `a model, with passes that know no target, and a file at another shape`() throws {
    try inFolder { folder in
      let whole = try shell("bench-suite export resnet-18 --shape 1x3x32x32 --output whole.onnx", in: folder)
      let less = try shell("bench-suite export resnet-18 --shape 1x3x32x32 --passes all --output less.onnx", in: folder)
      func nodes(_ output: String) -> Int? { output.firstMatch(of: #/: (\d+) nodes/#).flatMap { Int($0.1) } }
      #expect(whole.status == 0 && less.status == 0, "\(whole) \(less)")
      #expect(try #require(nodes(less.output)) < #require(nodes(whole.output)))
      let again = try shell("bench-suite export whole.onnx --output again.onnx", in: folder)
      #expect(again.status == 0 && nodes(again.output) == nodes(whole.output), "\(again)")
      for (words, status, message) in [
        ("whole.onnx --shape 1x3x64x64", 1, "cannot be"), ("none.onnx", 64, "no such file"),
        ("resnet-18 --passes channels-last", 1, "for what it runs on"), ("resnet-18 --passes freze", 64, "freeze?"),
        ("whole.onnx --weights w.safetensors", 1, "has its own"),
        ("resnet-18 --shape 1x3x32x32,1x3x64x64", 1, "one model"),
        ("resnet-18 --output model.txt", 64, "onnx"),
      ] as [(String, Int32, String)] {
        let result = try shell("bench-suite export \(words)", in: folder)
        #expect(result.status == status && result.errors.contains(message), "\(words): \(result)")
      }
    }
  }
}
