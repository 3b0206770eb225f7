import GraphCore
import TensorCore

/// What moves, pads, resizes and normalises images.
extension NNAPIModelWriter {
  mutating func pool(_ node: Node, _ code: OperationCode, _ window: Window, of given: Int? = nil) throws -> Int {
    let x = try given ?? input(node)
    try need(window.padding.isLess(than: window.kernel), "\(code) has no windows wholly in padding")
    let numbers = [
      window.padding.left, window.padding.right, window.padding.top, window.padding.bottom, window.stride.w,
      window.stride.h, window.kernel.w, window.kernel.h, 0,
    ].map { int($0) }
    return emit(code, [x] + numbers + [layout(node)], like(x, try own(node).dimensions))
  }

  /// Zeros around images.
  mutating func padded(_ x: Int, _ padding: Padding, _ node: Node) throws -> Int {
    let isNHWC = graph[node.inputs[0]].type.format == .nhwc
    let (rows, columns) = ([padding.top, padding.bottom], [padding.left, padding.right])
    let all = isNHWC ? [[0, 0], rows, columns, [0, 0]] : [[0, 0], [0, 0], rows, columns]
    let dimensions = zip(self[x].dimensions, all).map { $0 + $1[0] + $1[1] }
    return emit(.pad, [x, ints(all.flatMap { $0 }, [all.count, 2])], like(x, dimensions))
  }

  mutating func pad(_ node: Node, _ op: Pad) throws -> Int {
    try need(op.mode == .constant, "NNAPI pads with a constant, not in mode \(op.mode.rawValue)")
    try need((op.before + op.after).allSatisfy { $0 >= 0 }, "NNAPI's PAD cuts nothing off")
    let x = try input(node)
    let type = graph[node.inputs[0]].type
    let order = type.format == .nhwc ? Self.toNHWC : Array(0..<type.shape.rank)
    try need(!order.isEmpty, "NNAPI pads tensors of one axis at least")
    let amounts = ints(order.flatMap { [op.before[$0], op.after[$0]] }, [order.count, 2])
    guard let value = node.inputs[safe: 1] else { return emit(.pad, [x, amounts], try own(node)) }
    try need(graph.isWeight(value), "PAD_V2 pads with what is known before a run")
    let kinds: [OperandType: OperandType] = [
      .tensorFloat32: .float32, .tensorFloat16: .float16, .tensorInt32: .int32, .tensorQuant8Asymm: .int32,
      .tensorQuant8AsymmSigned: .int32,
    ]
    guard let kind = kinds[self[x].type] else { throw NotInNNAPI("PAD_V2 has no \(self[x].type)") }
    let filler = constant(
      Operand(kind),
      .made { graph in
        let tensor = try graph.plain(value)
        return kind == .int32
          ? Int32(truncatingIfNeeded: try tensor.allIntegers()[0]).littleEndianBytes : try tensor.bytes()
      })
    return emit(.padV2, [x, amounts, filler], try own(node))
  }

  mutating func slice(_ node: Node, _ op: Slice) throws -> Int {
    let x = try input(node)
    let type = graph[node.inputs[0]].type
    let result = try own(node)
    var (begins, steps) = (
      [Int](repeating: 0, count: self[x].dimensions.count), [Int](repeating: 1, count: self[x].dimensions.count)
    )
    for cut in op.cuts {
      let place = Self.dimension(cut.axis, of: type)
      // Of one element there are no steps, which may be of any size.
      let step = result.dimensions[place] > 1 ? cut.step : 1
      (begins[place], steps[place]) = (cut.firstPlace(of: type.shape[cut.axis]), step)
    }
    try need(result.dimensions.allSatisfy { $0 > 0 }, "NNAPI has no tensors without elements")
    guard steps.contains(where: { $0 != 1 }) else {
      return emit(.slice, [x, ints(begins), ints(result.dimensions)], result)
    }
    let ends = begins.indices.map { begins[$0] + result.dimensions[$0] * steps[$0] }
    // What goes on to before the first element has no place to end at.
    let mask = ends.indices.reduce(0) { ends[$1] < 0 ? $0 | 1 << $1 : $0 }
    return emit(
      .stridedSlice, [x, ints(begins), ints(ends.map { max($0, 0) }), ints(steps), int(0), int(mask), int(0)], result)
  }

  mutating func concatenation(_ node: Node, _ op: Concat) throws -> Int {
    let type = graph[node.outputs[0]].type
    let parts = try node.inputs.map { try operand($0, beside: type) }
    return emit(.concatenation, parts + [int(Self.dimension(op.axis, of: type))], try own(node))
  }

  mutating func resize(_ node: Node, _ op: Resize) throws -> Int {
    let shape = graph[node.inputs[0]].type.shape
    try need(
      shape.rank == 4 && op.axes.allSatisfy { $0.axis >= 2 } && !op.antialiases && !op.excludesOutside,
      "NNAPI resizes height and width of images, plainly")
    let code: OperationCode
    switch op.mode {
    case .linear:
      try need(
        [.halfPixel, .alignCorners, .asymmetric].contains(op.coordinates),
        "RESIZE_BILINEAR has no coordinates \(op.coordinates.rawValue)")
      code = .resizeBilinear
    case .nearest(let rounding):
      try need(
        op.coordinates == .asymmetric && rounding == .floor,
        "RESIZE_NEAREST_NEIGHBOR rounds down, not \(rounding.rawValue) of \(op.coordinates.rawValue)")
      code = .resizeNearestNeighbor
    case .cubic: throw NotInNNAPI("NNAPI has no cubic interpolation")
    }
    try need(
      op.coordinates == .alignCorners
        || op.axes.allSatisfy { abs($0.scale * Float(shape[$0.axis]) / Float($0.extent) - 1) < 1e-5 },
      "\(code) goes by the extents, not by a scale of its own")
    let x = try input(node)
    let size = graph[node.outputs[0]].type.shape
    return emit(
      code,
      [
        x, int(size[3]), int(size[2]), layout(node), bool(op.coordinates == .alignCorners),
        bool(op.coordinates == .halfPixel),
      ], like(x, try own(node).dimensions))
  }

  // MARK: Norms

  mutating func batchNorm(_ node: Node, _ op: BatchNorm) throws -> Int {
    let x = try input(node)
    try need(!self[x].isQuantised, "MUL of a batch norm needs a scale that nobody chose")
    let parameters = Array(node.inputs[1...])
    try need(parameters.allSatisfy(graph.isWeight), "its statistics are computed")
    @Sendable func scales(_ graph: Graph) throws -> [Float] {
      let (weights, variances) = (try graph.plain(parameters[0]).values, try graph.plain(parameters[3]).values)
      return zip(weights, variances).map { $0 / ($1 + op.epsilon).squareRoot() }
    }
    let scale = channels(node, count: graph[parameters[0]].type.shape.count, like: x) { try scales($0) }
    let shift = channels(node, count: graph[parameters[0]].type.shape.count, like: x) { graph in
      let (biases, means) = (try graph.plain(parameters[1]).values, try graph.plain(parameters[2]).values)
      return zip(try scales(graph), zip(biases, means)).map { scale, pair in pair.0 - pair.1 * scale }
    }
    let product = emit(.mul, [x, scale, int(0)], like(x))
    return emit(.add, [product, shift, int(0)], like(x))
  }

  mutating func instanceNorm(_ node: Node, _ op: InstanceNorm) throws -> Int {
    let x = try input(node)
    try need(self[x].dimensions.count == 4, "INSTANCE_NORMALIZATION takes images of two axes")
    let parameters = Array(node.inputs[1...])
    try need(parameters.allSatisfy(graph.isWeight), "its weights are computed")
    let norm = emit(
      .instanceNormalization,
      [x, scalar(1, like: x), scalar(0, like: x), scalar(op.epsilon, like: x), layout(node)], like(x))
    let scale = channels(node, count: graph[parameters[0]].type.shape.count, like: x) {
      try $0.plain(parameters[0]).values
    }
    let shift = channels(node, count: graph[parameters[0]].type.shape.count, like: x) {
      try $0.plain(parameters[1]).values
    }
    let product = emit(.mul, [norm, scale, int(0)], like(x))
    return emit(.add, [product, shift, int(0)], like(x))
  }
}
