import Foundation

/// Where a run's result is written while it grows. A complete result that lies there is never lost: once the new run has
/// something to show, the former one is kept beside it under the time at which it began.
struct ResultPlace {
  let url: URL
  /// Whether what lies there is this run's own.
  private var isOwn: Bool
  private let isStream: Bool
  /// When it was last written, and what that took: a large result is not written after every run.
  private var last: (watch: Stopwatch, seconds: Double)?

  init(_ url: URL, isOwn: Bool) {
    (self.url, self.isOwn) = (url, isOwn)
    isStream = OutputFile(url.path).isStream
  }

  /// - Returns: where the former result is kept now, if that was just done.
  /// - Throws: ``UserError`` where it cannot be written.
  mutating func save(_ file: ResultFile, isLast: Bool) throws -> URL? {
    if isStream {
      // What is written there cannot be written over.
      if isLast { try file.write(to: url) }
      return nil
    }
    let former = isOwn ? nil : try? ResultFile.read(url)
    guard file.hasTimes || isLast && former?.hasTimes != true else { return nil }
    // At most a twentieth of the time goes into writing.
    if !isLast, let last, last.watch.elapsed < 20 * last.seconds { return nil }
    let watch = Stopwatch()
    let kept = try former.flatMap { $0.hasTimes ? try keep($0) : nil }
    isOwn = true
    try file.write(to: url)
    last = (Stopwatch(), watch.elapsed)
    return kept
  }

  /// Keeps the former result, and its reports, under a name of their own.
  private func keep(_ former: ResultFile) throws -> URL {
    let stem = url.resultStem
    let time = former.started.filter { $0.isASCII && ($0.isLetter || $0.isNumber) }
    func name(_ number: Int) -> URL {
      URL(fileURLWithPath: "\(stem.path)-\(time)\(number > 1 ? "-\(number)" : "")")
    }
    let number = (1...).first { !FileManager.default.fileExists(atPath: name($0).path + ".json") }!
    let kept = name(number).appendingPathExtension("json")
    try keepCopy(of: url, as: kept)
    for report in ["md", "html"] {
      try keepCopy(of: stem.appendingPathExtension(report), as: name(number).appendingPathExtension(report))
    }
    return kept
  }
}

/// Keeps two runs from writing one result: the second would keep the first's half as a former one, and lose its own.
package struct ResultLock {
  private let path: String
  private let descriptor: Int32

  /// - Throws: ``UserError`` where another run holds it.
  package init(_ url: URL) throws {
    path = url.deletingLastPathComponent().appendingPathComponent(".\(url.lastPathComponent).lock").path
    guard !OutputFile(url.path).isStream else {
      descriptor = -1
      return
    }
    try makeFolder(url.deletingLastPathComponent())
    // Without a lock a place that cannot be written is found out soon enough.
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    if descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      close(descriptor)
      throw UserError("another run is writing \(url.path): wait for it, or choose another --output")
    }
  }

  package func release() {
    guard descriptor >= 0 else { return }
    unlink(path)
    close(descriptor)
  }
}
