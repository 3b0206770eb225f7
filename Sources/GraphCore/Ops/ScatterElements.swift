import TensorCore

/// What becomes of an element that is written to.
public enum ScatterReduction: String, Hashable, Sendable, Codable {
  /// It is overwritten; of several that are written to one place, the last one stays.
  case none
  case add, multiply, maximum, minimum
}

/// A tensor with some elements replaced, each at another place along an axis, or combined with what is there (ONNX,
/// ScatterElements).
///
/// Inputs: `data`, `indices` (int32 or int64, negative ones count from the end), `updates` of the indices' shape.
public struct ScatterElements: Op {
  public static let name = "scatter_elements"

  public var axis: Int
  public var reduction: ScatterReduction

  public init(axis: Int, reduction: ScatterReduction = .none) { (self.axis, self.reduction) = (axis, reduction) }

  public var attributes: [(String, String)] { [("axis", "\(axis)")] + reduction.attribute }
  public var elementTypes: ElementTypes { reduction == .none ? .any : .numbers }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 3, "\(name) takes 3 inputs, not \(inputs.count)")
    let (data, updates) = (inputs[0], inputs[2])
    try checkElementIndices(inputs[1], of: data, axis, name)
    try expect(
      updates.shape == inputs[1].shape && updates.dtype == data.dtype && updates.quantization == data.quantization,
      "\(name): \(updates) into \(data) at \(inputs[1])")
    return [data]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    result.write(inputs[0])
    let places = try elementPlaces(inputs[1], of: inputs[0].shape, axis, name)
    try result.scatter(inputs[2], to: places, slice: 1, reduction)
    return [result]
  }
}

extension ScatterReduction {
  var attribute: [(String, String)] { self == .none ? [] : [("reduction", rawValue)] }
}

extension Tensor {
  /// Writes slices of so many elements to where they belong, one after the other.
  func scatter(_ updates: Tensor, to places: [Int], slice: Int, _ reduction: ScatterReduction) throws {
    defer { withExtendedLifetime((self, updates)) {} }
    if reduction == .none {
      let size = type.dtype.byteCount
      for (index, place) in places.enumerated() {
        (storage.pointer + place * size).copyMemory(
          from: updates.storage.pointer + index * slice * size, byteCount: slice * size)
      }
      return
    }
    func combine<Element: NumberElement>(_: Element.Type) {
      let (target, source) = (pointer(to: Element.self), updates.pointer(to: Element.self))
      let function: (Element, Element) -> Element
      switch reduction {
      // Of bools, whether one of them is.
      case .add where type.dtype == .bool: function = Element.larger
      case .add: function = Element.sum
      case .multiply: function = Element.product
      case .maximum: function = Element.larger
      case .minimum, .none: function = Element.smaller
      }
      for (index, place) in places.enumerated() {
        for i in 0..<slice { target[place + i] = function(target[place + i], source[index * slice + i]) }
      }
    }
    try withNumbers(of: type.dtype) { combine($0) }
  }
}
