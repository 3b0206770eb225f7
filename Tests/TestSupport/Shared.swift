import Foundation
import GraphCore
import ModelZoo
import TensorCore
import Testing

/// Golden values, trained weights and photographs that lie beside a checkout, where there are any.
public enum Shared {
  public static let folder: URL? = {
    let checkout = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let candidate = checkout.deletingLastPathComponent().appendingPathComponent("shared")
    return FileManager.default.fileExists(atPath: candidate.appendingPathComponent("golden").path) ? candidate : nil
  }()

  public static let isPresent = folder != nil
  /// Why tests that need it are skipped.
  public static let isMissing: Comment = "no folder ../shared with golden values beside this checkout"

  public static func path(_ relative: String) -> String { folder!.appendingPathComponent(relative).path }
}

/// float64 logits of torchvision's model with seeded weights, for the seeded input of 1x3x224x224.
public func goldenLogits(_ model: String) throws -> [Double] {
  let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Golden/seeded-logits.json")
  let all = try JSONDecoder().decode([String: [Double]].self, from: Data(contentsOf: file))
  return all[model] ?? []
}

/// A model with seeded weights and its seeded input.
public func seeded(_ model: ModelDescription, _ shape: Shape? = nil) throws -> (graph: Graph, input: Tensor) {
  let shape = shape ?? model.inputShape
  var graph = try model.build(shape)
  try SeededWeights.fill(&graph)
  return (graph, try SeededWeights.input(shape))
}

/// Largest difference over the largest expected value.
public func relativeError(_ values: [Float], _ expected: [Double]) -> Double {
  guard values.count == expected.count else { return .infinity }
  let largest = expected.map { abs($0) }.max() ?? 0
  let difference = zip(values, expected).map { abs(Double($0) - $1) }.reduce(0) { $1.isNaN ? .infinity : max($0, $1) }
  return largest > 0 ? difference / largest : difference
}
