/// A choice on one axis, as it stands in JSON.
public enum AxisValue: Hashable, Sendable {
  case flag(Bool)
  case number(Int)
  case text(String)
  case list([String])

  /// As it stands on a command line and in an identity.
  public var text: String {
    switch self {
    case .flag(let flag): flag ? "on" : "off"
    case .number(let number): "\(number)"
    case .text(let text): text
    case .list(let names): names.joined(separator: "+")
    }
  }
}

extension AxisValue: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let flag = try? container.decode(Bool.self) {
      self = .flag(flag)
    } else if let number = try? container.decode(Int.self) {
      self = .number(number)
    } else if let text = try? container.decode(String.self) {
      self = .text(text)
    } else {
      self = .list(try container.decode([String].self))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .flag(let flag): try container.encode(flag)
    case .number(let number): try container.encode(number)
    case .text(let text): try container.encode(text)
    case .list(let names): try container.encode(names)
    }
  }
}

/// A type whose values are choices on an axis.
public protocol AxisRepresentable: Equatable, Sendable {
  /// Nil where the value is no choice of this type.
  init?(axisValue: AxisValue?)
  /// Nil for the absence of a choice.
  var axisValue: AxisValue? { get }
}

extension Bool: AxisRepresentable {
  public init?(axisValue: AxisValue?) {
    guard case .flag(let flag) = axisValue else { return nil }
    self = flag
  }
  public var axisValue: AxisValue? { .flag(self) }
}

extension Int: AxisRepresentable {
  public init?(axisValue: AxisValue?) {
    guard case .number(let number) = axisValue else { return nil }
    self = number
  }
  public var axisValue: AxisValue? { .number(self) }
}

extension String: AxisRepresentable {
  public init?(axisValue: AxisValue?) {
    guard case .text(let text) = axisValue else { return nil }
    self = text
  }
  public var axisValue: AxisValue? { .text(self) }
}

extension [String]: AxisRepresentable {
  public init?(axisValue: AxisValue?) {
    guard case .list(let names) = axisValue else { return nil }
    self = names
  }
  public var axisValue: AxisValue? { .list(self) }
}

extension Optional: AxisRepresentable where Wrapped: AxisRepresentable {
  public init?(axisValue: AxisValue?) {
    guard let axisValue else {
      self = .none
      return
    }
    guard let value = Wrapped(axisValue: axisValue) else { return nil }
    self = value
  }
  public var axisValue: AxisValue? { self?.axisValue }
}

extension AxisRepresentable where Self: RawRepresentable, RawValue == String {
  public init?(axisValue: AxisValue?) {
    guard case .text(let text) = axisValue else { return nil }
    self.init(rawValue: text)
  }
  public var axisValue: AxisValue? { .text(rawValue) }
}
