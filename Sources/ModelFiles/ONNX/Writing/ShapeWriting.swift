import GraphCore
import TensorCore

/// Ops that move elements, and those that tell shapes.
let shapeTranslations: ONNXTranslations = {
  var ops = ONNXTranslations()

  ops.add(Reshape.self) { op, node in
    guard op != .flatten else {
      node.emit("Flatten", node.inputs, [.integer("axis", 1)])
      return
    }
    let shape = node.types[0].isUpperBound ? try node.shapeAfterRun(op.extents) : try node.shape(op.extents)
    node.emit(
      "Reshape", [node.inputs[0], shape.name], shape.keepsZeros ? [.integer("allowzero", 1)] : [],
      since: shape.keepsZeros ? 14 : 13)
  }
  ops.add(ShapeOf.self) { _, node in node.emit("Shape", node.inputs) }
  ops.add(Transpose.self) { op, node in node.emit("Transpose", node.inputs, [.integers("perm", op.order)]) }
  ops.add(Expand.self) { op, node in
    node.emit("Expand", [node.inputs[0], try node.integers(op.shape.extents, "shape")])
  }
  ops.add(Concat.self) { op, node in node.emit("Concat", node.inputs, [.integer("axis", op.axis)]) }
  ops.add(Slice.self) { op, node in
    let lists: [(String, [Int])] = [
      ("starts", op.cuts.map(\.start)), ("ends", op.cuts.map(\.end)), ("axes", op.cuts.map(\.axis)),
      ("steps", op.cuts.map(\.step)),
    ]
    node.emit("Slice", [node.inputs[0]] + (try lists.map { try node.integers($1, $0) }))
  }
  ops.add(DepthToSpace.self) { op, node in
    guard op.block.h != op.block.w else {
      let mode = op.isBlockMajor ? "DCR" : "CRD"
      node.emit("DepthToSpace", node.inputs, [.integer("blocksize", op.block.h), .string("mode", mode)])
      return
    }
    // ONNX has square blocks alone.
    let (n, c, h, w) = (node.types[0].shape[0], node.result.shape[1], node.types[0].shape[2], node.types[0].shape[3])
    let blocks = [op.block.h, op.block.w]
    let apart = try node.integers([n] + (op.isBlockMajor ? blocks + [c] : [c] + blocks) + [h, w], "apart-shape")
    let order = op.isBlockMajor ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3]
    let moved = node.emit(
      "Transpose", [node.emit("Reshape", [node.inputs[0], apart], [], "apart")], [.integers("perm", order)], "moved")
    node.emit("Reshape", [moved, try node.integers(node.result.shape.extents, "shape")])
  }
  ops.add(Gather.self) { op, node in node.emit("Gather", node.inputs, [.integer("axis", op.axis)]) }
  return ops
}()

extension ONNXNodeWriter {
  /// A list of extents: 0 stands for that of the input's axis in its place, −1 for what is left of the elements.
  fileprivate func shape(_ extents: [Reshape.Extent]) throws -> (name: String, keepsZeros: Bool) {
    // Where an extent is 0, all are written out.
    if result.shape.extents.contains(0) {
      return (try integers(result.shape.extents, "shape"), true)
    }
    let list = extents.enumerated().map { axis, extent in
      switch extent {
      case .fixed(let number): number
      case .axis(let other): other == axis ? 0 : types[0].shape[other]
      case .rest: -1
      }
    }
    return (try integers(list, "shape"), false)
  }

  /// The same where the input's extents are known only after a run.
  fileprivate func shapeAfterRun(_ extents: [Reshape.Extent]) throws -> (name: String, keepsZeros: Bool) {
    let shape = emit("Shape", [inputs[0]], [], "extents")
    let parts = try extents.enumerated().map { place, extent in
      switch extent {
      case .fixed(let number): try integers([number], "extent\(place)")
      case .axis(let axis):
        emit("Gather", [shape, try integers([axis], "axis\(place)")], [.integer("axis", 0)], "extent\(place)")
      case .rest: try integers([-1], "extent\(place)")
      }
    }
    let name = parts.isEmpty ? try integers([], "shape") : emit("Concat", parts, [.integer("axis", 0)], "shape")
    // With what is left, a 0 would have no meaning but that of the axis in its place.
    return (name, !extents.contains(.rest))
  }
}
