import BenchStatistics

/// Decides which row is timed next: the one that matters most for what the report concludes and is least sure, for the time
/// that its next pair takes.
///
/// First the rows that the report concludes on get as many pairs as a verdict needs, or a claim, then the others do, in both the one
/// that took least time first: a slow starter comes after those that it could have kept waiting. From then on the next pair
/// goes where it narrows most a second. With n pairs a half-width w shrinks by about w/2n, seen in units of the width that
/// is wanted of the row.
package struct Scheduler: Sendable {
  /// A row that may be timed, as far as it is known.
  package struct Candidate: Sendable {
    /// Whether the report concludes on it.
    package var isHeadline: Bool
    package var pairs: Int
    /// Pairs that are wanted in any case.
    package var least: Int
    /// Of its interval, relative; infinite where there is none.
    package var halfWidth: Double
    /// The half-width that is wanted.
    package var target: Double
    /// Seconds of its next pair, starting the processes included, and of all until now.
    package var seconds: Double
    package var spent: Double

    package init(
      isHeadline: Bool, pairs: Int, least: Int = Estimate.runsForVerdict, halfWidth: Double, target: Double,
      seconds: Double, spent: Double
    ) {
      (self.isHeadline, self.pairs, self.halfWidth, self.target) = (isHeadline, pairs, halfWidth, target)
      self.least = max(least, Estimate.runsForVerdict)
      (self.seconds, self.spent) = (seconds, spent)
    }

    /// Narrow enough; however narrow, below a number of pairs nothing is said of it.
    package var isDone: Bool { pairs >= least && halfWidth <= target }
    package var lacksPairs: Bool { pairs < least }
    /// What a pair more narrows in a second, in units of what is wanted; of a row that lacks pairs alone, what it would
    /// were it just not narrow enough.
    fileprivate var yield: Double { max(halfWidth / target, 1) / Double(pairs) / max(seconds, 1e-6) }
  }

  /// Share of its time at least that a pair spends on timed iterations, where starting it takes long …
  private static let timedShare = 0.2
  /// … and the seconds of it at most.
  private static let longest = 5.0

  package init() {}

  /// Seconds that each process of a pair times.
  /// - Parameter overhead: of starting, loading, preparing and warming up, in seconds: who took long to be ready works longer.
  package func timedSeconds(least: Double, overhead: Double) -> Double {
    max(least, min(overhead * Self.timedShare, Self.longest))
  }

  /// The place of the candidate that is next; nil where none is open or fits in the time that is left.
  package func next(_ candidates: [Candidate], left: Double, using generator: inout SeededGenerator) -> Int? {
    let open = candidates.indices.filter { !candidates[$0].isDone && candidates[$0].seconds < left }
    func least(_ places: [Int], _ value: (Candidate) -> Double) -> Int? {
      // Among equals by chance, so that no row is always the one after another.
      let best = places.map { value(candidates[$0]) }.min()
      return places.filter { value(candidates[$0]) == best }.randomElement(using: &generator)
    }
    for isHeadline in [true, false] {
      let bare = open.filter { candidates[$0].isHeadline == isHeadline && candidates[$0].lacksPairs }
      // First figures of all, then the rest.
      let first = bare.filter { candidates[$0].pairs == 0 }
      if let place = least(first.isEmpty ? bare : first, { $0.spent + $0.seconds }) { return place }
    }
    return least(open) { -$0.yield }
  }
}
