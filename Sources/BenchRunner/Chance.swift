import BenchProtocol
import BenchStatistics
import Synchronization

/// All chance of one experiment, from one seed: the order of runs, the processors they are on, where their memory lies.
public final class Chance: Sendable {
  public let seed: UInt64
  private let generator: Mutex<SeededGenerator>

  /// - Parameter seed: nil for one that is drawn.
  public init(seed: UInt64? = nil) {
    // Small enough for every reader of JSON, whose numbers may be binary64.
    let seed = seed ?? UInt64.random(in: 0..<1 << 48)
    self.seed = seed
    generator = Mutex(SeededGenerator(seed: seed))
  }

  package func draw<Value: Sendable>(_ body: (inout SeededGenerator) -> sending Value) -> Value {
    generator.withLock { body(&$0) }
  }

  /// Where the next process lies: up to 4 KiB of stack and 64 KiB of heap elsewhere.
  package func layout() -> Job.Layout {
    draw { Job.Layout(stack: Int.random(in: 1..<4096, using: &$0), heap: Int.random(in: 1..<1 << 16, using: &$0)) }
  }

  /// As many processors as `threads`, of those that are allowed; nil where that is all there are.
  package func processors(_ threads: Int) -> [Int]? { draw { Processors.choose(threads, using: &$0) } }
}
