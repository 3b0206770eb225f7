#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Nanoseconds of a clock that never goes back.
@inline(__always) func monotonicNanoseconds() -> Int {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// What the system counted for this process so far.
struct ProcessUsage {
  var cpuNanoseconds = 0
  var minorFaults = 0

  static func now() -> ProcessUsage {
    let usage = usage(of: RUSAGE_SELF)
    return ProcessUsage(cpuNanoseconds: microseconds(usage) * 1000, minorFaults: usage.ru_minflt)
  }

  /// Seconds of processor time of this process and of those it has waited for.
  static var family: Double {
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

  static func - (a: ProcessUsage, b: ProcessUsage) -> ProcessUsage {
    ProcessUsage(cpuNanoseconds: a.cpuNanoseconds - b.cpuNanoseconds, minorFaults: a.minorFaults - b.minorFaults)
  }
  static func += (a: inout ProcessUsage, b: ProcessUsage) {
    a.cpuNanoseconds += b.cpuNanoseconds
    a.minorFaults += b.minorFaults
  }
}
