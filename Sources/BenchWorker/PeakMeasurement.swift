import BenchProtocol
import Dispatch
import Foundation
import RuntimeCore

/// How fast arithmetic and memory are at most: the best of several short runs, on all threads at once.
struct PeakMeasurement {
  let threads: Int

  private static let runs = 7
  private static let seconds = 0.02

  func run(_ arithmetic: [PeakWork], _ emit: (WorkerLine) throws -> Void) throws {
    for work in arithmetic {
      if let run = work.run {
        try emit(.metric(.init("peak-\(work.name)", best(Double(work.operations)) { run($1) })))
      } else {
        try emit(.metric(.init("peak-\(work.name)", unavailable: "this instruction set has no such operation")))
      }
    }
    for level in Self.levels {
      try emit(.metric(.init("size-\(level.name)", Double(level.bytes))))
      try emit(.metric(.init("copy-\(level.name)", copyRate(level))))
    }
  }

  /// Units a second of the fastest run.
  /// - Parameters:
  ///   - units: in one round of one thread.
  ///   - work: does so many rounds on the thread of that number.
  private func best(_ units: Double, _ work: @escaping @Sendable (_ thread: Int, _ rounds: Int) -> Void) -> Double {
    func seconds(_ rounds: Int) -> Double {
      let start = monotonicNanoseconds()
      if threads == 1 {
        work(0, rounds)
      } else {
        DispatchQueue.concurrentPerform(iterations: threads) { work($0, rounds) }
      }
      return Double(monotonicNanoseconds() - start) * 1e-9
    }
    var rounds = 1
    while seconds(rounds) < Self.seconds && rounds < 1 << 40 { rounds *= 2 }
    let fastest = (0..<Self.runs).map { _ in seconds(rounds) }.min() ?? .infinity
    return units * Double(rounds) * Double(threads) / fastest
  }

  // MARK: Memory

  struct Level {
    var name: String
    var bytes: Int
    /// Whether all threads share it.
    var isShared: Bool
  }

  /// The caches this machine tells of, and what is larger than all of them.
  static let levels: [Level] = {
    let folder = "/sys/devices/system/cpu/cpu0/cache"
    var levels: [Level] = []
    for index in 0..<8 {
      guard let kind = read("\(folder)/index\(index)/type"), kind != "Instruction",
        let level = read("\(folder)/index\(index)/level"), let size = read("\(folder)/index\(index)/size"),
        let count = Int(size.filter(\.isNumber))
      else { continue }
      let bytes = count << (size.hasSuffix("M") ? 20 : 10)
      levels.append(Level(name: "L\(level)", bytes: bytes, isShared: level == "3"))
    }
    let largest = levels.map(\.bytes).max() ?? 32 << 20
    return levels + [Level(name: "memory", bytes: min(max(4 * largest, 64 << 20), 512 << 20), isShared: true)]
  }()

  /// Bytes read and written a second by copies that stay within half of the level.
  private func copyRate(_ level: Level) -> Double {
    let share = level.isShared ? level.bytes / threads : level.bytes
    // From and to lie in the level together: a quarter of it each. Memory is not to be held by any cache.
    let count = max(level.name == "memory" ? share / 2 : share / 4, 4096)
    let buffers = (0..<2 * threads).map { _ in Buffer(count) }
    return best(Double(2 * count)) { thread, rounds in
      for _ in 0..<rounds { memcpy(buffers[2 * thread].pointer, buffers[2 * thread + 1].pointer, count) }
    }
  }

  /// `@unchecked Sendable`: each is used by one thread.
  private final class Buffer: @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer
    init(_ count: Int) {
      pointer = .allocate(byteCount: count, alignment: 4096)
      pointer.initializeMemory(as: UInt8.self, repeating: 1, count: count)
    }
    deinit { pointer.deallocate() }
  }
}
