import Foundation

/// What a metric counts, and how its values are written.
public struct Unit: Sendable, Equatable {
  public var name: String
  /// As a report shows it, with the digits that say something.
  private let short: @Sendable (Double) -> String
  /// Every digit, for what is compared exactly.
  private let exact: @Sendable (Double) -> String

  public init(
    _ name: String, short: @escaping @Sendable (Double) -> String,
    exact: @escaping @Sendable (Double) -> String = { "\($0)" }
  ) {
    (self.name, self.short, self.exact) = (name, short, exact)
  }

  public func text(_ value: Double) -> String { short(value) }
  public func exactText(_ value: Double) -> String { exact(value) }
  public static func == (a: Unit, b: Unit) -> Bool { a.name == b.name }

  public static let nanoseconds = Unit("nanoseconds", short: Format.time)
  public static let bytes = Unit("bytes", short: Format.bytes) { Format.count($0) + " B" }
  public static let count = Unit("count") {
    $0 == $0.rounded() ? Format.count($0) : Format.significant($0)
  } exact: {
    Format.count($0)
  }
  public static let joules = Unit("joules", short: Format.energy)
  public static let celsius = Unit("degrees Celsius") { String(format: "%.1f °C", $0) }
  public static let megahertz = Unit("megahertz") { Format.count($0) + " MHz" }
  public static let ratio = Unit("ratio", short: { Format.scientific($0) })
}
