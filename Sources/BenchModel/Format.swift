import BenchStatistics
import Foundation

/// Numbers in the words of reports. No digit is printed that says nothing.
public enum Format {
  /// Three significant digits in the unit that fits.
  public static func time(_ nanoseconds: Double) -> String {
    switch abs(nanoseconds) {
    case ..<1e3: significant(nanoseconds) + " ns"
    case ..<1e6: significant(nanoseconds / 1e3) + " µs"
    case ..<1e9: significant(nanoseconds / 1e6) + " ms"
    default: significant(nanoseconds / 1e9) + " s"
    }
  }

  public static func bytes(_ count: Double) -> String {
    switch abs(count) {
    case ..<1024: Self.count(count) + " B"
    case ..<(1024 * 1024): significant(count / 1024) + " KiB"
    default: significant(count / 1024 / 1024) + " MiB"
    }
  }

  public static func energy(_ joules: Double) -> String {
    switch abs(joules) {
    case ..<1e-3: significant(joules * 1e6) + " µJ"
    case ..<1: significant(joules * 1e3) + " mJ"
    default: significant(joules) + " J"
    }
  }

  public static func ratio(_ estimate: Estimate) -> String { String(format: "%.3f", estimate.value) }

  public static func significant(_ value: Double) -> String {
    switch abs(value) {
    case ..<9.995: String(format: "%.2f", value)
    case ..<99.95: String(format: "%.1f", value)
    default: String(format: "%.0f", value)
    }
  }

  /// A field of CSV (RFC 4180).
  package static func quoted(_ text: String) -> String {
    "\"" + text.replacingOccurrences(of: "\"", with: "\"\"") + "\""
  }

  /// Text from outside on one line, without control characters, and not endless.
  package static func plain(_ text: String) -> String {
    let line = text.unicodeScalars.map { scalar -> String in
      scalar.properties.generalCategory == .control || scalar.properties.isNoncharacterCodePoint ? " " : String(scalar)
    }
    let words = line.joined().split(separator: " ").joined(separator: " ")
    return words.count > 1000 ? String(words.prefix(1000)) + " …" : words
  }

  /// "1 configuration", "2 configurations".
  public static func number(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

  /// `±1.3%`, or `?` below three runs: an interval of two says nothing.
  public static func spread(_ estimate: Estimate) -> String {
    guard estimate.hasInterval else { return "?" }
    let percent = estimate.relativeHalfWidth * 100
    return percent < 9.95 ? String(format: "±%.1f%%", percent) : String(format: "±%.0f%%", percent)
  }

  public static func count(_ value: Double) -> String {
    // What a file may hold and no counter gives.
    guard abs(value) < 1e15 else { return String(format: "%.3g", value) }
    let digits = String(Int(value.rounded()))
    var result = ""
    for (offset, digit) in digits.enumerated() {
      if offset > 0 && (digits.count - offset) % 3 == 0 && result != "-" { result += "," }
      result.append(digit)
    }
    return result
  }

  /// "1.4e-05": for errors, whose size alone matters.
  public static func scientific(_ value: Double) -> String { String(format: "%.1e", value) }
}
