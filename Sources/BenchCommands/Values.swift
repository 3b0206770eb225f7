import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer

/// What numbers on the command line may be.
enum Values {
  static func seconds(_ text: String) throws -> Double {
    guard let value = Double(text), Limits.seconds.contains(value) else {
      throw ValidationError("\"\(text)\" is no number of seconds above 0 and at most \(Int(Limits.seconds.upperBound))")
    }
    return value
  }

  static func number(_ range: ClosedRange<Int>) -> @Sendable (String) throws -> Int {
    { text in
      guard let value = Int(text), range.contains(value) else {
        throw ValidationError("\"\(text)\" is no whole number from \(range.lowerBound) to \(range.upperBound)")
      }
      return value
    }
  }
  static let iterations = number(1...Limits.iterations)
  static let warmup = number(0...Limits.iterations)
  static let processes = number(1...1000)
  static let threads = number(1...256)

  /// A command as a shell reads it.
  static func command(_ text: String) throws -> [String] {
    do {
      let words = try ShellWords.split(text)
      guard !words.isEmpty else { throw ValidationError("a command is missing") }
      return words
    } catch let error as UserError { throw ValidationError(error.description) }
  }

  static func seed(_ text: String) throws -> UInt64 {
    guard let value = UInt64(text), value < 1 << 53 else {
      throw ValidationError("\"\(text)\" is no whole number from 0 to 2⁵³")
    }
    return value
  }

  /// NAME=NUMBER.
  static func extent(_ text: String) throws -> String {
    guard let sign = text.lastIndex(of: "="), sign > text.startIndex,
      let number = Int(text[text.index(after: sign)...]),
      (1...65536).contains(number)
    else { throw ValidationError("\"\(text)\" is no extent, such as height=640") }
    return text
  }

  /// Bytes, with a unit or without.
  static func bytes(_ text: String) throws -> Int {
    let units = ["KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40]
    let unit = units.first { text.hasSuffix($0.key) }
    let number = Double(text.dropLast(unit == nil ? 0 : 3).trimmingCharacters(in: .whitespaces))
    guard let number, number > 0, number * Double(1 << (unit?.value ?? 0)) < 0x1p60 else {
      throw ValidationError("\"\(text)\" is no amount of memory, such as 512MiB or 2GiB")
    }
    return Int(number * Double(1 << (unit?.value ?? 0)))
  }

  static func tolerance(_ text: String) throws -> Double {
    guard let value = Double(text), value.isFinite, value >= 0 else {
      throw ValidationError("\"\(text)\" is no share from 0 up, such as 1e-5")
    }
    return value
  }
}
