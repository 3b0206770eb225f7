import TensorCore

/// What cannot be computed, in a branch that may never be taken: an error when it runs.
public struct Fail: Op {
  public static let name = "fail"

  public var reason: String
  /// What would have been computed.
  public var types: [TensorType]

  public init(_ reason: String, types: [TensorType]) { (self.reason, self.types) = (reason, types) }

  public var attributes: [(String, String)] { [("reason", "\"\(reason)\"")] }
  public var elementTypes: ElementTypes { .any }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] { types }
  /// - Throws: ``GraphError``, always.
  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] { throw GraphError(reason) }
}
