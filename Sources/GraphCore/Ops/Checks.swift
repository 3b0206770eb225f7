import TensorCore

/// Calls with the type of real numbers that tensors of an element type are computed in.
package func withReals<Result>(of dtype: DType, _ body: (any LibraryReal.Type) throws -> Result) rethrows -> Result {
  try body(dtype == .float64 ? Double.self : Float.self)
}

/// Sees to it that all inputs are of one type of real numbers.
func expectReals(_ inputs: some Collection<TensorType>, _ op: String) throws {
  guard let first = inputs.first else { throw GraphError("\(op) has no inputs") }
  try expect(
    first.dtype.isFloat && inputs.allSatisfy { $0.dtype == first.dtype },
    "\(op) computes on floats of one type, not on \(inputs.map { "\($0)" }.joined(separator: " and "))")
}

/// A list as graph text prints it.
func listed(_ list: [Int]) -> String { list.map(String.init).joined(separator: ",") }

extension TensorType {
  /// Itself, where a tensor can be of it: for shapes that are computed from attributes.
  func checked(_ op: String) throws -> TensorType {
    if let fault { throw GraphError("\(op) would be \(self): \(fault)") }
    return self
  }
}
