import BenchProtocol

/// How two fresh processes are interleaved: each does a slice of some milliseconds of work, then the other does.
///
/// What disturbs the machine for longer than a slice disturbs both, so the ratio of the slices moves by one or two per cent
/// where the processes' own medians move by ten. Who goes first changes with every slice, and slices are even in number, so
/// that each process has as many of either kind.
package struct Interleaving: Sendable, Equatable {
  /// How fast one inference is and how many it takes to be steady.
  struct Pace: Sendable {
    /// Seconds of one inference.
    var latency: Double
    var warmup: Int

    init(latency: Double, warmup: Int) { (self.latency, self.warmup) = (latency, warmup) }

    /// From a run that was not interleaved; nil where it failed.
    init?(_ outcome: JobOutcome) {
      guard outcome.failure == nil, let latency = outcome.sliceMediansNs.first, let warmed = outcome.warmed else {
        return nil
      }
      (self.latency, warmup) = (latency * 1e-9, warmed.iterations)
    }

    /// Iterations in a slice of so many seconds.
    func iterations(in seconds: Double = Interleaving.time) -> Int {
      Int(min(max((seconds / latency).rounded(.down), 1), 1000))
    }
    /// Seconds of a slice.
    var slice: Double { latency * Double(iterations()) }
    /// Iterations before the first slice, in at most so many seconds; two of what is not too slow for them.
    func warmup(within seconds: Double) -> Int {
      let fitting = Int(min(seconds / latency, 1e6))
      return min(warmup, max(fitting, latency * Double(Interleaving.fewest) < Interleaving.longest ? 2 : 0))
    }
  }

  /// Slices that are taken in any case.
  package var least: Int
  /// Further slices are taken, two by two, until each process has timed so many seconds …
  var seconds = 0.0
  /// … or there were so many.
  static let most = 100_000

  /// Seconds of a slice, where an inference does not take longer.
  static let time = 0.003
  static let fewest = 8
  /// Seconds after which a process has had slices enough, were they fewer than `fewest`.
  static let longest = 2.0

  /// Slices of a process that is to work for so many seconds.
  static func count(_ pace: Pace, seconds: Double) -> Int {
    even(max(Int(min(seconds / pace.slice, Double(most))), fewest(of: pace.slice)))
  }

  /// How many slices of so many seconds are enough in any case.
  static func fewest(of slice: Double) -> Int {
    slice * Double(fewest) <= longest ? fewest : even(max(Int(longest / slice), 2))
  }

  private static func even(_ count: Int) -> Int { count + count % 2 }
}
