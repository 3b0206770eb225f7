import BenchModel
import BenchProtocol
import BenchStatistics
import Foundation
import RuntimeCore

/// The effects of single options in a record.
///
/// Every effect is a contrast: a weighted sum of the logarithms of rows' ratios to their common baseline. One pass in
/// one place is +1 for the row with it and −1 for the row without; a main effect is the mean of all such places, an
/// interaction the difference of two, a Shapley share a weighted mean. Runs are independent processes, so the variances
/// add up, and a row that stands on both sides cancels: what runs the same graph is worth exactly nothing.
public struct Attribution: Sendable {
  public struct Effect: Sendable {
    /// Time with the option over time without; nil where both run the same graph.
    public var ratio: Estimate?
    /// Places it is averaged over.
    public var places: Int
    /// Pairs of processes behind the least sure of its numbers.
    public var pairs: Int
    /// The two rows, where there is one place.
    public var with: Row?
    public var without: Row?

    public enum Finding: Sendable { case sameGraph, none, faster, slower, unknown }
    public var finding: Finding {
      guard let ratio else { return .sameGraph }
      guard ratio.high.isFinite, pairs >= Estimate.runsForVerdict else { return .unknown }
      return ratio.high < 1 ? .faster : ratio.low > 1 ? .slower : .none
    }

    /// A metric without → with the option; one value where they agree, nil where there is nothing to compare.
    func change(_ metric: String, _ catalog: Catalog) -> String? {
      guard finding != .sameGraph, let metric = catalog.metrics.first(where: { $0.name == metric }),
        let a = without.flatMap(metric.value), let b = with.flatMap(metric.value)
      else { return nil }
      let (left, right) = (metric.unit.text(a), metric.unit.text(b))
      return left == right ? left : "\(left) → \(right)"
    }

    /// "1.84× (1.80–1.89)": the speed-up with it; "not significant" where the interval holds 1.
    public var words: String {
      switch finding {
      case .sameGraph: "same graph"
      case .unknown: "not resolved (\(Format.number(pairs, "pair")))"
      case .none: "not significant (\(Format.speedupInterval(ratio!))×)"
      case .faster, .slower: "\(Format.speedup(ratio!))× (\(Format.speedupInterval(ratio!)))"
      }
    }
  }

  /// The passes in order. One that came after the result was measured is none of "all" in it.
  public let passes: [String]
  private let rows: [Row]
  /// Place of the measured row that stands for a row.
  private let places: [Configuration: Int]
  /// A row's other axes, as the passes were tried on.
  private let axes: Configuration?
  private let catalog: Catalog

  /// - Parameter model: whose rows are looked at; their most tried combination of other axes, first of all.
  public init(_ file: Record, model: String, catalog: Catalog) {
    self.catalog = catalog
    let known = Set(file.passes)
    passes = catalog.passes.map(\.name).filter(known.contains)
    let rows = file.rows.filter { $0.configuration.model == model && $0.configuration[Axes.engine] == "pacer" }
    var places: [Configuration: Int] = [:]
    let ids = Dictionary(
      rows.enumerated().filter { $1.status == .measured }.map { ($1.id, $0) }
    ) { first, _ in first }
    for (index, result) in rows.enumerated() {
      switch result.status {
      case .measured where result.relativeTime != nil: places[result.configuration] = index
      case .same:
        places[result.configuration] = result.sameAs.flatMap { ids[$0] }
      default: break
      }
    }
    self.rows = rows
    self.places = places
    let sets = Dictionary(grouping: places.keys, by: Self.withoutPasses)
    axes = rows.map { Self.withoutPasses($0.configuration) }.uniqued().max {
      (sets[$0]?.count ?? 0) < (sets[$1]?.count ?? 0)
    }
  }

  private static func withoutPasses(_ configuration: Configuration) -> Configuration {
    var configuration = configuration
    configuration[Axes.passes] = []
    return configuration
  }

  // MARK: Contrasts

  private func place(_ set: Set<String>) -> Int? {
    guard var configuration = axes else { return nil }
    configuration[Axes.passes] = passes.filter(set.contains)
    return places[configuration]
  }

  /// The sum of coefficient × ln(ratio); nil where everything cancels.
  private func contrast(_ terms: [(place: Int, weight: Double)]) -> Estimate? {
    var weights: [Int: Double] = [:]
    for (place, weight) in terms { weights[place, default: 0] += weight }
    let used = weights.filter { abs($0.value) > 1e-12 }.sorted { $0.key < $1.key }
    guard !used.isEmpty else { return nil }
    return Estimate.product(
      used.compactMap { place, weight in
        rows[place].relativeTime.map { ($0, weight) }
      })
  }

  private func effect(_ terms: [(place: Int, weight: Double)], places: Int) -> Effect {
    let pairs = terms.compactMap { self.rows[$0.place].relativeTime }.filter { !$0.isExact }.map(\.count).min()
    return Effect(ratio: contrast(terms), places: places, pairs: pairs ?? .max)
  }

  // MARK: Passes

  /// Whether passes were varied at all.
  public var hasPasses: Bool { passes.contains { effect(of: $0, beside: []) != nil || last($0) != nil } }

  /// A pass added to others; nil where one of the two rows is not measured.
  public func effect(of pass: String, beside others: Set<String>) -> Effect? {
    guard passes.contains(pass), let with = place(others.union([pass])),
      let without = place(others.subtracting([pass])), rows[with].hasBaseline(of: rows[without])
    else { return nil }
    var effect = effect([(with, 1), (without, -1)], places: 1)
    (effect.with, effect.without) = (rows[with], rows[without])
    return effect
  }

  /// Without any other.
  public func alone(_ pass: String) -> Effect? { effect(of: pass, beside: []) }
  /// Where all others are on: what leaving it out would cost.
  public func last(_ pass: String) -> Effect? { effect(of: pass, beside: Set(passes)) }
  /// Where those before it are on.
  public func inOrder(_ pass: String) -> Effect? {
    effect(of: pass, beside: Set(passes.prefix { $0 != pass }))
  }

  /// Sets of passes that were measured.
  private var sets: [Set<String>] {
    guard let axes else { return [] }
    return places.keys.filter { Self.withoutPasses($0) == axes }.map { Set($0[Axes.passes]) }
  }

  /// Whether all are measured, and against the same baseline.
  private func areComparable(_ sets: [Set<String>]) -> Bool {
    let found = sets.map { place($0).map { rows[$0] } }
    guard let first = found.first ?? nil else { return false }
    return found.allSatisfy { $0?.hasBaseline(of: first) == true }
  }

  /// The mean over every place where the pass was both on and off; nil where there are fewer than two.
  public func main(_ pass: String) -> Effect? {
    let without = sets.filter { !$0.contains(pass) && areComparable([$0, $0.union([pass])]) }
    guard without.count > 1 else { return nil }
    let weight = 1 / Double(without.count)
    let terms = without.flatMap { set in [(place(set.union([pass]))!, weight), (place(set)!, -weight)] }
    return effect(terms, places: without.count)
  }

  /// How much more two passes are worth together than apart, over every place where both were on and off: below 1 they
  /// help each other, above 1 they do each other's work.
  public func interaction(_ a: String, _ b: String) -> Effect? {
    let without = sets.filter { set in
      !set.contains(a) && !set.contains(b) && areComparable([[], [a], [b], [a, b]].map { set.union($0) })
    }
    guard !without.isEmpty else { return nil }
    let weight = 1 / Double(without.count)
    let terms = without.flatMap { set in
      [
        (place(set.union([a, b]))!, weight), (place(set.union([a]))!, -weight), (place(set.union([b]))!, -weight),
        (place(set)!, weight),
      ]
    }
    return effect(terms, places: without.count)
  }

  /// Its share of everything, fair to every order of adding passes (Shapley's value); nil unless all combinations are
  /// measured.
  public func shapley(_ pass: String) -> Effect? {
    let sets = sets
    guard sets.count == 1 << passes.count, areComparable(sets) else { return nil }
    func factorial(_ n: Int) -> Double { n < 2 ? 1 : (2...n).reduce(1.0) { $0 * Double($1) } }
    let n = passes.count
    let terms = sets.filter { !$0.contains(pass) }.flatMap { set in
      let weight = factorial(set.count) * factorial(n - set.count - 1) / factorial(n)
      return [(place(set.union([pass]))!, weight), (place(set)!, -weight)]
    }
    return effect(terms, places: terms.count / 2)
  }

  // MARK: Other options

  /// A choice on an axis other than the passes': the second value in place of the first.
  public struct Option: Sendable {
    /// Key of the axis.
    public var axis: String
    public var from: String
    public var to: String
    /// What the row without it is called.
    public var row: String
    public var effect: Effect
  }

  /// Every two measured rows that differ on one axis alone, one of them with the axis's usual choice.
  public var options: [Option] {
    catalog.axes.axes.filter { $0.role == .option && $0.key != Axes.engine.key }.flatMap { axis in
      rows.filter { $0.configuration[axis.key] != axis.usual }.compactMap { result -> Option? in
        var other = result.configuration
        other[axis.key] = axis.usual
        // What an axis decides besides is its own effect.
        guard axis.settles.isEmpty, let with = places[result.configuration], let without = places[other],
          rows[with].hasBaseline(of: rows[without])
        else { return nil }
        var effect = effect([(with, 1), (without, -1)], places: 1)
        (effect.with, effect.without) = (rows[with], rows[without])
        return Option(
          axis: axis.key, from: axis.name(axis.usual), to: axis.name(result.configuration[axis.key]),
          row: rows[without].label, effect: effect)
      }
    }
  }
}

extension Format {
  /// The inverse of a ratio of times, with the digits that its interval supports.
  static func speedup(_ ratio: Estimate) -> String { speedup(1 / ratio.value, ratio) }

  static func speedupInterval(_ ratio: Estimate) -> String {
    speedup(1 / ratio.high, ratio) + "–" + speedup(1 / ratio.low, ratio)
  }

  private static func speedup(_ value: Double, _ ratio: Estimate) -> String {
    let width = 1 / ratio.low - 1 / ratio.high
    var digits = width < 0.02 ? 3 : width < 0.5 ? 2 : 1
    // An end that is not 1 is not to be read as 1.
    func readsAsOne(_ end: Double) -> Bool { end != 1 && Double(String(format: "%.\(digits)f", end)) == 1 }
    if ratio.low > 1 || ratio.high < 1 {
      while digits < 5 && (readsAsOne(1 / ratio.low) || readsAsOne(1 / ratio.high)) { digits += 1 }
    }
    return String(format: "%.\(digits)f", value)
  }
}
