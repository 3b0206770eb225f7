import GraphCore
import TensorCore

/// Ops that find, pick and place elements.
let indexTranslations: ONNXTranslations = {
  var ops = ONNXTranslations()

  ops.add(GatherElements.self) { op, node in node.emit("GatherElements", node.inputs, [.integer("axis", op.axis)]) }
  ops.add(GatherND.self) { op, node in node.emit("GatherND", node.inputs, [.integer("batch_dims", op.batchAxes)]) }
  ops.add(ScatterElements.self) { op, node in
    node.emit(
      "ScatterElements", node.inputs, [.integer("axis", op.axis)] + op.reduction.onnx, since: op.reduction.operatorSet)
  }
  ops.add(ScatterND.self) { op, node in
    node.emit("ScatterND", node.inputs, op.reduction.onnx, since: op.reduction.operatorSet)
  }
  ops.add(Pad.self) { op, node in
    var inputs = [node.inputs[0], try node.integers(op.before + op.after, "pads")]
    if node.inputs.count > 1 {
      let isScalar = node.types[1].shape.rank == 0
      inputs.append(
        isScalar
          ? node.inputs[1] : node.emit("Reshape", [node.inputs[1], try node.integers([], "scalar")], [], "value"))
    }
    node.emit("Pad", inputs, [.string("mode", op.mode.rawValue)], since: op.mode == .wrap ? 19 : 13)
  }
  ops.add(Tile.self) { op, node in node.emit("Tile", [node.inputs[0], try node.integers(op.repeats, "repeats")]) }
  ops.add(NumberRange.self) { op, node in
    let dtype = node.types[0].dtype
    let shapes = try node.inputs.enumerated().map { index, input in
      node.types[index].shape.rank == 0
        ? input : node.emit("Reshape", [input, try node.integers([], "scalar\(index)")], [], "number\(index)")
    }
    // Halfway behind the last one: no rounding adds another one.
    let steps = dtype.isFloat ? Double(op.count) - 0.5 : Double(op.count)
    let length = node.emit("Mul", [shapes[1], try node.scalar(steps, dtype, "steps")], [], "length")
    node.emit("Range", [shapes[0], node.emit("Add", [shapes[0], length], [], "limit"), shapes[1]])
  }
  ops.add(OneHot.self) { op, node in
    let depth = try node.scalar(Double(op.depth), .int64, "depth")
    node.emit("OneHot", [node.inputs[0], depth, node.inputs[1]], [.integer("axis", op.axis)])
  }
  ops.add(Cumulative.self) { op, node in
    node.emit(
      op.function == .sum ? "CumSum" : "CumProd", [node.inputs[0], try node.scalar(Double(op.axis), .int64, "axis")],
      [.integer("exclusive", op.isExclusive ? 1 : 0), .integer("reverse", op.isReverse ? 1 : 0)],
      since: op.function == .sum ? 14 : 26)
  }
  ops.add(TopK.self) { op, node in
    node.emit(
      "TopK", [node.inputs[0], try node.integers([op.count], "count")],
      [.integer("axis", op.axis), .integer("largest", op.isLargest ? 1 : 0)], outputs: node.results)
  }
  ops.add(ArgExtreme.self) { op, node in
    node.emit(
      op.function == .maximum ? "ArgMax" : "ArgMin", node.inputs,
      [
        .integer("axis", op.axis), .integer("keepdims", op.keepsAxis ? 1 : 0),
        .integer("select_last_index", op.takesLast ? 1 : 0),
      ])
  }
  ops.add(NonZero.self) { _, node in node.emit("NonZero", node.inputs) }
  ops.add(Compress.self) { op, node in node.emit("Compress", node.inputs, [.integer("axis", op.axis)]) }
  ops.add(Unique.self) { op, node in
    let axis = op.axis.map { [Pacer_Onnx_Attribute.integer("axis", $0)] } ?? []
    node.emit("Unique", node.inputs, axis + [.integer("sorted", op.isSorted ? 1 : 0)], outputs: node.results)
  }
  ops.add(Trilu.self) { op, node in
    node.emit(
      "Trilu", [node.inputs[0], try node.scalar(Double(op.diagonal), .int64, "diagonal")],
      [.integer("upper", op.isUpper ? 1 : 0)], since: 14)
  }
  ops.add(ReverseSequence.self) { op, node in
    // ONNX counts lengths in int64.
    let lengths = node.types[1].dtype == .int64 ? node.inputs[1] : node.cast(node.inputs[1], to: .int64, "lengths")
    node.emit(
      "ReverseSequence", [node.inputs[0], lengths],
      [.integer("batch_axis", op.batchAxis), .integer("time_axis", op.timeAxis)])
  }
  ops.add(Det.self) { _, node in node.emit("Det", node.inputs) }
  ops.add(Einsum.self) { op, node in node.emit("Einsum", node.inputs, [.string("equation", op.equation)]) }
  return ops
}()

extension ScatterReduction {
  fileprivate var onnx: [Pacer_Onnx_Attribute] {
    switch self {
    case .none: []
    case .add: [.string("reduction", "add")]
    case .multiply: [.string("reduction", "mul")]
    case .maximum: [.string("reduction", "max")]
    case .minimum: [.string("reduction", "min")]
    }
  }
  fileprivate var operatorSet: Int {
    switch self {
    case .none: 13
    case .add, .multiply: 16
    case .maximum, .minimum: 18
    }
  }
}

extension Einsum {
  /// With letters alone: what was behind an ellipsis has digits here.
  fileprivate var equation: String {
    let used = Set(terms.joined() + result)
    var free = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".filter { !used.contains($0) }[...]
    var letters: [Character: Character] = [:]
    for character in used.sorted() where !character.isLetter { letters[character] = free.popFirst() }
    func text(_ term: [Character]) -> String { String(term.map { letters[$0] ?? $0 }) }
    return terms.map(text).joined(separator: ",") + "->" + text(result)
  }
}
