import Foundation
import GraphCore
import TensorCore

/// Operators that find things in images and cut them out.
let detectionOps: [String: ONNXBuilder] = {
  var ops: [String: ONNXBuilder] = [:]

  ops["RoiAlign"] = { node in
    let coordinates =
      node.version < 16 ? "output_half_pixel" : node.string("coordinate_transformation_mode", "half_pixel")
    let mode = node.string("mode", "avg")
    guard ["half_pixel", "output_half_pixel"].contains(coordinates), ["avg", "max"].contains(mode) else {
      throw GraphError("mode is \(mode), coordinates are \(coordinates)")
    }
    let op = RoiAlign(
      Pair(node.integer("output_height", 1), node.integer("output_width", 1)),
      samples: node.integer("sampling_ratio", 0), scale: node.float("spatial_scale", 1),
      takesMaximum: mode == "max", isHalfPixel: coordinates == "half_pixel")
    return [try node.add(op, [node.input(0), node.input(1), node.input(2)])]
  }
  ops["MaxRoiPool"] = { node in
    guard let size = node.integers("pooled_shape"), size.count == 2 else { throw GraphError("it names no size") }
    let op = RoiPool(Pair(size), scale: node.float("spatial_scale", 1))
    return [try node.add(op, [node.input(0), node.input(1)])]
  }
  ops["NonMaxSuppression"] = { node in
    let (boxes, scores) = (try node.input(0), try node.input(1))
    let shape = node.type(of: boxes).shape
    guard shape.rank == 3 else { throw GraphError("boxes are \(shape)") }
    func limit(_ index: Int, _ standard: Double, _ dtype: DType, _ name: String) throws -> ValueID {
      try node.optional(index) ?? node.constant(standard, dtype, name)
    }
    // Without a limit none is wanted; without a lowest score every one is high enough.
    let most = try limit(2, 0, .int64, "most")
    let known = try? node.reader.known(most)?.indices.first
    let bound = min(max(known ?? shape[1], 0), shape[1])
    let op = NonMaxSuppression(bound: bound, isCentred: node.flag("center_point_box"))
    return [
      try node.add(
        op,
        [
          boxes, scores, most, limit(3, 0, .float32, "overlap"), limit(4, -.infinity, .float32, "lowest"),
        ])
    ]
  }
  return ops
}()
