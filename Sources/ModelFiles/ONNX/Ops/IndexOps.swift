import Foundation
import GraphCore
import TensorCore

/// Operators that find, pick and place elements.
let indexOps: [String: ONNXBuilder] = {
  var ops: [String: ONNXBuilder] = [:]

  ops["GatherElements"] = { node in
    let axis = try node.shape(0).axis(node.integer("axis", 0), "gather_elements")
    return [try node.add(GatherElements(axis: axis), [node.input(0), node.input(1)])]
  }
  ops["GatherND"] = { node in
    [try node.add(GatherND(batchAxes: node.integer("batch_dims", 0)), [node.input(0), node.input(1)])]
  }
  let scatter: ONNXBuilder = { node in
    let axis = try node.shape(0).axis(node.integer("axis", 0), "scatter_elements")
    return [try node.add(ScatterElements(axis: axis, reduction: node.reduction), node.inputs)]
  }
  ops["Scatter"] = scatter
  ops["ScatterElements"] = scatter
  ops["ScatterND"] = { node in [try node.add(ScatterND(reduction: node.reduction), node.inputs)] }

  ops["Pad"] = { node in
    let (type, isOld) = (try node.type(0), node.version < 11)
    guard let pads = try isOld ? node.integers("pads") : node.knownIntegers(1) else {
      throw GraphError("it has no pads")
    }
    let rank = type.shape.rank
    let axes = try node.knownIntegers(3)?.map { try type.shape.axis($0, "pad") } ?? Array(0..<rank)
    guard pads.count == 2 * axes.count, Set(axes).count == axes.count else {
      throw GraphError("pads \(pads) along \(axes.count) axes")
    }
    guard let mode = Pad.Mode(rawValue: node.string("mode", "constant")) else {
      throw Unsupported("mode \"\(node.string("mode", ""))\"")
    }
    var (before, after) = ([Int](repeating: 0, count: rank), [Int](repeating: 0, count: rank))
    for (index, axis) in axes.enumerated() { (before[axis], after[axis]) = (pads[index], pads[axes.count + index]) }
    var inputs = [try node.input(0)]
    if mode == .constant {
      if isOld, node.float("value", 0) != 0 {
        inputs.append(try node.constant(Double(node.float("value", 0)), type.dtype, "value"))
      } else if let value = try node.optional(2), node.reader.known(value)?.doubles != [0] {
        inputs.append(value)
      }
    }
    return [try node.add(Pad(mode, before: before, after: after), inputs)]
  }
  ops["Tile"] = { node in
    guard let repeats = try node.knownIntegers(1) else { throw GraphError("it has no repeats") }
    return [try node.add(Tile(repeats), [node.input(0)])]
  }
  ops["Range"] = { node in
    guard let start = try node.known(0), let limit = try node.known(1), let step = try node.known(2),
      [start, limit, step].allSatisfy({ $0.shape.count == 1 && $0.type.dtype == start.type.dtype })
    else { throw GraphError("start, limit and delta are no numbers of one type") }
    guard step.doubles[0] != 0 else { throw GraphError("delta is 0") }
    let steps: Double
    switch start.type.dtype {
    case .float64: steps = (limit.doubles[0] - start.doubles[0]) / step.doubles[0]
    case .float16, .bfloat16, .float32: steps = Double(limit.values[0] - start.values[0]) / step.doubles[0]
    default:
      let (from, to, by) = (try start.indices[0], try limit.indices[0], try step.indices[0])
      let (whole, part) = (Int128(to) - Int128(from)).quotientAndRemainder(dividingBy: Int128(by))
      steps = Double(part == 0 || (part < 0) != (by < 0) ? whole : whole + 1)
    }
    // One that is no number, or beyond all that memory can hold, is none.
    let count = Int(exactly: max(steps.rounded(.up), 0)) ?? -1
    return [try node.add(NumberRange(count: count), [node.input(0), node.input(2)])]
  }
  ops["OneHot"] = { node in
    let shape = try node.shape(0)
    guard let depth = try node.known(1), depth.shape.count == 1 else { throw GraphError("its depth is no number") }
    let axis = try Shape(shape.extents + [1]).axis(node.integer("axis", -1), "one_hot")
    return [
      try node.add(OneHot(axis: axis, depth: Int(Int64(nearest: depth.doubles[0]))), [node.input(0), node.input(2)])
    ]
  }
  for (name, function) in [("CumSum", .sum), ("CumProd", .product)] as [(String, Cumulative.Function)] {
    ops[name] = { node in
      guard let axis = try node.knownIntegers(1), axis.count == 1 else { throw GraphError("it has no axis") }
      let op = Cumulative(
        function, axis: try node.shape(0).axis(axis[0], name), isExclusive: node.flag("exclusive"),
        isReverse: node.flag("reverse"))
      return [try node.add(op, [node.input(0)])]
    }
  }
  ops["TopK"] = { node in
    guard let count = try node.version < 10 ? node.integer("k", -1) : node.knownIntegers(1)?.first else {
      throw GraphError("it does not say how many")
    }
    let axis = try node.shape(0).axis(node.integer("axis", -1), "top_k")
    return try node.addAll(TopK(count, axis: axis, isLargest: node.flag("largest", true)), [node.input(0)])
  }
  for (name, function) in [("ArgMax", .maximum), ("ArgMin", .minimum)] as [(String, ArgExtreme.Function)] {
    ops[name] = { node in
      let op = ArgExtreme(
        function, axis: try node.shape(0).axis(node.integer("axis", 0), name), keepsAxis: node.flag("keepdims", true),
        takesLast: node.flag("select_last_index"))
      return [try node.add(op, [node.input(0)])]
    }
  }
  ops["NonZero"] = { node in [try node.add(NonZero(), [node.input(0)])] }
  ops["Compress"] = { node in
    var (data, condition) = (try node.input(0), try node.input(1))
    var axis = 0
    if node.has("axis") {
      axis = try node.shape(0).axis(node.integer("axis", 0), "compress")
    } else {
      data = try node.add(Reshape([.rest]), [data], "flat")
    }
    let extent = node.type(of: data).shape[axis]
    if let known = try node.reader.known(condition)?.indices, !node.type(of: data).isUpperBound {
      let kept = known.indices.filter { known[$0] != 0 && $0 < extent }
      condition = node.constant(try Tensor([kept.count], elements: kept.map(Int64.init)), "indices")
      return [try node.add(Gather(axis: axis), [data, condition])]
    }
    return [try node.add(Compress(axis: axis), [data, condition])]
  }
  ops["Unique"] = { node in
    let axis = node.has("axis") ? try node.shape(0).axis(node.integer("axis", 0), "unique") : nil
    return try node.addAll(Unique(axis: axis, isSorted: node.flag("sorted", true)), [node.input(0)])
  }
  ops["EyeLike"] = { node in
    let type = try node.type(0)
    guard type.shape.rank == 2 else { throw GraphError("\(type) is no matrix") }
    guard !type.isUpperBound else { throw Unsupported("the shape of what is known only when it has run") }
    guard let dtype = node.has("dtype") ? DType(onnx: Int32(clamping: node.integer("dtype", 0))) : type.dtype else {
      throw Unsupported("ONNX's type \(node.integer("dtype", 0)) is not read")
    }
    let (ones, diagonal) = (try node.filled(TensorType(type.shape, dtype), 1, "ones"), node.integer("k", 0))
    let upper = try node.add(Trilu(isUpper: true, diagonal: diagonal), [ones], "upper")
    return [try node.add(Trilu(isUpper: false, diagonal: diagonal), [upper])]
  }
  ops["Trilu"] = { node in
    let diagonal = try node.knownIntegers(1)?.first ?? 0
    return [try node.add(Trilu(isUpper: node.flag("upper", true), diagonal: diagonal), [node.input(0)])]
  }
  ops["ReverseSequence"] = { node in
    let shape = try node.shape(0)
    let op = ReverseSequence(
      batchAxis: try shape.axis(node.integer("batch_axis", 1), "reverse_sequence"),
      timeAxis: try shape.axis(node.integer("time_axis", 0), "reverse_sequence"))
    return [try node.add(op, [node.input(0), node.input(1)])]
  }
  ops["Det"] = { node in [try node.add(Det(), [node.input(0)])] }
  ops["Einsum"] = { node in try node.einsum() }
  return ops
}()

extension ONNXNode {
  /// What becomes of elements that are written to.
  fileprivate var reduction: ScatterReduction {
    get throws {
      switch string("reduction", "none") {
      case "none": .none
      case "add": .add
      case "mul": .multiply
      case "max": .maximum
      case "min": .minimum
      case let other: throw Unsupported("reduction \"\(other)\"")
      }
    }
  }
}
