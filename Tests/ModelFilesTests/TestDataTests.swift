import Foundation
import GraphCore
import ModelFiles
import Testing

/// Models with the data that came with them.
@Suite struct TestDataTests {
  @Test func `data sets are in the order of their numbers, and tolerances are the data's own`() throws {
    try inTestFolder { folder in
      for name in ["test_data_set_10", "test_data_set_2", "other"] {
        try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
      }
      for name in ["input_0.pb", "input_11.pb", "output_0.npy", "notes.txt"] {
        #expect(FileManager.default.createFile(atPath: "\(folder)/test_data_set_2/\(name)", contents: nil))
      }
      #expect(FileManager.default.createFile(atPath: "\(folder)/data.json", contents: Data(#"{"rtol": 0.5}"#.utf8)))
      let data = try TestData(beside: "\(folder)/model.onnx")
      #expect(data.dataSets.map(\.name) == ["test_data_set_2", "test_data_set_10"])
      #expect(data.dataSets[0].inputs.keys.sorted() == [0, 11] && data.dataSets[0].outputs.keys.sorted() == [0])
      #expect(data.rtol == 0.5 && data.atol == nil)
    }
  }

  @Test func `models are found at any depth, one in a folder`() throws {
    try inTestFolder { folder in
      for path in ["a/model.onnx", "b/c/own.onnx", "d/x.onnx", "d/model.onnx", "e/none.txt"] {
        let url = URL(fileURLWithPath: "\(folder)/\(path)")
        try FileManager.default.createDirectory(
          at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data().write(to: url)
      }
      let found = try TestData.models(in: folder).map { $0.dropFirst(folder.count + 1) }
      #expect(found == ["a/model.onnx", "b/c/own.onnx", "d/model.onnx"])
      try Data().write(to: URL(fileURLWithPath: "\(folder)/b/c/other.onnx"))
      #expect(throws: BadFile.self) { try TestData.models(in: folder) }
    }
  }

  private func inTestFolder(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder.path)
  }
}
