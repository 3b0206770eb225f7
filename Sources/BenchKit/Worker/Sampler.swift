import RuntimeCore

extension WorkerLine.Sample {
  /// Leaves out latencies evenly where there are more than so many, and says how many there were.
  mutating func keep(atMost count: Int) {
    guard latencies.count > count else { return }
    timed = timed ?? latencies.count
    latencies = (0..<count).map { latencies[$0 * latencies.count / count] }
  }
}

/// Times pieces of work, once they are steady.
struct Sampler {
  var iterations: Int?
  var minTime: Double
  var warmup: Int?
  /// Share by which every piece is made longer.
  var slowdown = 0.0
  let work: () throws -> Void

  /// Warm-up ends when the medians of two windows of this many inferences agree …
  static let window = 5
  /// … to within this share, or when this much time has gone.
  static let agreement = 0.02
  static let longestWarmup = 0.5

  init(_ job: Job, work: @escaping () throws -> Void) {
    (iterations, minTime, warmup, slowdown) = (job.iterations, job.minTime, job.warmup, job.slowdown ?? 0)
    self.work = work
  }

  /// Runs until steady: a sample with no latencies yet, and how many are to be taken.
  func warmUp() throws -> (sample: WorkerLine.Sample, iterations: Int) {
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
    let sample = WorkerLine.Sample(
      firstInference: first, warmup: discarded.count, warmupTime: discarded.reduce(0, +), steady: steady, latencies: [])
    return (sample, iterations ?? Int(min(max(minTime * 1e9 / Double(typical), 1), Double(Limits.iterations))))
  }

  /// Latencies kept of one process at most; of more inferences every second, every fourth and so on.
  static let kept = 1 << 16

  /// Times that many inferences, and more where they took less than `minTime` and no number was asked for. Gives their
  /// latencies, how many were timed, and what the process used for them altogether.
  func time(_ count: Int) throws -> (latencies: [Int], timed: Int, usage: ProcessUsage) {
    var latencies: [Int] = []
    latencies.reserveCapacity(min(count, Self.kept) + 1)
    let least = iterations == nil ? Int(minTime * 1e9) : 0
    var (timed, step, spent) = (0, 1, 0)
    let before = ProcessUsage.now()
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
    return (latencies, timed, ProcessUsage.now() - before)
  }

  @inline(__always) private func time() throws -> Int {
    let start = monotonicNanoseconds()
    try work()
    var elapsed = monotonicNanoseconds() - start
    if slowdown > 0 {
      let end = start + Int(Double(elapsed) * (1 + slowdown))
      while start + elapsed < end { elapsed = monotonicNanoseconds() - start }
    }
    return elapsed
  }

  static func isSteady(_ latencies: [Int]) -> Bool {
    guard latencies.count >= 2 * window else { return false }
    let last = median(latencies.suffix(window).map(Double.init))
    let before = median(latencies.dropLast(window).suffix(window).map(Double.init))
    return abs(last - before) <= agreement * before
  }
}
