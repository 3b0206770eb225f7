/// A JSON Schema, as a value that is written with its keys in order.
public indirect enum SchemaValue: Encodable, Sendable, Equatable {
  case text(String)
  case number(Int)
  case flag(Bool)
  case list([SchemaValue])
  case object([String: SchemaValue])

  public func encode(to encoder: any Encoder) throws {
    switch self {
    case .text(let text): try text.encode(to: encoder)
    case .number(let number): try number.encode(to: encoder)
    case .flag(let flag): try flag.encode(to: encoder)
    case .list(let list): try list.encode(to: encoder)
    case .object(let object): try object.encode(to: encoder)
    }
  }

  static func type(_ name: String) -> SchemaValue { .object(["type": .text(name)]) }
  static func names(_ names: [String]) -> SchemaValue { .object(["enum": .list(names.map { .text($0) })]) }
  static func array(_ items: SchemaValue) -> SchemaValue { .object(["type": .text("array"), "items": items]) }
  static func oneOf(_ list: [SchemaValue]) -> SchemaValue { .object(["oneOf": .list(list)]) }
  static func reference(_ name: String) -> SchemaValue { .object(["$ref": .text("#/$defs/\(name)")]) }

  /// An object of these properties.
  static func object(
    _ properties: [String: SchemaValue], required: [String], isOpen: Bool = false, description: String? = nil
  ) -> SchemaValue {
    var schema: [String: SchemaValue] = [
      "type": .text("object"), "properties": .object(properties), "additionalProperties": .flag(isOpen),
    ]
    if !required.isEmpty { schema["required"] = .list(required.map { .text($0) }) }
    if let description { schema["description"] = .text(description) }
    return .object(schema)
  }

  /// One value of a kind, or a list of them.
  static func orList(_ value: SchemaValue) -> SchemaValue {
    .oneOf([value, .object(["type": .text("array"), "items": value, "minItems": .number(1)])])
  }

  /// The object with a property more, which must have this value.
  func with(_ key: String, _ constant: String) -> SchemaValue {
    guard case .object(var schema) = self, case .object(var properties)? = schema["properties"] else { return self }
    properties[key] = .object(["const": .text(constant)])
    var required: [SchemaValue] = [.text(key)]
    if case .list(let others)? = schema["required"] { required += others }
    (schema["properties"], schema["required"]) = (.object(properties), .list(required))
    return .object(schema)
  }

  /// The object with one property's schema in place of what its type says.
  func replacing(_ key: String, _ value: SchemaValue) -> SchemaValue {
    guard case .object(var schema) = self, case .object(var properties)? = schema["properties"] else { return self }
    properties[key] = value
    schema["properties"] = .object(properties)
    return .object(schema)
  }

  /// The object, which may have properties besides.
  var open: SchemaValue {
    guard case .object(var schema) = self else { return self }
    schema["additionalProperties"] = .flag(true)
    return .object(schema)
  }
}
