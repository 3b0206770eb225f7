import Foundation
import GraphCore
import TensorCore

/// Operators that move elements, and those that tell shapes.
let shapeOps: [String: ONNXBuilder] = {
  var ops: [String: ONNXBuilder] = [:]

  ops["Constant"] = { node in
    func scalars(_ shape: Shape, _ values: [Double], _ dtype: DType) throws -> [ValueID] {
      [node.reader.graph.addConstant(node.name, try Tensor(shape, values, dtype))]
    }
    if let tensor = try node.tensor("value") { return [node.reader.graph.addConstant(node.name, tensor)] }
    if let tensor = try node.sparseTensor("sparse_value") { return [node.reader.graph.addConstant(node.name, tensor)] }
    if node.has("value_float") { return try scalars([], [Double(node.float("value_float", 0))], .float32) }
    if let list = node.floats("value_floats") { return try scalars([list.count], list.map(Double.init), .float32) }
    if node.has("value_int") {
      return [node.reader.graph.addConstant(node.name, try Tensor([], elements: [Int64(node.integer("value_int", 0))]))]
    }
    if let list = node.integers("value_ints") {
      return [node.reader.graph.addConstant(node.name, try Tensor([list.count], elements: list.map(Int64.init)))]
    }
    throw Unsupported("a constant that is no tensor of numbers")
  }
  ops["Shape"] = { node in
    let type = try node.type(0)
    guard !type.isUpperBound else { return [try node.add(ShapeOf(), [node.input(0)])] }
    let rank = type.shape.rank
    func bound(_ value: Int) -> Int { min(max(value < 0 ? value + rank : value, 0), rank) }
    let (start, end) = (bound(node.integer("start", 0)), bound(node.integer("end", rank)))
    let extents = start < end ? Array(type.shape.extents[start..<end]) : []
    return [node.constant(try Tensor([extents.count], elements: extents.map(Int64.init)), "shape")]
  }
  ops["Size"] = { node in
    let type = try node.type(0)
    guard !type.isUpperBound else { throw Unsupported("the size of what is known only when it has run") }
    return [node.constant(try Tensor([], elements: [Int64(type.shape.count)]), "size")]
  }

  ops["Reshape"] = { node in
    guard let wanted = try node.version < 5 ? node.integers("shape") : node.knownIntegers(1) else {
      throw GraphError("it names no shape")
    }
    let keepsZeros = node.flag("allowzero")
    let extents = try wanted.enumerated().map { axis, extent -> Reshape.Extent in
      guard extent >= -1 else { throw GraphError("an extent of \(extent)") }
      return extent == -1 ? .rest : extent == 0 && !keepsZeros ? .axis(axis) : .fixed(extent)
    }
    return [try node.add(Reshape(extents), [node.input(0)])]
  }
  ops["Flatten"] = { node in
    let shape = try node.shape(0)
    let axis = node.integer("axis", 1)
    guard (-shape.rank...shape.rank).contains(axis) else { throw GraphError("axis \(axis) of \(shape)") }
    let place = axis < 0 ? axis + shape.rank : axis
    if place == 1 { return [try node.add(Reshape.flatten, [node.input(0)])] }
    return [try node.add(Reshape([.fixed(shape.extents[..<place].reduce(1, *)), .rest]), [node.input(0)])]
  }
  ops["Squeeze"] = { node in
    let shape = try node.shape(0)
    let axes = try node.integers("axes", orInput: 1, since: 13)?.map { try shape.axis($0, "squeeze") }
    let dropped = Set(axes ?? shape.extents.indices.filter { shape[$0] == 1 })
    guard dropped.allSatisfy({ shape[$0] == 1 }) else { throw GraphError("axes \(dropped.sorted()) of \(shape)") }
    return [
      try node.add(Reshape(shape.extents.indices.filter { !dropped.contains($0) }.map { .axis($0) }), [node.input(0)])
    ]
  }
  ops["Unsqueeze"] = { node in
    let shape = try node.shape(0)
    guard let axes = try node.integers("axes", orInput: 1, since: 13) else { throw GraphError("it names no axes") }
    let whole = Shape([Int](repeating: 1, count: shape.rank + axes.count))
    let added = Set(try axes.map { try whole.axis($0, "unsqueeze") })
    guard added.count == axes.count else { throw GraphError("an axis is added twice") }
    var next = 0
    let extents = whole.extents.indices.map { axis -> Reshape.Extent in
      if added.contains(axis) { return .fixed(1) }
      defer { next += 1 }
      return .axis(next)
    }
    return [try node.add(Reshape(extents), [node.input(0)])]
  }
  ops["Transpose"] = { node in
    let rank = try node.shape(0).rank
    return [try node.add(Transpose(node.integers("perm") ?? (0..<rank).reversed()), [node.input(0)])]
  }
  ops["Expand"] = { node in
    guard let wanted = try node.knownIntegers(1) else { throw GraphError("it names no shape") }
    guard wanted.allSatisfy({ $0 >= 0 }) else { throw GraphError("to \(wanted)") }
    return [try node.add(Expand(to: Shape(wanted)), [node.input(0)])]
  }
  ops["Concat"] = { node in
    let inputs = try node.inputs
    // Of no elements and of one axis: what exporters put for nothing.
    let axis = try node.shape(0).axis(node.integer("axis", 1), "concat")
    return [inputs.count == 1 ? inputs[0] : try node.add(Concat(axis: axis), inputs)]
  }
  ops["Split"] = { node in
    let shape = try node.shape(0)
    let axis = try shape.axis(node.integer("axis", 0), "split")
    var sizes = try node.integers("split", orInput: 1, since: 13)
    let count = node.version >= 18 ? node.integer("num_outputs", node.proto.output.count) : node.proto.output.count
    if sizes == nil {
      guard count > 0, count <= node.proto.output.count else { throw GraphError("\(count) outputs") }
      // The last one is smaller where they are not equal.
      let size = (shape[axis] + count - 1) / count
      sizes = (0..<count).map { max(0, min(size, shape[axis] - $0 * size)) }
    }
    guard let sizes, sizes.allSatisfy({ $0 >= 0 && $0 <= shape[axis] }), sizes.reduce(0, +) == shape[axis] else {
      throw GraphError("parts of \(sizes ?? []) are not \(shape[axis])")
    }
    var start = 0
    return try sizes.enumerated().map { index, size in
      defer { start += size }
      let cut = Slice.Cut(axis: axis, start: start, end: start + size)
      return sizes.count == 1 ? try node.input(0) : try node.add(Slice([cut]), [node.input(0)], "\(index)")
    }
  }
  ops["Slice"] = { node in
    let shape = try node.shape(0)
    let isOld = node.version < 10
    guard let starts = try isOld ? node.integers("starts") : node.knownIntegers(1),
      let ends = try isOld ? node.integers("ends") : node.knownIntegers(2), starts.count == ends.count
    else { throw GraphError("starts and ends are not as many") }
    let axes = try (isOld ? node.integers("axes") : node.knownIntegers(3)) ?? Array(starts.indices)
    let steps = try (isOld ? nil : node.knownIntegers(4)) ?? starts.map { _ in 1 }
    guard axes.count == starts.count, steps.count == starts.count else {
      throw GraphError("axes and steps are not as many")
    }
    let cuts = try axes.indices.map {
      Slice.Cut(axis: try shape.axis(axes[$0], "slice"), start: starts[$0], end: ends[$0], step: steps[$0])
    }
    return [try node.add(Slice(cuts), [node.input(0)])]
  }
  ops["Gather"] = { node in
    let axis = try node.shape(0).axis(node.integer("axis", 0), "gather")
    return [try node.add(Gather(axis: axis), [node.input(0), node.input(1)])]
  }
  ops["ConstantOfShape"] = { node in
    guard let wanted = try node.knownIntegers(0), wanted.allSatisfy({ $0 >= 0 }) else { throw GraphError("no shape") }
    let value = try node.tensor("value") ?? Tensor([1], [0])
    guard value.shape.count == 1 else { throw GraphError("its value is \(value.type)") }
    let scalar = node.constant(try value.reshaped(to: []), "value")
    return [try node.add(Expand(to: Shape(wanted)), [scalar])]
  }
  ops["DepthToSpace"] = { node in
    let block = node.integer("blocksize", 0)
    let isBlockMajor = node.string("mode", "DCR") == "DCR"
    return [try node.add(DepthToSpace(block: Pair(block, block), isBlockMajor: isBlockMajor), [node.input(0)])]
  }
  ops["SpaceToDepth"] = { node in
    let (shape, block) = (try node.shape(0), node.integer("blocksize", 0))
    guard shape.rank == 4, (1...1 << 10).contains(block), shape[2] % block == 0, shape[3] % block == 0 else {
      throw GraphError("\(shape) in blocks of \(block)")
    }
    let (n, c, h, w) = (shape[0], shape[1], shape[2] / block, shape[3] / block)
    let apart = try node.reshape(node.input(0), to: [n, c, h, block, w, block], "apart")
    let isColumnFirst = node.string("mode", "DCR") == "DCR"
    let moved = try node.add(Transpose(isColumnFirst ? [0, 3, 5, 1, 2, 4] : [0, 1, 3, 5, 2, 4]), [apart], "moved")
    return [try node.reshape(moved, to: [n, c * block * block, h, w])]
  }
  return ops
}()
