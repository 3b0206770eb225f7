import CLabels

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What a classifier of ImageNet's thousand classes says.
public struct Classification: Sendable, Equatable {
  public let index: Int
  public let label: String
  public let probability: Double

  /// Class names by index.
  public static let labels: [String] = {
    let bytes = UnsafeBufferPointer(start: pacer_imagenet_classes(), count: Int(pacer_imagenet_classes_length()))
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
  }()

  /// The `count` likeliest classes of a row of logits, likeliest first.
  public static func top(_ count: Int, of logits: [Float]) -> [Classification] {
    let largest = Double(logits.max() ?? 0)
    let weights = logits.map { exp(Double($0) - largest) }
    let sum = weights.reduce(0, +)
    return logits.indices.sorted { weights[$0] > weights[$1] }.prefix(count).map {
      Classification(index: $0, label: $0 < labels.count ? labels[$0] : "class \($0)", probability: weights[$0] / sum)
    }
  }
}
