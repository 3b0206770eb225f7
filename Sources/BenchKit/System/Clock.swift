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
    var usage = rusage()
    #if canImport(Glibc)
      getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    #else
      getrusage(RUSAGE_SELF, &usage)
    #endif
    let microseconds =
      (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1_000_000 + Int(usage.ru_utime.tv_usec)
      + Int(usage.ru_stime.tv_usec)
    return ProcessUsage(cpuNanoseconds: microseconds * 1000, minorFaults: usage.ru_minflt)
  }

  /// Seconds of processor time of this process and of those it has waited for.
  static var family: Double {
    var seconds = 0.0
    for who in [RUSAGE_SELF, RUSAGE_CHILDREN] {
      var usage = rusage()
      #if canImport(Glibc)
        getrusage(__rusage_who_t(who.rawValue), &usage)
      #else
        getrusage(who, &usage)
      #endif
      seconds += Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
      seconds += Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6
    }
    return seconds
  }

  static func - (a: ProcessUsage, b: ProcessUsage) -> ProcessUsage {
    ProcessUsage(cpuNanoseconds: a.cpuNanoseconds - b.cpuNanoseconds, minorFaults: a.minorFaults - b.minorFaults)
  }
  static func += (a: inout ProcessUsage, b: ProcessUsage) {
    a.cpuNanoseconds += b.cpuNanoseconds
    a.minorFaults += b.minorFaults
  }
}
