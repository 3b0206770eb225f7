import TensorCore

/// How tensors of different shapes meet: aligned at their last axis, an extent of 1 is repeated (ONNX, "Broadcasting").
package enum Broadcast {
  /// The shape in which all of them meet.
  /// - Throws: ``GraphError`` where they do not.
  package static func shape(_ shapes: [Shape], _ op: String) throws -> Shape {
    let rank = shapes.map(\.rank).max() ?? 0
    var extents = [Int](repeating: 1, count: rank)
    for shape in shapes {
      for (axis, extent) in zip(rank - shape.rank..<rank, shape.extents) where extent != 1 {
        try expect(
          extents[axis] == 1 || extents[axis] == extent,
          "\(op) cannot broadcast \(shapes.map { "\($0)" }.joined(separator: " and "))")
        extents[axis] = extent
      }
    }
    return Shape(extents)
  }

  /// What is computed of each pair of elements, in NCHW.
  package static func combine<A: BitwiseCopyable, B: BitwiseCopyable, Result: BitwiseCopyable>(
    _ first: Tensor, _ second: Tensor, into result: Tensor, _ function: (A, B) -> Result
  ) {
    let (a, b) = (
      first.storage.pointer.assumingMemoryBound(to: A.self), second.storage.pointer.assumingMemoryBound(to: B.self)
    )
    var out = result.storage.pointer.assumingMemoryBound(to: Result.self)
    defer { withExtendedLifetime((first, second, result)) {} }
    if first.shape == second.shape {
      for i in 0..<result.shape.count { out[i] = function(a[i], b[i]) }
      return
    }
    let views = [first, second].map { StridedView(of: $0.shape, broadcastTo: result.shape) }
    let count = result.shape.extents.last ?? 1
    let steps = views.map { $0.strides.last ?? 0 }
    var places: [Int] = []
    views[1].forEachLine { places.append($0) }
    var line = 0
    views[0].forEachLine { place in
      let (left, right) = (a + place, b + places[line])
      for i in 0..<count { out[i] = function(left[i * steps[0]], right[i * steps[1]]) }
      out += count
      line += 1
    }
  }
}
