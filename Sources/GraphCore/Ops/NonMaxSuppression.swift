import TensorCore

/// Of boxes that overlap those with the best scores, class by class (ONNX, NonMaxSuppression).
///
/// Inputs: `boxes [N, B, 4]`, `scores [N, C, B]`, then one number each: how many boxes of a class are wanted at most (int64), by
/// which share of their union two boxes may overlap, and which score is too low. Output: `[found, 3]` as int64: image, class and
/// box; how many are found is known when it ran.
public struct NonMaxSuppression: Op {
  public static let name = "non_max_suppression"

  /// Most boxes of a class that can be found, whatever the input says.
  public var bound: Int
  /// Whether a box is the middle, width and height; else two corners, each as y and x.
  public var isCentred: Bool

  public init(bound: Int, isCentred: Bool = false) { (self.bound, self.isCentred) = (bound, isCentred) }

  public var attributes: [(String, String)] {
    [("bound", "\(bound)")] + (isCentred ? [("boxes", "centred")] : [])
  }
  public var elementTypes: ElementTypes { .numbers }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 5, "\(name) takes 5 inputs, not \(inputs.count)")
    let (boxes, scores) = (inputs[0], inputs[1])
    try expect(
      boxes.dtype == .float32 && scores.dtype == .float32 && boxes.shape.rank == 3 && scores.shape.rank == 3
        && boxes.shape[0] == scores.shape[0] && boxes.shape[1] == scores.shape[2] && boxes.shape[2] == 4,
      "\(name): boxes \(boxes) with the scores \(scores)")
    try expect(
      inputs[2...].allSatisfy { $0.shape.count == 1 } && inputs[2].dtype == .int64
        && inputs[3].dtype == .float32 && inputs[4].dtype == .float32,
      "\(name): limits \(inputs[2...].map { "\($0)" }.joined(separator: ", "))")
    try expect(bound >= 0, "\(name): bound \(bound)")
    let pairs = TensorType([scores.shape[0], scores.shape[1], min(bound, boxes.shape[1])])
    var type = TensorType([try pairs.checked(name).shape.count, 3], .int64)
    type.isUpperBound = true
    return [try type.checked(name)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let shape = inputs[1].shape
    let (images, classes, boxes) = (shape[0], shape[1], shape[2])
    let most = min(Int(max(inputs[2].elements(as: Int64.self)[0], 0)), bound)
    let (overlap, lowest) = (inputs[3].floats[0], inputs[4].floats[0])
    var found: [Int64] = []
    for image in 0..<images {
      for kind in 0..<classes {
        let scores = inputs[1].floats[((image * classes + kind) * boxes)..<((image * classes + kind + 1) * boxes)]
        let candidates = scores.enumerated().filter { $0.element > lowest }
          .sorted { $0.element != $1.element ? $0.element > $1.element : $0.offset < $1.offset }.map(\.offset)
        var kept: [(index: Int, box: Box)] = []
        for candidate in candidates {
          if kept.count == most { break }
          let box = Box(inputs[0].pointer(to: Float.self) + (image * boxes + candidate) * 4, isCentred: isCentred)
          if kept.allSatisfy({ $0.box.overlap(box) <= overlap }) { kept.append((candidate, box)) }
        }
        for (index, _) in kept { found += [Int64(image), Int64(kind), Int64(index)] }
      }
    }
    withExtendedLifetime(inputs) {}
    return [try Tensor([found.count / 3, 3], elements: found)]
  }
}

private struct Box {
  var left: Float
  var top: Float
  var right: Float
  var bottom: Float

  init(_ given: UnsafePointer<Float>, isCentred: Bool) {
    let (a, b, c, d) = (given[0], given[1], given[2], given[3])
    if isCentred {
      (left, right, top, bottom) = (a - c / 2, a + c / 2, b - d / 2, b + d / 2)
    } else {
      (left, right, top, bottom) = (min(b, d), max(b, d), min(a, c), max(a, c))
    }
  }

  var area: Float { (right - left) * (bottom - top) }

  /// The common part as a share of what both cover together.
  func overlap(_ other: Box) -> Float {
    let (width, height) = (
      min(right, other.right) - max(left, other.left), min(bottom, other.bottom) - max(top, other.top)
    )
    guard width > 0, height > 0, area > 0, other.area > 0 else { return 0 }
    return width * height / (area + other.area - width * height)
  }
}
