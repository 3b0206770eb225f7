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
    let groups = node.integer("group", 1)
    guard shape.rank <= 4, node.type(of: x).dtype.isStoredFloat else {
      return [try node.add(ConvolutionND(window.general, groups: groups), inputs)]
    }
    return try node.asImages(inputs, rank: shape.rank) { inputs, padded in
      let plain = window.plain(padded)
      return try node.add(
        Conv2D(stride: plain.stride, padding: plain.padding, dilation: plain.dilation, groups: groups), inputs, "images"
      )
    }
  }
  ops["ConvTranspose"] = { node in
    let (x, weight) = (try node.input(0), try node.input(1))
    let shape = node.type(of: x).shape
    let (window, extra) = try node.transposedWindow(
      shape, kernel: Array(node.type(of: weight).shape.extents.dropFirst(2)))
    let inputs = try [x, weight] + (node.optional(2).map { [$0] } ?? [])
    let groups = node.integer("group", 1)
    guard shape.rank <= 4, node.type(of: x).dtype.isStoredFloat else {
      return [try node.add(ConvTransposeND(window.general, groups: groups, outputPadding: extra), inputs)]
    }
    return try node.asImages(inputs, rank: shape.rank) { inputs, padded in
      let plain = window.plain(padded)
      let op = ConvTranspose2D(
        stride: plain.stride, padding: plain.padding, dilation: plain.dilation, groups: groups,
        outputPadding: Pair(padded(extra, 0)))
      return try node.add(op, inputs, "images")
    }
  }

  ops["MaxPool"] = { node in
    let (x, shape) = (try node.input(0), try node.shape(0))
    var window = try ONNXWindow(node, image: shape)
    let overhang = window.overhang(node, image: shape)
    let hasIndices = node.proto.output.count > 1 && !node.proto.output[1].isEmpty
    guard shape.rank <= 4, node.type(of: x).dtype.isStoredFloat, !hasIndices else {
      let order = node.integer("storage_order", 0) == 0 ? PoolND.Order.rows : .columns
      return try node.addAll(
        PoolND(.maximum, window.general, overhang: overhang, indices: hasIndices ? order : nil), [x])
    }
    // Nothing is there to win.
    window.after = zip(window.after, overhang).map { $0 + $1 }
    return try node.asImages([x], rank: shape.rank) { inputs, padded in
      try node.add(MaxPool2D(window.plain(padded)), inputs, "images")
    }
  }
  ops["AveragePool"] = { node in
    let (x, shape) = (try node.input(0), try node.shape(0))
    var window = try ONNXWindow(node, image: shape)
    let (overhang, counts) = (window.overhang(node, image: shape), node.flag("count_include_pad"))
    // What lies behind the padding counts as nothing, even where that counts.
    guard shape.rank <= 4, node.type(of: x).dtype.isStoredFloat, !counts || overhang.allSatisfy({ $0 == 0 }) else {
      return [try node.add(PoolND(.average(countsPadding: counts), window.general, overhang: overhang), [x])]
    }
    window.after = zip(window.after, overhang).map { $0 + $1 }
    return try node.asImages([x], rank: shape.rank) { inputs, padded in
      try node.add(AveragePool2D(window.plain(padded), countsPadding: counts), inputs, "images")
    }
  }
  ops["LpPool"] = { node in
    let window = try ONNXWindow(node, image: node.shape(0))
    let overhang = window.overhang(node, image: try node.shape(0))
    return [
      try node.add(PoolND(.norm(p: node.integer("p", 2)), window.general, overhang: overhang), [node.input(0)])
    ]
  }
  ops["MaxUnpool"] = { node in
    let shape = try node.shape(0)
    let window = try ONNXWindow(node, image: shape)
    // What was pooled, at least; what was left over at its end is lost.
    let extents = shape.extents.indices.map { axis in
      axis < 2
        ? shape[axis]
        : (shape[axis] - 1) * window.strides[axis - 2] + window.kernel[axis - 2] - window.before[axis - 2]
          - window.after[axis - 2]
    }
    return [try node.add(MaxUnpool(to: Shape(node.knownIntegers(2) ?? extents)), [node.input(0), node.input(1)])]
  }

  ops["GlobalAveragePool"] = { node in
    let shape = try node.shape(0)
    if shape.rank == 4, try node.type(0).dtype.isStoredFloat {
      return [try node.add(GlobalAveragePool(), [node.input(0)])]
    }
    return [try node.add(Reduce(.mean, axes: shape.imageAxes), [node.input(0)])]
  }
  ops["GlobalMaxPool"] = { node in
    [try node.add(Reduce(.maximum, axes: node.shape(0).imageAxes), [node.input(0)])]
  }
  ops["GlobalLpPool"] = { node in
    let (input, shape, p) = (try node.input(0), try node.shape(0), node.integer("p", 2))
    guard p > 0 else { throw GraphError("the norm of order \(p)") }
    let axes = shape.imageAxes
    if p <= 2 { return [try node.add(Reduce(p == 1 ? .l1 : .l2, axes: axes), [input])] }
    let dtype = node.type(of: input).dtype
    let powers = try node.add(
      Binary(.power),
      [node.add(Unary(.absolute), [input], "absolute"), node.constant(Double(p), dtype, "p")], "powers")
    let sum = try node.add(Reduce(.sum, axes: axes), [powers], "sum")
    return [try node.add(Binary(.power), [sum, node.constant(1 / Double(p), dtype, "root")])]
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

  var general: WindowND {
    WindowND(kernel: kernel, strides: strides, dilations: dilations, before: before, after: after)
  }

  /// - Parameter padded: see ``ONNXNode/asImages(_:rank:_:)``.
  func plain(_ padded: ([Int], Int) -> [Int]) -> Window {
    let (begin, end) = (padded(before, 0), padded(after, 0))
    return Window(
      kernel: Pair(padded(kernel, 1)), stride: Pair(padded(strides, 1)),
      padding: Padding(top: begin[0], left: begin[1], bottom: end[0], right: end[1]),
      dilation: Pair(padded(dilations, 1)))
  }

  /// How far the last windows of a pool reach behind the padding, where their number is rounded up.
  func overhang(_ node: ONNXNode, image: Shape) -> [Int] {
    node.flag("ceil_mode") ? general.overhang(on: image) : kernel.map { _ in 0 }
  }
}

extension WindowND {
  /// How far the last windows reach behind the padding, if their number is rounded up; each begins on the image or on the padding
  /// before it.
  /// - Parameter image: with batch and channels.
  func overhang(on image: Shape) -> [Int] {
    kernel.indices.map { axis in
      let (size, stride) = (image[axis + 2], strides[axis])
      let rest = size + before[axis] + after[axis] - dilations[axis] * (kernel[axis] - 1) - 1
      guard rest > -stride, rest % stride != 0 else { return 0 }
      let start = rest < 0 ? 0 : (rest / stride + 1) * stride
      return start < size + before[axis] ? start - rest : 0
    }
  }
}

extension ONNXNode {
  /// The window of a transposed convolution over its output, and what is added to that at its ends.
  func transposedWindow(_ image: Shape, kernel: [Int]) throws -> (window: ONNXWindow, extra: [Int]) {
    let axes = image.rank - 2
    var window = try ONNXWindow(self, image: image, kernel: kernel)
    var extra = integers("output_padding") ?? kernel.map { _ in 0 }
    var sizes = integers("output_shape")
    if let all = sizes, all.count == image.rank { sizes = Array(all.dropFirst(2)) }
    guard extra.count == axes, extra.allSatisfy({ (0...1 << 20).contains($0) }), sizes?.count ?? axes == axes,
      sizes?.allSatisfy({ (0...1 << 30).contains($0) }) ?? true
    else { throw GraphError("an output of \(sizes ?? []) with a padding of \(extra)") }
    let mode = string("auto_pad", "NOTSET")
    let isSame = mode == "SAME_UPPER" || mode == "SAME_LOWER"
    for axis in 0..<axes where sizes != nil || isSame {
      let whole = (image[axis + 2] - 1) * window.strides[axis] + window.dilations[axis] * (kernel[axis] - 1) + 1
      let wanted = sizes?[axis] ?? image[axis + 2] * window.strides[axis]
      let total = max(0, whole + extra[axis] - wanted)
      let less = total / 2
      (window.before[axis], window.after[axis]) = mode == "SAME_UPPER" ? (less, total - less) : (total - less, less)
      if sizes != nil { extra[axis] = wanted + total - whole }
    }
    return (window, extra)
  }
}

extension ONNXNode {
  /// Builds a two-dimensional op for images of one axis, which become one pixel high, or of two; of one output.
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

extension Shape {
  /// Those behind batch and channels.
  fileprivate var imageAxes: [Int] { Array(extents.indices.dropFirst(2)) }
}

extension Pair {
  init(_ list: [Int]) { self.init(list[0], list[1]) }
}
