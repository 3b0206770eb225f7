import GraphCore
import TensorCore

/// Ops that read images at other places than where their elements lie, and those that find things in them.
let imageTranslations: ONNXTranslations = {
  var ops = ONNXTranslations()

  ops.add(Resize.self) { op, node in try node.write(op) }
  ops.add(GridSample.self) { op, node in
    node.emit(
      "GridSample", node.inputs,
      [
        .string("mode", op.mode.rawValue), .string("padding_mode", op.outside.rawValue),
        .integer("align_corners", op.alignsCorners ? 1 : 0),
      ], since: 20)
  }
  ops.add(AffineGrid.self) { op, node in
    let size = [node.types[0].shape[0], 1] + op.extents
    node.emit(
      "AffineGrid", [node.inputs[0], try node.integers(size, "size")],
      [.integer("align_corners", op.alignsCorners ? 1 : 0)], since: 20)
  }
  ops.add(RoiAlign.self) { op, node in
    // Numbers of images are int64 there.
    let images = node.types[2].dtype == .int64 ? node.inputs[2] : node.cast(node.inputs[2], to: .int64, "images")
    node.emit(
      "RoiAlign", [node.inputs[0], node.inputs[1], images],
      [
        .string("mode", op.takesMaximum ? "max" : "avg"), .integer("output_height", op.size.h),
        .integer("output_width", op.size.w), .integer("sampling_ratio", op.samples),
        .float("spatial_scale", op.scale),
        .string("coordinate_transformation_mode", op.isHalfPixel ? "half_pixel" : "output_half_pixel"),
      ], since: 16)
  }
  ops.add(RoiPool.self) { op, node in
    node.emit(
      "MaxRoiPool", node.inputs,
      [.integers("pooled_shape", [op.size.h, op.size.w]), .float("spatial_scale", op.scale)])
  }
  ops.add(NonMaxSuppression.self) { op, node in
    node.emit("NonMaxSuppression", node.inputs, [.integer("center_point_box", op.isCentred ? 1 : 0)])
  }
  return ops
}()

extension ONNXNodeWriter {
  fileprivate func write(_ op: Resize) throws {
    guard case .nearest(.byScale) = op.mode else {
      try resize(inputs[0], op, op.axes)
      return
    }
    // Up and down on each axis by itself, which ONNX no longer has in one.
    let (larger, smaller) = (op.axes.filter { $0.scale >= 1 }, op.axes.filter { $0.scale < 1 })
    var (up, down) = (op, op)
    (up.mode, down.mode) = (.nearest(.floor), .nearest(.ceil))
    if larger.isEmpty || smaller.isEmpty {
      try resize(inputs[0], larger.isEmpty ? down : up, op.axes)
    } else {
      try resize(resize(inputs[0], up, larger, "larger"), down, smaller)
    }
  }

  @discardableResult
  private func resize(_ input: String, _ op: Resize, _ axes: [Resize.Axis], _ suffix: String = "") throws -> String {
    guard !axes.isEmpty else { return emit("Identity", [input], [], suffix) }
    let prefix = suffix.isEmpty ? "" : suffix + "."
    var (mode, coordinates) = (op.mode, op.coordinates)
    if coordinates == .halfPixelNearest {
      // It went with operator set 13: half an element more before rounding is another rounding.
      switch mode {
      case .nearest(.floor): mode = .nearest(.preferCeil)
      case .nearest(.preferFloor): mode = .nearest(.ceil)
      default: throw Unsupported("\(node.name): ONNX has no \(coordinates.rawValue) any more")
      }
      coordinates = .halfPixel
    }
    var attributes: [Pacer_Onnx_Attribute] = [
      .integers("axes", axes.map(\.axis)), .string("coordinate_transformation_mode", coordinates.rawValue),
      .integer("antialias", op.antialiases ? 1 : 0), .integer("exclude_outside", op.excludesOutside ? 1 : 0),
      .float("extrapolation_value", op.extrapolation),
    ]
    switch mode {
    case .nearest(let rounding):
      attributes += [.string("mode", "nearest"), .string("nearest_mode", rounding.rawValue)]
    case .linear: attributes.append(.string("mode", "linear"))
    case .cubic(let a): attributes += [.string("mode", "cubic"), .float("cubic_coeff_a", a)]
    }
    var region = ""
    if coordinates == .crop {
      let ends = axes.map(\.region.start) + axes.map(\.region.end)
      region = try constant(Tensor([ends.count], ends), prefix + "region")
    }
    let extents = try extents(axes, prefix)
    return emit(
      "Resize", [input, region, extents.scales, extents.sizes], attributes + extents.policy, suffix, since: 19)
  }

  /// What gives the extents and the scales of some axes: sizes, the scales, or sizes of which one rules.
  private func extents(
    _ axes: [Resize.Axis], _ prefix: String
  ) throws -> (scales: String, sizes: String, policy: [Pacer_Onnx_Attribute]) {
    let lengths = axes.map { Float(types[0].shape[$0.axis]) }
    let isExact = zip(axes, lengths).map { $1 > 0 && Float($0.extent) / $1 == $0.scale }
    // Not by scales where sizes say the same: what they come to depends on how they are rounded.
    if isExact.allSatisfy({ $0 }) { return ("", try integers(axes.map(\.extent), prefix + "sizes"), []) }
    if zip(axes, lengths).allSatisfy({ Int(($0.scale * $1).rounded(.down)) == $0.extent }) {
      return (try constant(Tensor([axes.count], axes.map(\.scale)), prefix + "scales"), "", [])
    }
    // One scale for all, of the axis that needs the smallest.
    guard isExact.contains(true), axes.allSatisfy({ $0.scale == axes[0].scale }) else {
      throw Unsupported("\(node.name): ONNX has no resize by \(axes.map(\.scale)) to \(axes.map(\.extent))")
    }
    let sizes = axes.indices.map { index in
      isExact[index] ? axes[index].extent : Int((axes[index].scale * lengths[index]).rounded(.up)) + 1
    }
    return ("", try integers(sizes, prefix + "sizes"), [.string("keep_aspect_ratio_policy", "not_larger")])
  }
}
