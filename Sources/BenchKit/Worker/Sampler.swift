import RuntimeCore

/// Runs a session until it is steady and then times it.
struct Sampler {
  var iterations: Int?
  var minTime: Double
  var warmup: Int?

  /// Warm-up ends when the medians of two windows of this many inferences agree …
  static let window = 5
  /// … to within this share, or when this much time has gone.
  static let agreement = 0.02
  static let longestWarmup = 0.5

  struct Result {
    var sample: WorkerLine.Sample
    var usage: ProcessUsage
  }

  func run(_ session: any Session) throws -> Result {
    let first = try time(session)
    var discarded: [Int] = []
    var steady = false
    if let warmup {
      for _ in 0..<warmup { discarded.append(try time(session)) }
    } else {
      var spent = Double(first) * 1e-9
      while !steady && spent < Self.longestWarmup {
        discarded.append(try time(session))
        spent += Double(discarded.last!) * 1e-9
        steady = Self.isSteady(discarded)
      }
    }

    var expected = iterations ?? 1
    if iterations == nil {
      let typical = max(discarded.suffix(Self.window).min() ?? first, 1)
      expected = min(max(Int(minTime * 1e9) / typical, 1), 20_000)
    }
    var latencies = [Int](repeating: 0, count: expected)
    let before = ProcessUsage.now()
    for i in 0..<expected { latencies[i] = try time(session) }
    let after = ProcessUsage.now()
    return Result(
      sample: WorkerLine.Sample(
        firstInference: first, warmup: discarded.count, warmupTime: discarded.reduce(0, +), steady: steady,
        latencies: latencies),
      usage: ProcessUsage(
        cpuNanoseconds: (after.cpuNanoseconds - before.cpuNanoseconds) / expected,
        minorFaults: after.minorFaults - before.minorFaults))
  }

  @inline(__always) private func time(_ session: any Session) throws -> Int {
    let start = monotonicNanoseconds()
    try session.run()
    return monotonicNanoseconds() - start
  }

  static func isSteady(_ latencies: [Int]) -> Bool {
    guard latencies.count >= 2 * window else { return false }
    let last = median(latencies.suffix(window).map(Double.init))
    let before = median(latencies.dropLast(window).suffix(window).map(Double.init))
    return abs(last - before) <= agreement * before
  }
}
