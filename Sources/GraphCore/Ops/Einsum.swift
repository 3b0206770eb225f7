import TensorCore

/// Sums of products of elements, by the letters of their axes (ONNX, Einsum): axes of one letter go together, and those that
/// the result lacks are summed over. `ij,jk->ik` is a product of matrices.
public struct Einsum: Op {
  public static let name = "einsum"

  /// A letter for each axis of each input. Axes of one letter have one extent, or 1.
  public var terms: [[Character]]
  /// Those of the result, each once, all of them among the inputs'.
  public var result: [Character]

  public init(_ terms: [[Character]], to result: [Character]) { (self.terms, self.result) = (terms, result) }

  /// Letters are coded as texts: `["ij", "jk"]` and `"ik"`.
  private enum CodingKeys: CodingKey { case terms, result }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    terms = try container.decode([String].self, forKey: .terms).map(Array.init)
    result = Array(try container.decode(String.self, forKey: .result))
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(terms.map { String($0) }, forKey: .terms)
    try container.encode(String(result), forKey: .result)
  }

  public var attributes: [(String, String)] {
    [("equation", terms.map { String($0) }.joined(separator: ",") + "->" + String(result))]
  }
  public var elementTypes: ElementTypes { .numbers }

  /// The extent behind each letter.
  private func extents(_ shapes: [Shape]) throws -> [Character: Int] {
    var extents: [Character: Int] = [:]
    for (term, shape) in zip(terms, shapes) {
      try expect(term.count == shape.rank, "\(name): \(String(term)) for \(shape)")
      for (letter, extent) in zip(term, shape.extents) {
        let known = extents[letter, default: 1]
        try expect(known == extent || known == 1 || extent == 1, "\(name): \(letter) is \(known) and \(extent)")
        extents[letter] = known == 1 ? extent : known
      }
    }
    return extents
  }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(
      inputs.count == terms.count && !terms.isEmpty, "\(name) takes \(terms.count) inputs, not \(inputs.count)")
    try expect(
      inputs.allSatisfy { $0.dtype == inputs[0].dtype && $0.dtype != .bool },
      "\(name) needs one element type of numbers: \(inputs)")
    let extents = try extents(inputs.map(\.shape))
    let isFitting = Set(result).count == result.count && result.allSatisfy { extents[$0] != nil }
    try expect(isFitting, "\(name): a result \(String(result))")
    return [TensorType(Shape(result.map { extents[$0]! }), inputs[0].dtype)]
  }

  public func cost(for inputs: [TensorType]) -> Cost {
    guard let extents = try? extents(inputs.map(\.shape)) else { return Cost() }
    return Cost(macs: Shape(Array(extents.values)).elementCount.map { $0 * max(terms.count - 1, 1) } ?? 0)
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let extents = try extents(inputs.map(\.shape))
    let target = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    let summed = extents.keys.filter { !result.contains($0) }.sorted()
    /// How an input is read along some letters; where it has one twice, along the diagonal.
    func view(_ term: [Character], _ shape: Shape, _ letters: [Character]) -> StridedView {
      let strides = letters.map { letter in
        zip(term, zip(shape.strides, shape.extents)).reduce(0) {
          $1.0 == letter && $1.1.1 != 1 ? $0 + $1.1.0 : $0
        }
      }
      return StridedView(Shape(letters.map { extents[$0]! } + [1]), strides: strides + [0])
    }
    /// Places of all indices of some letters, for each input.
    func places(_ letters: [Character]) -> [[Int]] {
      zip(terms, inputs).map { term, input in
        var places: [Int] = []
        view(term, input.shape, letters).forEachLine { places.append($0) }
        return places
      }
    }
    let (outer, inner) = (places(result), places(summed))
    func run<Element: NumberElement>(_: Element.Type) {
      let sources = inputs.map { $0.pointer(to: Element.self) }
      let results = target.pointer(to: Element.self)
      for index in outer[0].indices {
        var sum: Element = 0
        for step in inner[0].indices {
          var product = sources[0][outer[0][index] + inner[0][step]]
          for input in 1..<max(sources.count, 1) {
            product = .product(product, sources[input][outer[input][index] + inner[input][step]])
          }
          sum = .sum(sum, product)
        }
        results[index] = sum
      }
    }
    try withNumbers(of: target.type.dtype) { run($0) }
    withExtendedLifetime((inputs, target)) {}
    return [target]
  }
}
