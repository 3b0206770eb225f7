#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What is behind the end of a mapped file when somebody cuts it short ends the process that reads it.
enum MappedFiles {
  /// Has this process say so, as its last words, before it ends.
  static func explainBusErrors() {
    signal(SIGBUS) { number in
      // Nothing that allocates or locks is allowed here.
      let words: StaticString =
        "pacer-worker: a mapped file was cut short while it was used, or cannot be read any more\n"
      _ = write(2, words.utf8Start, words.utf8CodeUnitCount)
      signal(number, SIG_DFL)
      raise(number)
    }
  }
}
