import Foundation
import Pacer
import Testing

@testable import BenchKit

@Suite struct RecordTests {
  /// One process that timed a cell.
  static func visit(_ latencies: [Int] = [5]) -> Visit {
    Visit(
      round: 0, at: 0, prepared: .init(loadTime: 0, optimiseTime: 0, prepareTime: 0),
      sample: .init(firstInference: 0, warmup: 0, warmupTime: 0, steady: true, latencies: latencies), figures: [:])
  }

  private func result(complete: Bool = true) -> ResultFile {
    var cell = Cell(model: "resnet-18")
    cell.weights = "/home/someone/weights.safetensors"
    var file = ResultFile(
      version: "1", suite: "s", suiteDigest: "d", started: "now", command: "c",
      environment: .current(processor: "Intel(R) Xeon(R) @ 2.50GHz", isa: "avx2", git: "1"),
      cells: [CellResult(cell: cell, label: "l")])
    file.isComplete = complete
    file.cells[0].visits = [Self.visit()]
    return file
  }

  private func inFolder(_ body: (URL) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID())")
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder)
  }

  @Test func `a record lies under version and alias, without paths, and is never overwritten`() throws {
    try inFolder { folder in
      let record = try Record(result(), folder: folder, host: nil)
      let url = try record.keep(result())
      #expect(url.path == folder.path + "/1/intel-xeon-2-50ghz/s.json")
      let text = try String(contentsOf: url, encoding: .utf8)
      #expect(!text.contains("\n") && !text.contains("/home") && text.contains("weights.safetensors"))
      #expect(try ResultFile.read(url).cells.count == 1)
      #expect(throws: UserError.self) { try record.keep(result()) }
    }
  }

  @Test func `an interrupted run and one that is too large are refused and leave nothing`() throws {
    try inFolder { folder in
      let record = try Record(result(), folder: folder, host: "desk")
      #expect(throws: UserError.self) { try record.keep(result(complete: false)) }
      var large = result()
      large.command = String(repeating: "x", count: Record.limit)
      #expect(throws: UserError.self) { try record.keep(large) }
      var nothing = result()
      nothing.cells[0].visits = []
      #expect(throws: UserError.self) { try record.keep(nothing) }
      #expect(!FileManager.default.fileExists(atPath: folder.path))
    }
  }

  @Test func `latencies beyond two thousand are thinned evenly, and the record says how many there were`() throws {
    try inFolder { folder in
      var long = result()
      long.cells[0].visits = [Self.visit(Array(1...10_000))]
      let kept = try ResultFile.read(Record(long, folder: folder, host: "desk").keep(long)).cells[0].visits[0].sample
      #expect(kept.latencies.count == 2_000 && kept.timed == 10_000)
      #expect(abs(median(kept.latencies.map(Double.init)) / 5_000 - 1) < 0.01)
    }
  }

  @Test(arguments: ["", "My Host", "../up", "-x"])
  func `an alias that is no plain word is refused`(alias: String) {
    #expect(throws: UserError.self) {
      try Record(result(), folder: URL(fileURLWithPath: "/nonexistent"), host: alias)
    }
  }
}
