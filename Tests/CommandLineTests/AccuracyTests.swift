import Foundation
import TestSupport
import Testing

/// `accuracy`: how often a model is right, by configuration.
@Suite struct AccuracyTests {
  /// Eight inputs in two folders and a list.
  private func writePictures(in folder: URL) throws {
    for name in ["photos/7", "photos/Egyptian_cat"] {
      try FileManager.default.createDirectory(
        at: folder.appendingPathComponent(name), withIntermediateDirectories: true)
    }
    var list = "# pictures\n"
    for index in 0..<8 {
      let values = (0..<3 * 32 * 32).map { Float(($0 * (index + 3)) % 19) / 9 - 1 }
      let name = "\(index < 3 ? "7" : "Egyptian_cat")/\(index).bin"
      try values.withUnsafeBytes { Data($0) }.write(to: folder.appendingPathComponent("photos/\(name)"))
      list += index % 2 == 0 ? "photos/\(name), egyptian cat\n" : "photos/\(name) 7\n"
    }
    try write(list, "list.txt", in: folder)
  }

  private func accuracy(_ words: String, in folder: URL) throws -> [String: Any] {
    let run = try shell("bench-suite accuracy mobilenet-v2 --shape 1x3x32x32 --json \(words)", in: folder)
    #expect(run.status == 0, "\(run)")
    return try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
  }

  private func count(_ row: [String: Any], _ key: String) -> [Int]? {
    (row[key] as? [String: Any]).map { [$0["successes"] as? Int ?? -1, $0["count"] as? Int ?? -1] }
  }

  @Test func `pictures by folder and by list, labelled and not`() throws {
    try inFolder { folder in
      try writePictures(in: folder)
      for words in ["--labelled photos", "--labelled list.txt"] {
        let found = try accuracy(words, in: folder)
        #expect(found["pictures"] as? Int == 8 && found["classes"] as? Int == 2)
        let rows = try #require(found["rows"] as? [[String: Any]])
        #expect(rows.map { $0["label"] as? String } == ["no passes", "all passes"])
        // It is the reference.
        #expect(rows[0]["signalToNoise"] == nil && count(rows[0], "agreement") == [8, 8], "\(rows)")
        #expect(try #require(rows[1]["signalToNoise"] as? Double) > 60)
        #expect(count(rows[1], "agreement") == [8, 8] && count(rows[1], "top1")?[1] == 8, "\(rows)")
      }
      let plain = try accuracy("--pictures photos/7 --backend cpu,metal --passes none", in: folder)
      let rows = try #require(plain["rows"] as? [[String: Any]])
      #expect(plain["pictures"] as? Int == 3 && rows[0]["top1"] == nil)
      #expect((rows[1]["reason"] as? String)?.contains("Metal") == true, "\(rows)")
      let page = try shell(
        "bench-suite accuracy mobilenet-v2 --shape 1x3x32x32 --labelled photos --passes none", in: folder)
      #expect(page.output.contains("8 pictures of 2 classes") && page.output.contains("no difference"), "\(page)")
    }
  }

  @Test(.enabled(if: Shared.isPresent, Shared.isMissing))
  func `trained weights name three photographs, with and without passes`() throws {
    struct Golden: Decodable {
      struct Class: Decodable { var index: Int }
      var top5: [String: [Class]]
    }
    let golden = try JSONDecoder().decode(
      Golden.self, from: Data(contentsOf: URL(fileURLWithPath: Shared.path("golden/trained_top5.json"))))
    let list = golden.top5.map { "\(Shared.path("images/\($0)")), \($1[0].index)\n" }.sorted().joined()
    try inFolder { folder in
      try write(list, "list.txt", in: folder)
      let run = try shell(
        "bench-suite accuracy mobilenet-v2 --weights '\(Shared.path("models/mobilenet_v2.safetensors"))' --json "
          + "--labelled list.txt", in: folder)
      let found = try #require(
        try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any], "\(run)")
      for row in try #require(found["rows"] as? [[String: Any]]) {
        #expect(count(row, "top1") == [3, 3] && count(row, "agreement") == [3, 3], "\(row)")
      }
    }
  }

  @Test func `what cannot be told says what to do`() throws {
    try inFolder { folder in
      try writePictures(in: folder)
      try write("photos/7/0.bin tabbby", "typo.txt", in: folder)
      try write("photos/7/0.bin 1000", "many.txt", in: folder)
      try write("photos/7/none.bin 1", "none.txt", in: folder)
      try write("alone", "odd.txt", in: folder)
      try write("seven bytes", "photos/7/short.bin", in: folder)
      for (words, status, message) in [
        ("", 64, "say which pictures"), ("--labelled a --pictures b", 64, "say which pictures"),
        ("--labelled nowhere", 1, "no such file"), ("--labelled typo.txt", 1, "did you mean tabby?"),
        ("--labelled many.txt", 1, "has 1000, counted from 0"),
        ("--labelled none.txt", 1, "none.bin"), ("--labelled odd.txt", 1, "a line is a path and a class"),
        ("--pictures photos/7", 1, "short.bin"), ("--pictures photos", 1, "has no pictures"),
        ("--labelled list.txt --engine one", 64, "leave it out"),
        ("--labelled list.txt --input x.bin", 64, "leave it out"),
      ] as [(String, Int32, String)] {
        let run = try shell("bench-suite accuracy mobilenet-v2 --shape 1x3x32x32 \(words)", in: folder)
        #expect(run.status == status && run.errors.contains(message), "\(words): \(run)")
      }
    }
  }
}
