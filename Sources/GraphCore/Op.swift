import TensorCore

/// One kind of operation with its attributes. Ops are values: two equal ops compute the same function.
public protocol Op: Hashable, Sendable, Codable {
  /// Name of the kind: `conv2d`.
  static var name: String { get }
  /// Name as graph text and profiles print it: that of the kind, or of the function that it computes where the kind has many.
  var name: String { get }
  /// Attributes that differ from their defaults, in a fixed order, as graph text prints them.
  var attributes: [(String, String)] { get }
  /// Which element types each of its inputs may have; quantised tensors are refused unless it takes any.
  var elementTypes: ElementTypes { get }
  /// Shape and type rules, of inputs whose element types it takes. Weights are inputs too.
  /// - Throws: ``GraphError`` when the inputs do not fit.
  func outputTypes(for inputs: [TensorType]) throws -> [TensorType]
  /// The plain, readable computation that every kernel is tested against. Inputs and outputs are NCHW.
  func evaluate(_ inputs: [Tensor]) throws -> [Tensor]
  func cost(for inputs: [TensorType]) -> Cost
  /// Which inputs are parameters (weights, statistics) rather than activations.
  var parameterInputs: Range<Int> { get }
  /// What a pass that sets a memory format may do with the op.
  var formatRule: FormatRule { get }
}

public enum FormatRule: Sendable {
  /// Computes in whatever format its first input has, and answers in the same.
  case follows
  /// The same, but an input that lies alike in every format may have any: ``TensorType/liesAlike``.
  case broadcasts
  /// Needs NCHW inputs and answers in NCHW.
  case needsNCHW
}

/// Element types that an op computes on.
public enum ElementTypes: Sendable {
  /// What is stored in a narrower float, or as integers that stand for numbers, is widened before, and the rule sees none of that.
  case float32
  /// All of them: narrower floats and integers that stand for numbers are widened to float32 before, the others are computed as what
  /// they are.
  case numbers
  /// All of them, in any mixture, quantised ones too: the op's own rule says the rest.
  case any

  /// Whether nothing is widened.
  package var isAny: Bool { if case .any = self { true } else { false } }
}

extension Op {
  public var name: String { Self.name }
  public var elementTypes: ElementTypes { .float32 }

  /// What it computes of these inputs, after seeing to it that they are tensors it takes.
  /// - Throws: ``GraphError`` when they are not.
  public func checkedOutputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    for type in inputs {
      if let fault = type.fault { throw GraphError("\(name): \(type): \(fault)") }
      switch elementTypes {
      case .float32:
        try expect(
          type.dtype.isStoredFloat || type.quantization != nil, "\(name) computes on f32, not on \(type)")
      case .numbers, .any: break
      }
    }
    let takesAny = if case .any = elementTypes { true } else { false }
    let types = try outputTypes(for: takesAny ? inputs : inputs.map(\.widened))
    for type in types { if let fault = type.fault { throw GraphError("\(name) to \(type): \(fault)") } }
    return types
  }

  public var attributes: [(String, String)] { [] }
  public var parameterInputs: Range<Int> { 0..<0 }
  public var formatRule: FormatRule { .needsNCHW }
  public func cost(for inputs: [TensorType]) -> Cost { Cost() }
}

/// What an op has to do at least, whatever the kernel.
public struct Cost: Sendable, Equatable {
  /// Multiply-accumulates of convolution and linear layers.
  public var macs = 0
  public init(macs: Int = 0) { self.macs = macs }
}
