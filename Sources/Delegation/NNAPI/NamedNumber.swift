/// A number of `NeuralNetworks.h` that goes by its name there, without the prefix: in files too.
public protocol NamedNumber: RawRepresentable<Int32>, CaseIterable, Codable, Sendable, CustomStringConvertible {
  /// By number.
  static var names: [String] { get }
}

extension NamedNumber {
  public var description: String { Self.names[Int(rawValue)] }

  /// - Parameter name: as NNAPI spells it, without the prefix.
  public init?(name: String) {
    guard let index = Self.names.firstIndex(of: name) else { return nil }
    self.init(rawValue: Int32(index))
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let name = try container.decode(String.self)
    guard let found = Self(name: name) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "NNAPI has no \(name)")
    }
    self = found
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
