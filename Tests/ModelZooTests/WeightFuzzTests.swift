import Foundation
import GraphCore
@testable import ModelZoo
import TensorCore
import TestSupport
import Testing

/// Damaged files give a `BadFile` or tensors, and take no more memory than they could hold.
@Suite struct WeightFuzzTests {
  private func survive(_ data: Data, structure: [Range<Int>], seed: UInt64) throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID())")
    defer { try? FileManager.default.removeItem(at: url) }
    for mutation in Mutations(of: data, structure: structure, seed: seed) {
      try mutation.data.write(to: url)
      for readsModel in [false, true] {
        let allocator = SystemAllocator()
        do {
          try allocator.withScope {
            if readsModel {
              var graph = smallModel()
              try graph.readWeights(url.path)
            } else {
              _ = try WeightFile.read(url.path)
            }
          }
        } catch let error as BadFile {
          #expect(
            error.path == url.path && !error.reason.isEmpty && error.reason.utf8.count < 4000, "\(mutation.description)"
          )
        } catch {
          Issue.record("\(mutation.description): \(error)")
        }
        // A float of eight bits becomes one of 32.
        #expect(allocator.statistics.peakLiveBytes <= 4 * mutation.data.count + 64, "\(mutation.description)")
      }
    }
  }

  /// Where the pickle and the directory are.
  private func structure(_ data: Data) throws -> [Range<Int>] {
    let stop = try #require(data.firstRange(of: Data("PK\u{7}\u{8}".utf8)) ?? data.firstRange(of: Data("u.".utf8)))
    let directory = try #require(data.firstRange(of: Data([0x50, 0x4B, 1, 2])))
    return [0..<stop.lowerBound, directory.lowerBound..<data.count]
  }

  @Test(arguments: ["views.pth", "checkpoint.pth", "kinds.pth"]) func `damaged files of PyTorch's`(name: String) throws
  {
    let data = try Data(contentsOf: URL(fileURLWithPath: fixture(name)))
    try survive(data, structure: structure(data), seed: 1)
  }

  @Test func `damaged archives with every size in 64 bits`() throws {
    let six = fileBytes([0, 1, 2, 3, 4, 5] as [Float])
    let state = Pickled.ordered([
      ("0.weight", .parameter(.tensor(count: 6, [3, 2]))),
      ("0.bias", .tensor("HalfStorage", key: "1", count: 6, [3], strides: [2])),
    ])
    let data = torchFile(
      .dictionary([("state_dict", state), ("epoch", .int(70_000))]), ["0": six, "1": six], areSizesLong: true)
    try survive(data, structure: structure(data), seed: 2)
  }

  @Test func `damaged safetensors files`() throws {
    let data = try safetensors([
      ("0.weight", "F32", [3, 2], fileBytes([0, 1, 2, 3, 4, 5] as [Float])), ("0.bias", "F8_E4M3", [3], [0, 1, 2]),
      ("1.bias", "F64", [3], fileBytes([0, 1, 2] as [Double])), ("b", "BOOL", [2], [0, 1]), ("f", "F4", [4], [0, 1]),
    ])
    try survive(data, structure: [0..<data.count - 53], seed: 3)
  }

  @Test func `the same seed damages in the same way`() {
    let data = Data((0..<200).map { UInt8($0) })
    let twice = (0..<2).map { _ in Mutations(of: data, structure: [10..<20], seed: 7, count: 50).map(\.data) }
    #expect(twice[0] == twice[1] && twice[0].count == 50 && Set(twice[0]).count > 40)
  }
}
