import Foundation
import GraphCore
import TensorCore

/// Operators that read images at other places than where their elements lie.
let resizeOps: [String: ONNXBuilder] = {
  var ops: [String: ONNXBuilder] = [:]

  ops["Upsample"] = { node in
    let scales = try node.version < 9 ? node.floats("scales") : node.knownFloats(1)
    return [try node.resized(try node.mode(rounding: .byScale), .asymmetric, scales: scales)]
  }
  ops["Resize"] = { node in
    guard node.version >= 11 else {
      let mode = try node.mode(rounding: .byScale)
      return [try node.resized(mode, .asymmetric, scales: node.knownFloats(1))]
    }
    let (rounding, coordinates) = (
      node.string("nearest_mode", "round_prefer_floor"), node.string("coordinate_transformation_mode", "half_pixel")
    )
    guard let rounding = Resize.Rounding(rawValue: rounding), rounding != .byScale,
      let coordinates = Resize.Coordinates(rawValue: coordinates)
    else { throw GraphError("coordinates are \(coordinates), nearest is \(rounding)") }
    // Either may be there and empty.
    let (scales, sizes) = (try node.knownFloats(2) ?? [], try node.knownIntegers(3) ?? [])
    let region = coordinates == .crop ? try node.knownFloats(1) : nil
    return [
      try node.resized(
        try node.mode(rounding: rounding), coordinates, scales: scales.isEmpty ? nil : scales,
        sizes: sizes.isEmpty ? nil : sizes, region: region)
    ]
  }
  ops["GridSample"] = { node in
    let (mode, outside) = (node.string("mode", "linear"), node.string("padding_mode", "zeros"))
    let names = ["bilinear": "linear", "bicubic": "cubic"]
    guard let mode = GridSample.Mode(rawValue: names[mode] ?? mode),
      let outside = GridSample.Outside(rawValue: outside)
    else { throw GraphError("mode is \(mode), padding_mode is \(outside)") }
    let op = GridSample(mode, outside: outside, alignsCorners: node.flag("align_corners"))
    return [try node.add(op, [node.input(0), node.input(1)])]
  }
  ops["AffineGrid"] = { node in
    let (theta, shape) = (try node.input(0), try node.shape(0))
    guard let size = try node.knownIntegers(1), (4...5).contains(size.count), shape.rank == 3, shape[0] == size[0]
    else { throw GraphError("places of \(try node.knownIntegers(1) ?? []) moved by \(shape)") }
    return [try node.add(AffineGrid(Array(size.dropFirst(2)), alignsCorners: node.flag("align_corners")), [theta])]
  }
  return ops
}()

extension ONNXNode {
  fileprivate func mode(rounding: Resize.Rounding) throws -> Resize.Mode {
    switch string("mode", "nearest") {
    case "nearest": return .nearest(rounding)
    case "linear", "bilinear": return .linear
    case "cubic": return .cubic(a: float("cubic_coeff_a", -0.75))
    default: throw GraphError("mode is \"\(string("mode", ""))\"")
    }
  }

  /// A resize by either scales or sizes.
  /// - Parameter region: the first places along all axes, then the last ones.
  fileprivate func resized(
    _ mode: Resize.Mode, _ coordinates: Resize.Coordinates, scales: [Float]?, sizes: [Int]? = nil,
    region: [Float]? = nil
  ) throws -> ValueID {
    let shape = try shape(0)
    let axes = try integers("axes")?.map { try shape.axis($0, "resize") } ?? Array(0..<shape.rank)
    guard (scales == nil) != (sizes == nil), scales?.count ?? axes.count == axes.count,
      sizes?.count ?? axes.count == axes.count, region?.count ?? (2 * axes.count) == 2 * axes.count,
      Set(axes).count == axes.count
    else { throw GraphError("scales \(scales ?? []), sizes \(sizes ?? []) and roi \(region ?? []) for \(shape)") }
    var factors =
      try scales
      ?? zip(axes, sizes!).map { axis, size in
        guard size >= 0, shape[axis] > 0 || size == 0 else { throw GraphError("\(shape) resized to \(sizes!)") }
        return shape[axis] == 0 ? 1 : Float(size) / Float(shape[axis])
      }
    let policy = string("keep_aspect_ratio_policy", "stretch")
    let keepsRatio = sizes != nil && policy != "stretch"
    if keepsRatio {
      guard policy == "not_larger" || policy == "not_smaller" else { throw GraphError("the policy is \"\(policy)\"") }
      let common = policy == "not_larger" ? factors.min() ?? 1 : factors.max() ?? 1
      factors = factors.map { _ in common }
    }
    let changed = try axes.indices.compactMap { index -> Resize.Axis? in
      let (axis, scale) = (axes[index], factors[index])
      let whole = scale * Float(shape[axis])
      guard scale.isFinite, scale >= 0, whole < 1_073_741_824 else { throw GraphError("\(shape) resized by \(scale)") }
      let extent =
        keepsRatio ? Int(whole.rounded(.toNearestOrAwayFromZero)) : sizes?[index] ?? Int(whole.rounded(.down))
      // As in ONNX Runtime, what keeps its size is not cropped either, nor made a mean of.
      if scale == 1 || flag("antialias") && extent == shape[axis] { return nil }
      let (start, end) = (region?[index] ?? 0, region?[axes.count + index] ?? 1)
      return Resize.Axis(axis, extent: extent, scale: scale, region: Resize.ClosedRegion(start, end))
    }
    if changed.allSatisfy({ $0.extent == shape[$0.axis] }) { return try input(0) }
    let op = Resize(
      changed.sorted { $0.axis < $1.axis }, mode, coordinates, excludesOutside: flag("exclude_outside"),
      antialiases: flag("antialias"), extrapolation: float("extrapolation_value", 0))
    return try add(op, [input(0)])
  }
}
