import TensorCore

/// A depthwise convolution together with the one before it and the pointwise one behind it: MobileNetV2's inverted
/// residual, or its stem, or a part of either.
///
/// Inputs: `x`, then weight and bias of each convolution in turn, and optionally a residual of the output's type, which
/// the last convolution adds before its activation.
public struct DepthwiseBlock: Op {
  public static let name = "depthwise_block"

  public var expand: Conv2D?
  public var depthwise: Conv2D
  public var project: Conv2D?

  public init(expand: Conv2D?, depthwise: Conv2D, project: Conv2D?) {
    (self.expand, self.depthwise, self.project) = (expand, depthwise, project)
  }

  /// In the order in which they run.
  public var convolutions: [Conv2D] { [expand, depthwise, project].compactMap { $0 } }
  public var parameterInputs: Range<Int> { 1..<1 + 2 * convolutions.count }
  public var formatRule: FormatRule { .follows }

  public var attributes: [(String, String)] {
    [("expand", expand), ("depthwise", depthwise), ("project", project)].compactMap { name, op in
      op.map { op in (name, "(" + op.attributes.map { "\($0)=\($1)" }.joined(separator: " ") + ")") }
    }
  }

  /// The type between each convolution and the next, and at last the output's.
  package func types(for inputs: [TensorType]) throws -> [TensorType] {
    let count = 1 + 2 * convolutions.count
    try expect(
      inputs.count == count || inputs.count == count + 1, "depthwise_block takes \(count) or \(count + 1) inputs")
    var types = [inputs[0]]
    for (index, op) in convolutions.enumerated() {
      let isLast = index == convolutions.count - 1
      let own = [types[index], inputs[1 + 2 * index], inputs[2 + 2 * index]]
      types += try op.outputTypes(for: own + (isLast ? inputs.dropFirst(count) : []))
    }
    return Array(types.dropFirst())
  }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    let types = try types(for: inputs)
    let place = expand == nil ? 0 : 1
    let before = place == 0 ? inputs[0].shape : types[0].shape
    try expect(
      depthwise.isDepthwise(before, inputs[1 + 2 * place].shape), "depthwise_block needs a depthwise convolution")
    return [types.last!]
  }

  public func cost(for inputs: [TensorType]) -> Cost {
    guard let types = try? types(for: inputs) else { return Cost() }
    var cost = Cost()
    for (index, op) in convolutions.enumerated() {
      cost.macs += op.cost(for: [index == 0 ? inputs[0] : types[index - 1], inputs[1 + 2 * index]]).macs
    }
    return cost
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let residual = inputs.dropFirst(1 + 2 * convolutions.count)
    var value = inputs[0]
    for (index, op) in convolutions.enumerated() {
      let isLast = index == convolutions.count - 1
      value = try op.evaluate([value, inputs[1 + 2 * index], inputs[2 + 2 * index]] + (isLast ? residual : []))[0]
    }
    return [value]
  }
}
