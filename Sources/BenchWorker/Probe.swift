import BenchProtocol
import CMeasure
import Foundation
import Pacer

/// Reads a metric in the measured process: told when the work begins and when it has ended, and asked at the end for what
/// it read. Made anew for every process.
public protocol Probe: AnyObject {
  /// Called right before the work.
  func begin()
  /// Called right after it.
  func end(iterations: Int)
  /// What was read over everything between `begin` and `end` so far.
  var readings: [WorkerLine.Reading] { get }
}

/// When a probe reads, and how it is made.
public struct ProbeDeclaration: Sendable {
  public enum Moment: Sendable {
    /// Around each slice of timed iterations, for a sampled metric.
    case timed
    /// Around one steady inference, for a deterministic metric.
    case inspected
  }
  public var moment: Moment
  /// The session is nil where nothing of Pacer's is timed.
  public var make: @Sendable (Session?) -> any Probe

  public init(_ moment: Moment, _ make: @escaping @Sendable (Session?) -> any Probe) {
    (self.moment, self.make) = (moment, make)
  }

  /// Those of Pacer's own worker. The heap's is the innermost: what other probes allocate is none of an inference's. So is
  /// the usage's of the timed ones: reading the machine's sensors takes processor time.
  public static func standard(_ heap: HeapCounter?) -> [ProbeDeclaration] {
    [
      ProbeDeclaration(.timed) { _ in MachineProbe() }, ProbeDeclaration(.timed) { _ in UsageProbe() },
      ProbeDeclaration(.timed) { _ in ResidentProbe() },
      ProbeDeclaration(.inspected) { TensorProbe($0) }, ProbeDeclaration(.inspected) { _ in HeapProbe(heap) },
    ]
  }
}

/// Processor time, page faults and context switches an iteration.
final class UsageProbe: Probe {
  private var before = ProcessUsage()
  private var sum = ProcessUsage()
  private var count = 0

  func begin() { before = .now() }
  func end(iterations: Int) {
    sum += ProcessUsage.now() - before
    count += iterations
  }
  var readings: [WorkerLine.Reading] {
    guard count > 0 else { return [] }
    return [
      .init("cpu-time", Double(sum.cpuNanoseconds / count)),
      .init("minor-faults", Double(sum.minorFaults) / Double(count)),
      .init("voluntary-switches", Double(sum.voluntarySwitches) / Double(count)),
      .init("involuntary-switches", Double(sum.involuntarySwitches) / Double(count)),
    ]
  }
}

/// The high-water mark of this process's own memory map, and how much of the map lies on pages of 2 MiB. `ru_maxrss`
/// would not do: it is inherited from the parent.
final class ResidentProbe: Probe {
  func begin() {}
  func end(iterations: Int) {}
  var readings: [WorkerLine.Reading] {
    [
      kibibytes("VmHWM", of: "/proc/self/status", as: "peak-resident"),
      kibibytes("AnonHugePages", of: "/proc/self/smaps_rollup", as: "huge-pages"),
    ]
  }

  private func kibibytes(_ field: String, of file: String, as name: String) -> WorkerLine.Reading {
    let line = read(file)?.split(separator: "\n").first { $0.hasPrefix("\(field):") }
    let kibibytes = line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Double($0) }
    return kibibytes.map { .init(name, $0 * 1024) } ?? .init(name, unavailable: "\(file) has no \(field)")
  }
}

/// What a session asks of its allocator in one inference, and its planned block.
final class TensorProbe: Probe {
  private let session: Session?
  private var before: AllocationStatistics?
  private var after: AllocationStatistics?

  init(_ session: Session?) { self.session = session }

  func begin() { before = session?.allocationStatistics }
  func end(iterations: Int) { after = session?.allocationStatistics }
  var readings: [WorkerLine.Reading] {
    var list: [WorkerLine.Reading] = []
    if let before, let after {
      list.append(.init("tensor-allocations", Double(after.allocations - before.allocations)))
      list.append(.init("tensor-bytes", Double(after.bytes - before.bytes)))
      list.append(.init("tensor-peak-bytes", Double(after.peakLiveBytes)))
      if after.cacheHits + after.cacheMisses > 0 {
        list.append(.init("cache-misses", Double(after.cacheMisses - before.cacheMisses)))
      }
    } else {
      list.append(.init("tensor-allocations", unavailable: "this backend has no tensor allocator"))
    }
    if let arena = session?.arena {
      list.append(.init("arena-bytes", Double(arena.byteCount)))
      list.append(.init("arena-lower-bound", Double(arena.lowerBound)))
    }
    return list
  }
}

/// Calls of the C library's allocator in one inference.
final class HeapProbe: Probe {
  private let counter: HeapCounter?
  private let unavailable: String?
  private var counted = (allocations: 0, bytes: 0)

  init(_ counter: HeapCounter?) {
    self.counter = counter
    unavailable = counter.map { $0.unavailable() } ?? "this worker has no heap counter"
  }

  func begin() { if unavailable == nil { counter?.start() } }
  func end(iterations: Int) { if unavailable == nil, let counter { counted = counter.stop() } }
  var readings: [WorkerLine.Reading] {
    if let unavailable {
      return [
        .init("heap-allocations", unavailable: unavailable), .init("heap-bytes", unavailable: unavailable),
      ]
    }
    return [.init("heap-allocations", Double(counted.allocations)), .init("heap-bytes", Double(counted.bytes))]
  }
}
