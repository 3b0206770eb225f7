import BenchProtocol
import CMeasure
import Foundation

/// Stands between a runner and a worker of another engine, passes their lines on, and reads probes around the slices. What
/// the worker's own probes do not tell it adds after the worker's last line.
///
/// Two threads pass lines on, one each way, so the state has a lock. A slice begins before its line is passed on and ends
/// before its sample is.
package final class ProbeRelay: @unchecked Sendable {
  private let tree: SystemTree
  private let lock = NSLock()
  private var probes: [any Probe] = []
  private var hasJob = false
  /// Whether samples are timed slices, and each waits for a line of the runner.
  private var (isTimed, isInterleaved) = (false, false)
  private var isWarm = false
  private var hasBegun = false
  private var hasSamples = false
  /// Metrics that the worker tells itself.
  private var told: Set<String> = []

  package init(_ tree: SystemTree = .current) { self.tree = tree }

  /// The worker runs now.
  package func start(process: Int32) {
    lock.withLock { probes = [FamilySwitchProbe(process: process), MachineProbe(tree, process: process)] }
  }

  /// What a line means that the runner sends; before the worker has it.
  package func fromRunner(_ line: UnsafeRawBufferPointer) {
    lock.withLock {
      if !hasJob {
        struct Asked: Decodable {
          var action: String
          var interleaved: Bool?
        }
        hasJob = true
        let asked = try? JSONDecoder().decode(Asked.self, from: Data(line))
        isTimed = ["latency", "control"].contains(asked?.action)
        isInterleaved = asked?.interleaved == true
      } else if isInterleaved && isWarm {
        // The first one was for the warm-up.
        begin()
      }
    }
  }

  /// What a line means that the worker writes; before the runner has it.
  package func fromWorker(_ line: UnsafeRawBufferPointer) {
    lock.withLock {
      guard isTimed else { return }
      let facts = LineFacts(line)
      switch facts.kind {
      case "warmed":
        isWarm = true
        if !isInterleaved { begin() }
      case "sample":
        guard hasBegun, let count = facts.timed ?? facts.latencies, count > 0 else { return }
        for probe in probes.reversed() { probe.end(iterations: count) }
        (hasBegun, hasSamples) = (false, true)
      case "metric": if let name = facts.name { told.insert(name) }
      default: break
      }
    }
  }

  private func begin() {
    for probe in probes { probe.begin() }
    hasBegun = true
  }

  /// What the worker did not tell; empty where nothing of it was timed.
  package var readings: [WorkerLine.Reading] {
    lock.withLock { hasSamples ? probes.flatMap(\.readings).filter { !told.contains($0.name) } : [] }
  }

  // MARK: Passing on

  /// Runs a command under a supervisor whose standard input and output are this process's own, through a relay.
  /// - Returns: the status to exit with. Threads may still wait for lines: exit at once.
  package static func supervise(_ command: [String], _ tree: SystemTree = .current) -> Int32 {
    // What ends is seen by its error.
    signal(SIGPIPE, SIG_IGN)
    let relay = ProbeRelay(tree)
    var passing = pacer_relay(
      started: { process, input, output, finished, context in
        let relay = Unmanaged<ProbeRelay>.fromOpaque(context!).takeUnretainedValue()
        relay.start(process: process)
        Thread.detachNewThread {
          relay.passInput(from: 0, to: input)
          close(input)
        }
        Thread.detachNewThread {
          relay.passOutput(from: output, to: 1)
          close(finished)
        }
      }, context: Unmanaged.passRetained(relay).toOpaque())
    var arguments = command.map { strdup($0) } + [nil]
    return arguments.withUnsafeMutableBufferPointer { pacer_supervise($0.baseAddress!, &passing) }
  }

  private func passInput(from source: Int32, to target: Int32) {
    var isOpen = true
    Self.forEachLine(of: source) { line, isWhole in
      if isWhole { fromRunner(line) }
      // A worker that has stopped reading does not stop the runner's writing.
      if isOpen { isOpen = Self.write(line, to: target) }
      return true
    }
  }

  private func passOutput(from source: Int32, to target: Int32) {
    var (isOpen, endsWhole) = (true, true)
    Self.forEachLine(of: source) { line, isWhole in
      if isWhole { fromWorker(line) }
      endsWhole = line.last == UInt8(ascii: "\n")
      isOpen = Self.write(line, to: target)
      return isOpen
    }
    // The worker sees that nobody reads.
    close(source)
    // It ended in the middle of a line, which must not go on.
    guard isOpen, endsWhole else { return }
    for reading in readings {
      guard let data = try? JSONEncoder().encode(WorkerLine.metric(reading)) + Data("\n".utf8) else { continue }
      _ = data.withUnsafeBytes { Self.write($0, to: target) }
    }
  }

  /// Longest line that is looked at, in bytes: the runner takes no longer one.
  private static let longestLine = 64 << 20

  /// Hands out each line with its end as soon as it is there, and what comes after the last one. Of a line that is too
  /// long it hands out parts, none of them whole. Stops where `body` says false.
  private static func forEachLine(of source: Int32, _ body: (UnsafeRawBufferPointer, _ isWhole: Bool) -> Bool) {
    var buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
    defer { buffer.deallocate() }
    var (count, isInParts) = (0, false)
    while true {
      let new = read(source, buffer.baseAddress! + count, buffer.count - count)
      if new < 0 && errno == EINTR { continue }
      guard new > 0 else { break }
      var (start, searched) = (0, count)
      count += new
      while let end = memchr(buffer.baseAddress! + searched, 0x0A, count - searched) {
        let next = UnsafeRawPointer(end) - UnsafeRawPointer(buffer.baseAddress!) + 1
        guard body(UnsafeRawBufferPointer(rebasing: buffer[start..<next]), !isInParts) else { return }
        (start, searched, isInParts) = (next, next, false)
      }
      if start > 0 {
        memmove(buffer.baseAddress!, buffer.baseAddress! + start, count - start)
        count -= start
      }
      if count > longestLine {
        guard body(UnsafeRawBufferPointer(rebasing: buffer[..<count]), false) else { return }
        (count, isInParts) = (0, true)
      }
      if count == buffer.count {
        let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 * buffer.count, alignment: 16)
        larger.copyMemory(from: UnsafeRawBufferPointer(buffer))
        buffer.deallocate()
        buffer = larger
      }
    }
    if count > 0 { _ = body(UnsafeRawBufferPointer(rebasing: buffer[..<count]), false) }
  }

  /// False where nobody reads any more.
  private static func write(_ bytes: UnsafeRawBufferPointer, to target: Int32) -> Bool {
    var sent = 0
    while sent < bytes.count {
      let count = Foundation.write(target, bytes.baseAddress! + sent, bytes.count - sent)
      if count > 0 {
        sent += count
      } else if count < 0 && errno == EAGAIN {
        var wait = pollfd(fd: target, events: Int16(POLLOUT), revents: 0)
        poll(&wait, 1, -1)
      } else if count == 0 || errno != EINTR {
        return false
      }
    }
    return true
  }
}

/// What a line says at its top level, of what a relay must know. A slice takes milliseconds and a line of thousands of
/// latencies must take less than that, so nothing is decoded; a line that is no JSON says nothing, or something that the
/// runner will refuse.
struct LineFacts {
  private(set) var kind: String?
  private(set) var name: String?
  private(set) var timed: Int?
  /// How many latencies it holds.
  private(set) var latencies: Int?

  init(_ line: UnsafeRawBufferPointer) {
    var scanner = Scanner(line)
    guard scanner.skip(UInt8(ascii: "{")) else { return }
    while let key = scanner.string() {
      guard scanner.skip(UInt8(ascii: ":")) else { return }
      switch key {
      case "kind":
        kind = scanner.string()
        // The rest of it may be long.
        if let kind, !["sample", "metric"].contains(kind) { return }
      case "name": if let text = scanner.string() { name = text } else { scanner.skipValue() }
      case "timed": timed = Int(scanner.scalar())
      case "latenciesNs": latencies = scanner.arrayCount()
      default: scanner.skipValue()
      }
      guard scanner.skip(UInt8(ascii: ",")) else { return }
    }
  }

  private struct Scanner {
    private let bytes: UnsafeRawBufferPointer
    private var place = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    private var next: UInt8? { place < bytes.count ? bytes[place] : nil }

    private mutating func skipSpace() {
      while let byte = next, byte == 0x20 || 9...13 ~= byte { place += 1 }
    }

    /// Whether this byte comes next; it is behind then.
    mutating func skip(_ byte: UInt8) -> Bool {
      skipSpace()
      guard next == byte else { return false }
      place += 1
      return true
    }

    /// A string as it is written, without its quotes; nil where none comes next.
    mutating func string() -> String? { stringBytes().map { String(decoding: bytes[$0], as: UTF8.self) } }

    private mutating func stringBytes() -> Range<Int>? {
      guard skip(UInt8(ascii: "\"")) else { return nil }
      let start = place
      while place < bytes.count, let quote = memchr(bytes.baseAddress! + place, 0x22, bytes.count - place) {
        let end = UnsafeRawPointer(quote) - bytes.baseAddress!
        place = end + 1
        var first = end
        while first > start, bytes[first - 1] == UInt8(ascii: "\\") { first -= 1 }
        if (end - first) % 2 == 0 { return start..<end }
      }
      place = bytes.count
      return nil
    }

    /// What stands up to the next comma or bracket.
    mutating func scalar() -> Substring {
      skipSpace()
      let start = place
      while let byte = next, ![UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]")].contains(byte) { place += 1 }
      return Substring(String(decoding: bytes[start..<place], as: UTF8.self).filter { !$0.isWhitespace })
    }

    /// Values of a list of numbers; nil where none comes next.
    mutating func arrayCount() -> Int? {
      guard skip(UInt8(ascii: "[")) else {
        skipValue()
        return nil
      }
      var (commas, isEmpty) = (0, true)
      while let byte = next {
        place += 1
        switch byte {
        case UInt8(ascii: "]"): return isEmpty ? 0 : commas + 1
        case UInt8(ascii: ","): commas += 1
        case 0x20, 9...13: break
        default: isEmpty = false
        }
      }
      return nil
    }

    mutating func skipValue() {
      skipSpace()
      var depth = 0
      while let byte = next {
        switch byte {
        case UInt8(ascii: "\""): _ = stringBytes()
        case UInt8(ascii: "{"), UInt8(ascii: "["):
          depth += 1
          place += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
          if depth == 0 { return }
          depth -= 1
          place += 1
        case UInt8(ascii: ","):
          if depth == 0 { return }
          place += 1
        default: place += 1
        }
      }
    }
  }
}
