import BenchProtocol
import BenchStatistics

/// Times pieces of work, once they are steady.
struct Sampler {
  var iterations: Int?
  var minSeconds: Double
  var warmup: Int?
  /// Share by which every piece is made longer.
  var slowdown = 0.0
  let work: () throws -> Void

  /// Warm-up ends when the medians of two windows of this many inferences agree …
  static let window = 5
  /// … to within this share, or when this much time has gone.
  static let agreement = 0.02
  static let longestWarmup = 0.5

  /// - Parameter warmup: in place of the job's.
  init(_ job: Job, warmup: Int? = nil, work: @escaping () throws -> Void) {
    (iterations, minSeconds, slowdown) = (job.iterations, job.minSeconds, job.slowdown ?? 0)
    self.warmup = warmup ?? job.warmup
    self.work = work
  }

  /// Runs until steady, and says how many iterations are to be timed.
  func warmUp() throws -> (line: WorkerLine.Warmed, iterations: Int) {
    let first = try time()
    var discarded: [Int] = []
    var steady = false
    if let warmup {
      for _ in 0..<warmup { discarded.append(try time()) }
    } else {
      var spent = Double(first) * 1e-9
      while !steady && spent < Self.longestWarmup {
        discarded.append(try time())
        spent += Double(discarded.last!) * 1e-9
        steady = Self.isSteady(discarded)
      }
    }
    let typical = max(discarded.suffix(Self.window).min() ?? first, 1)
    let line = WorkerLine.Warmed(
      firstInferenceNs: first, iterations: discarded.count, timeNs: discarded.reduce(0, +), steady: steady)
    return (line, iterations ?? Int(min(max(minSeconds * 1e9 / Double(typical), 1), Double(Limits.iterations))))
  }

  /// Latencies kept of one slice at most; of more iterations every second, every fourth and so on. How many are timed does
  /// not depend on it.
  static let kept = 1 << 16

  /// Times that many iterations, and more where they took less than `minSeconds` and no number was asked for.
  func time(_ count: Int) throws -> WorkerLine.Sample {
    var latencies: [Int] = []
    latencies.reserveCapacity(min(count, Self.kept) + 1)
    let least = iterations == nil ? Int(minSeconds * 1e9) : 0
    var (timed, step, spent) = (0, 1, 0)
    while timed < count || spent < least && timed < Limits.iterations {
      let latency = try time()
      spent += latency
      if timed % step == 0 { latencies.append(latency) }
      timed += 1
      if latencies.count == Self.kept {
        latencies = stride(from: 0, to: Self.kept, by: 2).map { latencies[$0] }
        step *= 2
      }
    }
    return WorkerLine.Sample(latenciesNs: latencies, timed: timed > latencies.count ? timed : nil)
  }

  @inline(__always) private func time() throws -> Int {
    let start = monotonicNanoseconds()
    try work()
    var elapsed = monotonicNanoseconds() - start
    if slowdown > 0 {
      let end = start + Int(Double(elapsed) * (1 + slowdown))
      while start + elapsed < end { elapsed = monotonicNanoseconds() - start }
    }
    // A clock that ticks more slowly than the work says nought, which is no latency.
    return max(elapsed, 1)
  }

  static func isSteady(_ latencies: [Int]) -> Bool {
    guard latencies.count >= 2 * window else { return false }
    let last = median(latencies.suffix(window).map(Double.init))
    let before = median(latencies.dropLast(window).suffix(window).map(Double.init))
    return abs(last - before) <= agreement * before
  }
}
