import GraphCore
import TensorCore

/// Convolutions and matrices with their weights.
extension NNAPIModelWriter {
  /// The bias of a layer, which is not left out: zeros where it has none, and of integers in the scale of their products.
  mutating func bias(_ id: ValueID?, outputs: Int, of x: Int, _ weight: Int) throws -> Int {
    guard self[x].isQuantised else {
      if let id { return try self.weight(id, as: self[x].type) }
      return constant(
        Operand(self[x].type, [outputs]),
        .bytes([UInt8](repeating: 0, count: outputs * (self[x].type == .tensorFloat16 ? 2 : 4))))
    }
    let scales = self[weight].channelScales
    let sums = (scales.isEmpty ? [self[weight].scale] : scales).map { $0 * self[x].scale }
    var result = Operand(.tensorInt32, [outputs], scale: scales.isEmpty ? sums[0] : 0)
    result.zeroPoint = 0
    guard let id else { return constant(result, .bytes([UInt8](repeating: 0, count: outputs * 4))) }
    try need(graph.isWeight(id), "its bias is computed")
    return constant(
      result,
      .made { graph in
        let values = try graph.plain(id).doubles
        return try values.enumerated().flatMap { index, value in
          let integer = (value / Double(sums[sums.count == 1 ? 0 : index])).rounded()
          // Of no number, or in a scale that is none, there are no integers.
          guard integer.isFinite else { throw NotInNNAPI("its bias has no integers: \(value)") }
          return Int32(min(max(integer, -2_147_483_648), 2_147_483_647)).littleEndianBytes
        }
      })
  }

  /// The weights of a convolution: of integers with a scale for each channel, whatever those of its images are.
  mutating func filter(_ id: ValueID, order: [Int], of x: Int) throws -> Int {
    guard self[x].isQuantised else { return try weight(id, order: order, as: self[x].type) }
    let type = self.type(of: id)
    guard let quantization = type.quantization else {
      throw NotInNNAPI("its weight is \(type.dtype.rawValue), and its input is not")
    }
    let own = OperandType(type)
    if own == self[x].type || own == .tensorQuant8SymmPerChannel && quantization.axis != nil {
      return try weight(id, order: order)
    }
    try need(
      type.dtype == .int8 && quantization.zeroPoints.allSatisfy { $0 == 0 } && graph.isWeight(id),
      "weights of \(type.dtype.rawValue) do not go with \(self[x].type)")
    var signed = Operand(.tensorQuant8SymmPerChannel, order.map { type.shape[$0] })
    signed.channelDimension = order.firstIndex(of: 0)!
    signed.channelScales = [Float](repeating: quantization.scales[0], count: type.shape[0])
    return constant(signed, .made { try $0.plain(id).bytes(order: order) })
  }

  mutating func convolution(
    _ node: Node, _ op: Conv2D, _ x: Int, _ weight: ValueID, _ bias: ValueID?, _ residual: ValueID?,
    _ between: TensorType? = nil
  ) throws -> Int {
    let shape = graph[weight].type.shape
    let isNHWC = graph[node.inputs[0]].type.format == .nhwc
    let channels = self[x].dimensions[isNHWC ? 3 : 1]
    let code: OperationCode =
      op.groups == channels && op.groups > 1 && shape[0] == op.groups && shape[1] == 1
      ? .depthwiseConv2d : op.groups > 1 ? .groupedConv2d : .conv2d
    try need(code != .groupedConv2d || op.dilation == 1, "GROUPED_CONV_2D has no dilation")
    let reach = Pair((shape[2] - 1) * op.dilation.h + 1, (shape[3] - 1) * op.dilation.w + 1)
    try need(op.padding.isLess(than: reach), "\(code) is padded by less than its filter reaches")
    let filter = try filter(weight, order: code == .depthwiseConv2d ? [1, 2, 3, 0] : [0, 2, 3, 1], of: x)
    let bias = try self.bias(bias, outputs: shape[0], of: x, filter)
    let window = [
      op.padding.left, op.padding.right, op.padding.top, op.padding.bottom, op.stride.w, op.stride.h,
    ].map { int($0) }
    let result: Operand
    if let between {
      try need(!self[x].isQuantised, "it rounds to integers between its convolutions, in scales that nobody chose")
      result = like(x, Self.dimensions(between.shape, isNHWC: isNHWC))
    } else {
      result = try computed(node, of: x)
    }
    let count = code == .conv2d ? [] : [int(code == .groupedConv2d ? op.groups : 1)]
    let isNCHW = bool(!isNHWC)
    let dilation = code == .groupedConv2d ? [] : [int(op.dilation.w), int(op.dilation.h)]
    let inputs = { [x, filter, bias] + window + count + [$0, isNCHW] + dilation }
    guard let residual else { return try fused(code, op.epilogue, result, node, inputs) }
    let other = try self.residual(residual, like: result, node)
    let sum = emit(code, inputs(int(0)), result.isQuantised ? result.before(adding: self[other], op.epilogue) : result)
    return try fused(.add, op.epilogue, result, node) { [sum, other, $0] }
  }

  mutating func residual(_ id: ValueID, like sum: Operand, _ node: Node) throws -> Int {
    let given = try operand(id, beside: graph[node.outputs[0]].type)
    return self[given].type == sum.type ? given : try converted(given, to: sum)
  }

  mutating func block(_ node: Node, _ block: DepthwiseBlock) throws -> Int {
    let types: [TensorType]
    do { types = try block.types(for: graph.inputTypes(of: node)) } catch { throw NotInNNAPI("\(error)") }
    let last = block.convolutions.count - 1
    var x = try input(node)
    for (index, op) in block.convolutions.enumerated() {
      x = try convolution(
        node, op, x, node.inputs[1 + 2 * index], node.inputs[2 + 2 * index],
        index == last ? node.inputs[safe: 1 + 2 * block.convolutions.count] : nil, index == last ? nil : types[index])
    }
    return x
  }

  mutating func transposedConvolution(_ node: Node, _ op: ConvTranspose2D) throws -> Int {
    try need(op.dilation == 1, "TRANSPOSE_CONV_2D has no dilation")
    try need(op.groups == 1, "TRANSPOSE_CONV_2D has no groups")
    try need(op.outputPadding == 0, "TRANSPOSE_CONV_2D has no output padding")
    let x = try input(node)
    let weight = node.inputs[1]
    let filter: Int
    if self[x].isQuantised, let quantization = graph[weight].type.quantization {
      try need(
        OperandType(graph[weight].type) == self[x].type || quantization.axis == 1,
        "its weights of \(graph[weight].type.dtype.rawValue) do not go with \(self[x].type)")
      filter = try self.weight(weight, order: [1, 2, 3, 0])
    } else {
      filter = try self.filter(weight, order: [1, 2, 3, 0], of: x)
    }
    let bias = try self.bias(node.inputs[safe: 2], outputs: graph[weight].type.shape[1], of: x, filter)
    let window = [
      op.padding.left, op.padding.right, op.padding.top, op.padding.bottom, op.stride.w, op.stride.h,
    ].map { int($0) }
    let isNCHW = layout(node)
    return try fused(.transposeConv2d, op.epilogue, computed(node, of: x), node) {
      [x, filter, bias] + window + [$0, isNCHW]
    }
  }

  mutating func linear(_ node: Node, _ op: Linear) throws -> Int {
    let x = try input(node)
    let (weight, own) = (node.inputs[1], try own(node))
    let type = graph[weight].type
    let (outputs, depth) = (type.shape[0], type.shape[1])
    let rows = self[x].dimensions.reduce(1, *) / max(depth, 1)
    try need(depth > 0, "FULLY_CONNECTED needs inputs")
    let sum: Int
    if self[x].isQuantised, OperandType(type) != self[x].type {
      // Its weights have the one scale of their type; those of CONV_2D may have one for each output.
      let pixels = reshape(x, [rows, 1, 1, depth])
      try need(graph.isWeight(weight), "its weight is computed")
      let image = try pointwise(weight, of: x)
      let bias = try bias(node.inputs[safe: 2], outputs: outputs, of: x, image)
      let window = [0, 0, 0, 0, 1, 1].map { int($0) }
      let isNCHW = bool(false)
      sum = try fused(.conv2d, op.epilogue, computed(node, of: x, [rows, 1, 1, outputs]), node) {
        [pixels, image, bias] + window + [$0, isNCHW]
      }
    } else {
      let matrix = try self.weight(weight, as: self[x].isQuantised ? nil : self[x].type)
      let bias = try bias(node.inputs[safe: 2], outputs: outputs, of: x, matrix)
      sum = try fused(.fullyConnected, op.epilogue, computed(node, of: x, [rows, outputs]), node) {
        [x, matrix, bias, $0]
      }
    }
    return self[sum].dimensions == own.dimensions ? sum : reshape(sum, own.dimensions)
  }

  /// A matrix as the weights of a convolution of one pixel.
  mutating func pointwise(_ id: ValueID, of x: Int) throws -> Int {
    let type = graph[id].type
    guard let quantization = type.quantization, type.dtype == .int8, quantization.zeroPoints.allSatisfy({ $0 == 0 }),
      quantization.axis ?? 0 == 0
    else { throw NotInNNAPI("weights of \(type.dtype.rawValue) do not go with \(self[x].type)") }
    var filter = Operand(.tensorQuant8SymmPerChannel, [type.shape[0], 1, 1, type.shape[1]])
    filter.channelScales =
      quantization.axis == nil ? [Float](repeating: quantization.scales[0], count: type.shape[0]) : quantization.scales
    return constant(filter, .made { try $0.plain(id).bytes() })
  }
}

extension Padding {
  /// Whether no window of a size lies in it wholly: Android's own code takes no others, of convolutions and of pools.
  func isLess(than size: Pair) -> Bool { max(top, bottom) < size.h && max(left, right) < size.w }
}
