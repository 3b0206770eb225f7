#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The one clock of measuring, as a value: budgets, deadlines and times of a run never follow the wall clock, and a test
/// passes in a clock of its own.
public struct MonotonicClock: Sendable {
  /// Nanoseconds since some moment; never goes back.
  public var now: @Sendable () -> Int

  public init(now: @escaping @Sendable () -> Int) { self.now = now }

  public static let system = MonotonicClock { monotonicNanoseconds() }
}

/// Seconds since it was made.
public struct Stopwatch: Sendable {
  private let clock: MonotonicClock
  private let start: Int

  public init(_ clock: MonotonicClock = .system) { (self.clock, start) = (clock, clock.now()) }
  public var elapsed: Double { Double(clock.now() - start) * 1e-9 }
}

/// Nanoseconds of the system's clock that never goes back.
@inline(__always) package func monotonicNanoseconds() -> Int {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// What the system counted for this process so far.
package struct ProcessUsage {
  package var cpuNanoseconds = 0
  package var minorFaults = 0
  /// Times a thread waited for something, and times one was stopped for another.
  package var voluntarySwitches = 0
  package var involuntarySwitches = 0

  package init() {}

  package static func now() -> ProcessUsage {
    let usage = usage(of: RUSAGE_SELF)
    var result = ProcessUsage()
    (result.cpuNanoseconds, result.minorFaults) = (microseconds(usage) * 1000, usage.ru_minflt)
    (result.voluntarySwitches, result.involuntarySwitches) = (usage.ru_nvcsw, usage.ru_nivcsw)
    return result
  }

  /// Seconds of processor time of this process and of those it has waited for.
  package static var family: Double {
    Double(microseconds(usage(of: RUSAGE_SELF)) + microseconds(usage(of: RUSAGE_CHILDREN))) * 1e-6
  }

  #if canImport(Glibc)
    private static func usage(of who: __rusage_who) -> rusage {
      var usage = rusage()
      getrusage(__rusage_who_t(who.rawValue), &usage)
      return usage
    }
  #else
    private static func usage(of who: Int32) -> rusage {
      var usage = rusage()
      getrusage(who, &usage)
      return usage
    }
  #endif

  private static func microseconds(_ usage: rusage) -> Int {
    (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1_000_000 + Int(usage.ru_utime.tv_usec)
      + Int(usage.ru_stime.tv_usec)
  }

  package static func - (a: ProcessUsage, b: ProcessUsage) -> ProcessUsage {
    var result = a
    result.cpuNanoseconds -= b.cpuNanoseconds
    result.minorFaults -= b.minorFaults
    result.voluntarySwitches -= b.voluntarySwitches
    result.involuntarySwitches -= b.involuntarySwitches
    return result
  }
  package static func += (a: inout ProcessUsage, b: ProcessUsage) {
    a.cpuNanoseconds += b.cpuNanoseconds
    a.minorFaults += b.minorFaults
    a.voluntarySwitches += b.voluntarySwitches
    a.involuntarySwitches += b.involuntarySwitches
  }
}
