import BenchModel
import BenchProtocol
import Foundation

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The file that a record grows in: each line is written once, at its end. A complete record that lies there is never lost:
/// once the new one has something to show, the former one is kept beside it under the time at which it began.
struct RecordWriter {
  private let url: URL
  private let isStream: Bool
  /// Lines that are not written yet: what has nothing to show takes nobody's place.
  private var waiting: [RecordLine] = []
  private var descriptor: Int32 = -1

  /// - Parameter continues: whether the record that lies there goes on.
  /// - Throws: ``UserError`` where it cannot be written.
  init(_ url: URL, continues: Bool) throws {
    self.url = url
    isStream = OutputFile(url.path).isStream
    if continues { try open(keeping: Record.wholeLines(readFile(url))) }
  }

  /// - Returns: where the former record is kept now, if that was just done.
  /// - Throws: ``UserError`` where it cannot be written.
  mutating func append(_ line: RecordLine) throws -> URL? {
    if descriptor >= 0 {
      try write(line.data)
      return nil
    }
    waiting.append(line)
    return switch line {
    case .run: try begin()
    case .end: try begin(replacesFormer: false)
    default: nil
    }
  }

  /// Puts what was waiting in the place of what lies there.
  /// - Parameter replacesFormer: false for a record without times, which takes the place of none with them.
  private mutating func begin(replacesFormer: Bool = true) throws -> URL? {
    let data = try waiting.reduce(into: Data()) { $0 += try $1.data }
    if isStream {
      try open(keeping: nil)
      try write(data)
      waiting = []
      return nil
    }
    let former = (try? readFile(url)).flatMap { try? Record.lines($0) } ?? []
    let hasTimes = former.contains(where: \.isTime)
    if hasTimes && !replacesFormer { return nil }
    let kept = hasTimes ? try keep(former) : nil
    try writeFile(data, to: url)
    waiting = []
    try open(keeping: data.count)
    return kept
  }

  /// - Parameter keeping: bytes from the beginning; nil for what keeps nothing.
  private mutating func open(keeping count: Int?) throws {
    descriptor = openFile(url.path, O_WRONLY | O_APPEND | O_CLOEXEC)
    guard descriptor >= 0 else { throw UserError("\(url.path) cannot be written: \(SystemError(errno))") }
    if let count, ftruncate(descriptor, off_t(count)) != 0 {
      throw UserError("\(url.path) cannot be written: \(SystemError(errno))")
    }
  }

  private func write(_ data: Data) throws {
    do { try OutputFile.write(data, to: descriptor) } catch {
      throw UserError("\(url.path) cannot be written: \(reason(error)); what was measured until now is in it")
    }
  }

  mutating func close() {
    if descriptor >= 0 { closeFile(descriptor) }
    descriptor = -1
  }

  /// Keeps the former record, and its reports, under a name of their own.
  private func keep(_ former: [RecordLine]) throws -> URL {
    guard case .start(let start) = former.first else { throw UserError("\(url.path) has no start") }
    let stem = url.resultStem
    let time = start.started.filter { $0.isASCII && ($0.isLetter || $0.isNumber) }
    func name(_ number: Int) -> URL {
      URL(fileURLWithPath: "\(stem.path)-\(time)\(number > 1 ? "-\(number)" : "")")
    }
    let number = (1...).first { !FileManager.default.fileExists(atPath: "\(name($0).path).\(url.pathExtension)") }!
    let kept = name(number).appendingPathExtension(url.pathExtension)
    try keepCopy(of: url, as: kept)
    for report in ["md", "html"] {
      try keepCopy(of: stem.appendingPathExtension(report), as: name(number).appendingPathExtension(report))
    }
    return kept
  }
}

// The system's own, under names that no method has.
private func openFile(_ path: String, _ flags: Int32) -> Int32 { open(path, flags) }
private func closeFile(_ descriptor: Int32) { _ = close(descriptor) }
