import TensorCore

/// An epilogue as an op of its own: `relu`, `hard-swish`, …. Any shape; channels lie along the second axis.
public struct Activation: Op {
  public static let name = "activation"

  public var function: Epilogue

  public init(_ function: Epilogue) { self.function = function }

  public var attributes: [(String, String)] {
    if case .clamp = function { [("clamp", "\(function)")] } else { [("function", "\(function)")] }
  }
  public var formatRule: FormatRule { .follows }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "activation takes 1 input, not \(inputs.count)")
    try function.check(channels: inputs[0].shape.rank > 1 ? inputs[0].shape[1] : 1, Self.name)
    return inputs
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: inputs[0].type)
    result.write(inputs[0])
    result.apply(function)
    return [result]
  }
}

extension Tensor {
  /// Applies an epilogue to each number of a tensor in NCHW order.
  func apply(_ epilogue: Epilogue) {
    guard shape.count > 0 else { return }
    let channels = shape.rank > 1 ? shape[1] : 1
    let plane = shape.rank > 2 ? shape.extents[2...].reduce(1, *) : 1
    let out = floats.baseAddress!
    for channel in 0..<channels {
      let function = epilogue.function(channel: channel)
      for first in stride(from: channel * plane, to: shape.count, by: channels * plane) {
        for i in first..<first + plane { out[i] = function(out[i]) }
      }
    }
  }
}
