import CMeasure
import Foundation

/// Which processors a process runs on.
package enum Processors {
  /// Those this process may use, by number; empty where the system does not tell.
  package static let allowed: [Int] = {
    var numbers = [Int32](repeating: 0, count: 1024)
    let count = pacer_allowed_processors(&numbers, Int32(numbers.count))
    return numbers.prefix(Int(count)).map(Int.init)
  }()

  /// Those that a process may use now, as long as it runs; empty where the system does not tell.
  package static func allowed(of process: Int32, in tree: SystemTree = SystemTree()) -> [Int] {
    let line = tree.text("/proc/\(process)/status")?.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list:") }
    return line.flatMap { $0.split(whereSeparator: \.isWhitespace).dropFirst().first }
      .flatMap { SystemTree.list(String($0)) } ?? []
  }

  /// How many this process may use: of those that are allowed, as much as its control groups leave it.
  package static var available: Double {
    let count = Double(max(allowed.count, 1))
    return min(count, CPUQuota.current()?.processors ?? count)
  }

  /// As many as `threads`, drawn at random; nil where that is all there are.
  package static func choose(_ threads: Int, using generator: inout some RandomNumberGenerator) -> [Int]? {
    allowed.count > threads ? Array(allowed.shuffled(using: &generator).prefix(threads)).sorted() : nil
  }

  /// Keeps this process on the given processors.
  /// - Throws: ``UserError`` where the system has none of them.
  package static func stay(on processors: [Int]) throws {
    let error = pacer_stay_on_processors(processors.map { Int32(clamping: $0) }, Int32(processors.count))
    guard error == 0 else {
      throw UserError("processors \(processors) cannot be chosen: \(String(cString: strerror(error)))")
    }
  }
}
