import BenchStatistics
import Foundation

/// How often a model names what is on pictures, and how far its outputs are from those it has in float32, by configuration.
public struct ClassificationAccuracy: Codable, Sendable {
  public struct Row: Codable, Sendable {
    /// What tells the configuration from the others.
    public var label: String
    /// Pictures whose class came first, or among the first five; nil where it cannot run here, or nothing is labelled.
    public var top1: Proportion?
    public var top5: Proportion?
    /// Pictures for which the same class came first as in the reference.
    public var agreement: Proportion?
    /// Of all outputs together: decibels of the reference's power over that of the difference; nil where there is no
    /// difference.
    public var signalToNoise: Double?
    /// Pictures for which an output was NaN or infinite: they count as wrong.
    public var broken = 0
    /// Why it cannot run here.
    public var reason: String?

    package init(label: String) { self.label = label }
  }

  public var model: String
  public var pictures: Int
  /// Different ones; 0 where nothing is labelled.
  public var classes: Int
  /// What outputs are held against.
  public var reference: String
  public var rows: [Row]

  package init(model: String, pictures: Int, classes: Int, reference: String, rows: [Row]) {
    (self.model, self.pictures, self.classes) = (model, pictures, classes)
    (self.reference, self.rows) = (reference, rows)
  }
}

/// Counts a configuration's hits, picture by picture.
package struct AccuracyCount {
  private var top1 = 0
  private var top5 = 0
  private var agreements = 0
  private var labelled = 0
  private var count = 0
  private var broken = 0
  /// Sums of squares.
  private var signal = 0.0
  private var noise = 0.0

  package init() {}

  /// - Parameters:
  ///   - logits: one for each class.
  ///   - reference: the same of the reference.
  ///   - label: index of the right class, among the logits.
  package mutating func add(_ logits: [Float], reference: [Float], label: Int?) {
    count += 1
    labelled += label == nil ? 0 : 1
    guard logits.allSatisfy(\.isFinite) else {
      broken += 1
      return
    }
    for (a, b) in zip(logits, reference) {
      signal += Double(b) * Double(b)
      noise += (Double(a) - Double(b)) * (Double(a) - Double(b))
    }
    if Self.first(logits) == Self.first(reference) { agreements += 1 }
    guard let label else { return }
    let rank = Self.rank(of: label, logits)
    top1 += rank == 0 ? 1 : 0
    top5 += rank < 5 ? 1 : 0
  }

  /// Of two that are as large the first one.
  private static func first(_ logits: [Float]) -> Int? {
    logits.indices.max { logits[$0] < logits[$1] || logits[$0] == logits[$1] && $0 > $1 }
  }

  /// How many classes come before one.
  private static func rank(of index: Int, _ logits: [Float]) -> Int {
    var rank = 0
    for (other, logit) in logits.enumerated() where logit > logits[index] || logit == logits[index] && other < index {
      rank += 1
    }
    return rank
  }

  /// - Precondition: something was added.
  package func row(_ label: String) -> ClassificationAccuracy.Row {
    var row = ClassificationAccuracy.Row(label: label)
    if labelled > 0 { (row.top1, row.top5) = (Proportion(top1, of: labelled), Proportion(top5, of: labelled)) }
    row.agreement = Proportion(agreements, of: count)
    // Of a reference that is 0 everywhere any difference is all of it.
    row.signalToNoise = noise > 0 ? 10 * log10(max(signal, .leastNormalMagnitude) / noise) : nil
    row.broken = broken
    return row
  }
}
