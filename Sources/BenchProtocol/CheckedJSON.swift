import Foundation

/// JSON from outside: a worker's line, a result, a baseline. Every number is finite and of a size that can be computed
/// with, and what is wrong is named by its field.
package enum CheckedJSON {
  /// Larger numbers are no measurement: nanoseconds of thirty years.
  package static let largest = 1e18

  /// - Throws: ``UserError`` that names the field.
  package static func decode<Value: Decodable>(_ type: Value.Type, from data: Data) throws -> Value {
    let object: Any
    do { object = try JSONSerialization.jsonObject(with: data, options: .fragmentsAllowed) } catch {
      throw UserError("it is not JSON")
    }
    try check(object, "")
    do { return try JSONDecoder().decode(type, from: data) } catch let error as DecodingError {
      throw UserError(words(error))
    }
  }

  private static func check(_ value: Any, _ path: String) throws {
    switch value {
    case let object as [String: Any]:
      for (key, value) in object { try check(value, path.isEmpty ? key : "\(path).\(key)") }
    case let list as [Any]:
      for (index, value) in list.enumerated() { try check(value, "\(path)[\(index)]") }
    case let number as NSNumber:
      guard number.doubleValue.isFinite, abs(number.doubleValue) <= largest else {
        throw UserError("field \(path) is \(number): numbers are finite and at most \(largest)")
      }
    default: break
    }
  }

  static func words(_ error: DecodingError) -> String {
    func field(_ path: [any CodingKey], _ last: (any CodingKey)? = nil) -> String {
      (path + (last.map { [$0] } ?? [])).reduce("") { text, key in
        if let index = key.intValue { return "\(text)[\(index)]" }
        return text.isEmpty ? key.stringValue : "\(text).\(key.stringValue)"
      }
    }
    switch error {
    case .keyNotFound(let key, let context): return "field \(field(context.codingPath, key)) is missing"
    case .typeMismatch(let type, let context): return "field \(field(context.codingPath)) is no \(type)"
    case .valueNotFound(let type, let context):
      return "field \(field(context.codingPath)) has no value; \(type) is expected"
    case .dataCorrupted(let context):
      return context.codingPath.isEmpty
        ? "it is not JSON" : "field \(field(context.codingPath)): \(context.debugDescription)"
    @unknown default: return "\(error)"
    }
  }
}

/// A mistake in a number that came from outside.
package func require(
  _ isRight: Bool, _ field: @autoclosure () -> String, _ value: @autoclosure () -> Any, _ rule: String
)
  throws
{
  if !isRight { throw UserError("field \(field()) is \(value()): \(rule)") }
}
