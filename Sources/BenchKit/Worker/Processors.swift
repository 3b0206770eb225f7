import CMeasure
import Foundation

/// Which processors a process runs on.
enum Processors {
  /// Those this process may use, by number; empty where the system does not tell.
  static let allowed: [Int] = {
    var numbers = [Int32](repeating: 0, count: 1024)
    let count = pacer_allowed_processors(&numbers, Int32(numbers.count))
    return numbers.prefix(Int(count)).map(Int.init)
  }()

  /// How many this process may use: of those that are allowed, as much as its control groups leave it.
  static var available: Double {
    let count = Double(max(allowed.count, 1))
    return min(count, CPUQuota.current()?.processors ?? count)
  }

  /// As many as `threads`, drawn at random; nil where that is all there are.
  static func choose(_ threads: Int) -> [Int]? {
    allowed.count > threads ? Array(allowed.shuffled().prefix(threads)).sorted() : nil
  }

  /// Keeps this process on the given processors.
  /// - Throws: ``UserError`` where the system has none of them.
  static func stay(on processors: [Int]) throws {
    let error = pacer_stay_on_processors(processors.map { Int32(clamping: $0) }, Int32(processors.count))
    guard error == 0 else {
      throw UserError("processors \(processors) cannot be chosen: \(String(cString: strerror(error)))")
    }
  }
}
