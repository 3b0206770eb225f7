import Foundation
import GraphCore
import TensorCore

/// Operators that move a window over images, and what is done to each channel of them.
let windowOps: [String: ONNXBuilder] = {
  var ops: [String: ONNXBuilder] = [:]

  ops["Conv"] = { node in
    let (x, weight) = (try node.input(0), try node.input(1))
    let shape = node.type(of: x).shape
    let window = try ONNXWindow(node, image: shape, kernel: Array(node.type(of: weight).shape.extents.dropFirst(2)))
    let inputs = try [x, weight] + (node.optional(2).map { [$0] } ?? [])
    return try node.asImages(inputs, rank: shape.rank) { inputs, padded in
      let (begin, end) = (padded(window.before, 0), padded(window.after, 0))
      return try node.add(
        Conv2D(
          stride: Pair(padded(window.strides, 1)),
          padding: Padding(top: begin[0], left: begin[1], bottom: end[0], right: end[1]),
          dilation: Pair(padded(window.dilations, 1)), groups: node.integer("group", 1)), inputs, "images")
    }
  }
  ops["MaxPool"] = { node in
    let (x, shape) = (try node.input(0), try node.shape(0))
    let window = try ONNXWindow(node, image: shape)
    return try node.asImages([x], rank: shape.rank) { inputs, padded in
      let (begin, end) = (padded(window.before, 0), padded(window.after, 0))
      return try node.add(
        MaxPool2D(
          Window(
            kernel: Pair(padded(window.kernel, 1)), stride: Pair(padded(window.strides, 1)),
            padding: Padding(top: begin[0], left: begin[1], bottom: end[0], right: end[1]),
            dilation: Pair(padded(window.dilations, 1)))), inputs, "images")
    }
  }
  ops["GlobalAveragePool"] = { node in
    let shape = try node.shape(0)
    if shape.rank == 4, try node.type(0).dtype.isStoredFloat {
      return [try node.add(GlobalAveragePool(), [node.input(0)])]
    }
    return [try node.add(Reduce(.mean, axes: Array(2..<shape.rank)), [node.input(0)])]
  }
  ops["GlobalMaxPool"] = { node in
    [try node.add(Reduce(.maximum, axes: Array(2..<node.shape(0).rank)), [node.input(0)])]
  }
  ops["BatchNormalization"] = { node in
    let isTraining = node.version >= 14 ? node.flag("training_mode") : node.version < 7
    guard !isTraining, node.proto.output.dropFirst().allSatisfy(\.isEmpty) else {
      throw Unsupported("it is in training mode")
    }
    guard node.version >= 9 || node.flag("spatial", true) else {
      throw Unsupported("statistics for each element (spatial=0)")
    }
    let epsilon = node.float("epsilon", 1e-5)
    if try node.type(0).dtype.isStoredFloat { return [try node.add(BatchNorm(epsilon: epsilon), node.inputs)] }
    let inputs = try node.inputs
    guard inputs.count == 5, node.type(of: inputs[0]).shape.rank >= 2 else { throw GraphError("\(inputs.count) inputs") }
    let dtype = node.type(of: inputs[0]).dtype
    // Channels lie along the second axis.
    let channels = [.axis(0)] + [Reshape.Extent](repeating: .fixed(1), count: node.type(of: inputs[0]).shape.rank - 2)
    let each = try inputs[1...].enumerated().map { index, id in
      try node.add(Reshape(channels), [node.cast(id, to: dtype, "parameter\(index)")], "by-channel\(index)")
    }
    let variance = try node.add(Binary(.add), [each[3], node.constant(Double(epsilon), dtype, "epsilon")], "variance")
    let scale = try node.add(Binary(.divide), [each[0], node.add(Unary(.squareRoot), [variance], "deviation")], "scale")
    let centred = try node.add(Binary(.subtract), [inputs[0], each[2]], "centred")
    return [try node.add(Binary(.add), [node.add(Binary(.multiply), [centred, scale], "scaled"), each[1]])]
  }
  return ops
}()

/// The window of an operator along each axis of an image: what is left out in the file is filled in.
struct ONNXWindow {
  var kernel: [Int]
  var strides: [Int]
  var dilations: [Int]
  /// Padding before and behind the image.
  var before: [Int]
  var after: [Int]

  /// - Parameters:
  ///   - image: with batch and channels.
  ///   - kernel: that of the weight; nil where an attribute says it.
  init(_ node: ONNXNode, image: Shape, kernel given: [Int]? = nil) throws {
    let axes = image.rank - 2
    guard axes > 0 else { throw GraphError("\(image) is no image") }
    guard let kernel = node.integers("kernel_shape") ?? given, kernel.count == axes, given == nil || kernel == given
    else {
      throw GraphError("a kernel of \(node.integers("kernel_shape") ?? given ?? []) for \(image)")
    }
    self.kernel = kernel
    strides = node.integers("strides") ?? kernel.map { _ in 1 }
    dilations = node.integers("dilations") ?? kernel.map { _ in 1 }
    let pads = node.integers("pads") ?? [Int](repeating: 0, count: 2 * axes)
    guard strides.count == axes, dilations.count == axes, pads.count == 2 * axes,
      (strides + dilations + kernel).allSatisfy({ (1...1 << 20).contains($0) }),
      pads.allSatisfy({ (0...1 << 20).contains($0) })
    else { throw GraphError("strides \(strides), dilations \(dilations) and pads \(pads) of a kernel \(kernel)") }
    (before, after) = (Array(pads[..<axes]), Array(pads[axes...]))
    let mode = node.string("auto_pad", "NOTSET")
    switch mode {
    case "NOTSET", "": break
    case "VALID": (before, after) = (kernel.map { _ in 0 }, kernel.map { _ in 0 })
    case "SAME_UPPER", "SAME_LOWER":
      for axis in 0..<axes {
        let (size, stride) = (image[axis + 2], strides[axis])
        let reach = dilations[axis] * (kernel[axis] - 1) + 1
        let total = max(0, ((size + stride - 1) / stride - 1) * stride + reach - size)
        let less = total / 2
        (before[axis], after[axis]) = mode == "SAME_UPPER" ? (less, total - less) : (total - less, less)
      }
    default: throw GraphError("auto_pad is \"\(mode)\"")
    }
  }
}

extension ONNXNode {
  /// Builds a two-dimensional op for images of one axis, which become one pixel high, or of two.
  /// - Parameter build: of the inputs, and what fills a list up that has one entry for each axis.
  func asImages(
    _ inputs: [ValueID], rank: Int,
    _ build: (_ inputs: [ValueID], _ padded: ([Int], Int) -> [Int]) throws -> ValueID
  ) throws -> [ValueID] {
    switch rank {
    case 4: return [try build(inputs) { list, _ in list }]
    case 3:
      let images = try inputs.enumerated().map { index, id in
        let shape = type(of: id).shape
        return shape.rank == 3
          ? try add(Reshape([.axis(0), .axis(1), .fixed(1), .axis(2)]), [id], "image\(index)") : id
      }
      let result = try build(images) { list, one in [one] + list }
      return [try add(Reshape([.axis(0), .axis(1), .axis(3)]), [result])]
    default: throw Unsupported("images of \(rank - 2) axes")
    }
  }
}

extension Pair {
  init(_ list: [Int]) { self.init(list[0], list[1]) }
}
