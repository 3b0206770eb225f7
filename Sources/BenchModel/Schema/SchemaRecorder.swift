import BenchProtocol
import TensorCore

/// The JSON Schema of a type, found out by letting it decode itself from a decoder that writes down what it is asked for.
enum SchemaRecorder {
  static func schema<Value: Decodable>(of type: Value.Type) -> SchemaValue { value(type).schema }

  /// The schema of a type, and some value of it for the decoder that asked; nil where none can be made.
  fileprivate static func value<Value: Decodable>(_ type: Value.Type) -> (schema: SchemaValue, value: Value?) {
    if let leaf = leaves[ObjectIdentifier(type)] { return (leaf.schema, leaf.value as? Value) }
    if let known = type as? any NamedCases.Type { return (.names(known.names), known.first as? Value) }
    if let list = type as? any ListType.Type { return (.array(list.items), list.empty as? Value) }
    if let map = type as? any MapType.Type {
      return (.object(["type": .text("object"), "additionalProperties": map.items]), map.empty as? Value)
    }
    let notes = Notes()
    let value = try? Value(from: Recorder(notes: notes, codingPath: []))
    return (.object(notes.properties, required: notes.required.sorted()), value)
  }

  /// What decodes itself in a way of its own.
  private static let leaves: [ObjectIdentifier: (schema: SchemaValue, value: any Sendable)] = [
    ObjectIdentifier(Int.self): (.type("integer"), 0), ObjectIdentifier(UInt64.self): (.type("integer"), UInt64(0)),
    ObjectIdentifier(Double.self): (.type("number"), 0.0), ObjectIdentifier(Bool.self): (.type("boolean"), false),
    ObjectIdentifier(String.self): (.type("string"), ""),
    ObjectIdentifier(Shape.self): (.array(.type("integer")), Shape([])),
    ObjectIdentifier(Configuration.self): (.reference("configuration"), Configuration(choices: [:])),
  ]

  fileprivate final class Notes {
    var properties: [String: SchemaValue] = [:]
    var required: [String] = []
  }

  private struct Unrecorded: Error {}

  private struct Recorder: Decoder {
    let notes: Notes
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
      KeyedDecodingContainer(Keyed<Key>(notes: notes, codingPath: codingPath))
    }
    func unkeyedContainer() throws -> any UnkeyedDecodingContainer { throw Unrecorded() }
    func singleValueContainer() throws -> any SingleValueDecodingContainer { throw Unrecorded() }
  }

  private struct Keyed<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let notes: Notes
    let codingPath: [any CodingKey]
    var allKeys: [Key] { [] }

    func contains(_ key: Key) -> Bool { true }
    func decodeNil(forKey key: Key) throws -> Bool { false }

    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
      let (schema, value) = SchemaRecorder.value(type)
      notes.properties[key.stringValue] = schema
      notes.required.append(key.stringValue)
      guard let value else { throw Unrecorded() }
      return value
    }

    func decodeIfPresent<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value? {
      notes.properties[key.stringValue] = SchemaRecorder.value(type).schema
      return nil
    }
    // The standard types have requirements of their own.
    func decodeIfPresent(_ type: Bool.Type, forKey key: Key) throws -> Bool? { try optional(type, key) }
    func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? { try optional(type, key) }
    func decodeIfPresent(_ type: Double.Type, forKey key: Key) throws -> Double? { try optional(type, key) }
    func decodeIfPresent(_ type: Int.Type, forKey key: Key) throws -> Int? { try optional(type, key) }
    func decodeIfPresent(_ type: UInt64.Type, forKey key: Key) throws -> UInt64? { try optional(type, key) }

    private func optional<Value: Decodable>(_ type: Value.Type, _ key: Key) throws -> Value? {
      notes.properties[key.stringValue] = SchemaRecorder.value(type).schema
      return nil
    }

    func nestedContainer<Nested: CodingKey>(
      keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> { throw Unrecorded() }
    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer { throw Unrecorded() }
    func superDecoder() throws -> any Decoder { throw Unrecorded() }
    func superDecoder(forKey key: Key) throws -> any Decoder { throw Unrecorded() }
  }
}

private protocol ListType {
  static var items: SchemaValue { get }
  static var empty: Self { get }
}
extension Array: ListType where Element: Decodable {
  fileprivate static var items: SchemaValue { SchemaRecorder.schema(of: Element.self) }
  fileprivate static var empty: [Element] { [] }
}

private protocol MapType {
  static var items: SchemaValue { get }
  static var empty: Self { get }
}
extension Dictionary: MapType where Key == String, Value: Decodable {
  fileprivate static var items: SchemaValue { SchemaRecorder.schema(of: Value.self) }
  fileprivate static var empty: [String: Value] { [:] }
}

/// An enumeration of names.
protocol NamedCases {
  static var names: [String] { get }
  static var first: Self { get }
}
extension NamedCases where Self: RawRepresentable & CaseIterable, RawValue == String {
  static var names: [String] { allCases.map(\.rawValue) }
  static var first: Self { allCases.first! }
}
extension Job.Action: NamedCases {}
extension RowStatus: NamedCases {}
extension Record.Ending: NamedCases {}
