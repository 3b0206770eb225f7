/// A 3×3 weight `[O, C, 3, 3]` as Winograd's F(4×4, 3×3) multiplies it: each filter g becomes the 36 values of G g Gᵀ,
/// one for each of 36 matrices, and each matrix is cut into panels of `width` outputs: `[panel][36][C][width]`. Outputs
/// are padded with zeros.
///
/// The points are 0, ±1, ±2 and infinity (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015).
public struct WinogradLayout: Hashable, Sendable, CustomStringConvertible {
  public var width: Int

  public init(width: Int) { self.width = width }

  public var description: String { "winograd4x\(width)" }

  /// Elements stored for a weight of this shape, padding included.
  public func elementCount(for shape: Shape) -> Int { (shape[0] + width - 1) / width * width * shape[1] * 36 }

  /// G, applied to a column or a row of a filter.
  @inline(__always)
  private static func transformed(_ g: (Float, Float, Float)) -> (Float, Float, Float, Float, Float, Float) {
    let (even, wide) = (g.0 + g.2, g.0 + 4 * g.2)
    return (
      g.0 / 4, -(even + g.1) / 6, -(even - g.1) / 6, (wide + 2 * g.1) / 24, (wide - 2 * g.1) / 24, g.2
    )
  }

  func transform(_ shape: Shape, _ source: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>) {
    precondition(shape.rank == 4 && shape[2] == 3 && shape[3] == 3, "winograd needs 3×3 filters, not \(shape)")
    let (outputs, channels) = (shape[0], shape[1])
    if outputs % width != 0 { target.update(repeating: 0, count: elementCount(for: shape)) }
    let stride = channels * width
    for output in 0..<outputs {
      for channel in 0..<channels {
        let g = source + (output * channels + channel) * 9
        let place = target + (output / width * 36 * channels + channel) * width + output % width
        let (a, b, c) = (
          Self.transformed((g[0], g[3], g[6])), Self.transformed((g[1], g[4], g[7])),
          Self.transformed((g[2], g[5], g[8]))
        )
        func write(_ y: Int, _ row: (Float, Float, Float)) {
          let u = Self.transformed(row)
          let line = place + 6 * y * stride
          (line[0], line[stride], line[2 * stride]) = (u.0, u.1, u.2)
          (line[3 * stride], line[4 * stride], line[5 * stride]) = (u.3, u.4, u.5)
        }
        write(0, (a.0, b.0, c.0))
        write(1, (a.1, b.1, c.1))
        write(2, (a.2, b.2, c.2))
        write(3, (a.3, b.3, c.3))
        write(4, (a.4, b.4, c.4))
        write(5, (a.5, b.5, c.5))
      }
    }
  }

  /// The filters again, but for rounding: of six transformed values the first gives the first tap, the last the last,
  /// and the difference of the second and third the middle one.
  func restore(_ shape: Shape, _ source: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>) {
    precondition(shape.rank == 4 && shape[2] == 3 && shape[3] == 3, "winograd needs 3×3 filters, not \(shape)")
    let (outputs, channels) = (shape[0], shape[1])
    let stride = channels * width
    for output in 0..<outputs {
      for channel in 0..<channels {
        let place = source + (output / width * 36 * channels + channel) * width + output % width
        func taps(_ row: Int) -> (Float, Float, Float) {
          let line = place + 6 * row * stride
          return (4 * line[0], 3 * (line[2 * stride] - line[stride]), line[5 * stride])
        }
        let (first, second, third, last) = (taps(0), taps(1), taps(2), taps(5))
        let g = target + (output * channels + channel) * 9
        (g[0], g[1], g[2]) = (4 * first.0, 4 * first.1, 4 * first.2)
        (g[3], g[4], g[5]) = (3 * (third.0 - second.0), 3 * (third.1 - second.1), 3 * (third.2 - second.2))
        (g[6], g[7], g[8]) = last
      }
    }
  }
}
