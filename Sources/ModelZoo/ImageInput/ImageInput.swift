import TensorCore

/// Pictures as network input, the way torchvision's classification presets make them: short side to 256/224 of the
/// network's side (bilinear, antialiased, rounded to whole pixel values), centre crop, mean and deviation of ImageNet. A
/// picture is turned as its Exif orientation says, as viewers show it; CMYK becomes RGB without a colour profile.
public enum ImageInput {
  static let mean: [Float] = [0.485, 0.456, 0.406]
  static let deviation: [Float] = [0.229, 0.224, 0.225]

  /// A tensor of `1×3×side×side`.
  /// - Throws: ``PictureError``.
  public static func load(_ path: String, side: Int) throws -> Tensor {
    try tensor(PictureReader.read(path), side: side)
  }

  package static func tensor(_ picture: Picture, side: Int) throws -> Tensor {
    let short = side * 256 / 224
    // The long side is cut to a whole number, as torchvision does.
    let (width, height) =
      picture.width < picture.height
      ? (short, short * picture.height / picture.width) : (short * picture.width / picture.height, short)
    let left = roundHalfEven(Double(width - side) / 2)
    let top = roundHalfEven(Double(height - side) / 2)
    // Of a very long picture the crop is a small part: no more than that is made.
    let crop = resize(
      picture, width: width, height: height, columns: left..<left + side, rows: top..<top + side)
    let tensor = try Tensor(uninitialized: TensorType([1, 3, side, side]))
    let out = tensor.floats
    for c in 0..<3 {
      for y in 0..<side {
        for x in 0..<side {
          let value = Float(crop.pixels[(y * side + x) * 3 + c]) / 255
          out[(c * side + y) * side + x] = (value - mean[c]) / deviation[c]
        }
      }
    }
    return tensor
  }

  private static func roundHalfEven(_ value: Double) -> Int { Int(value.rounded(.toNearestOrEven)) }

  /// Horizontal, then vertical, each to whole pixel values.
  package static func resize(_ picture: Picture, width: Int, height: Int) -> Picture {
    resize(picture, width: width, height: height, columns: 0..<width, rows: 0..<height)
  }

  /// A part of the picture that `resize` makes, in time and memory of the part.
  static func resize(
    _ picture: Picture, width: Int, height: Int, columns: Range<Int>, rows: Range<Int>
  ) -> Picture {
    let (w, h) = (picture.width, picture.height)
    let horizontal = Filter(from: w, to: width, columns)
    let vertical = Filter(from: h, to: height, rows)
    // Rows of the picture that the part is made of.
    let (first, last) = (
      vertical.starts.min() ?? 0, zip(vertical.starts, vertical.weights).map { $0 + $1.count }.max() ?? 0
    )
    let count = columns.count
    var lines = [UInt8](repeating: 0, count: count * (last - first) * 3)
    for y in first..<last {
      for x in 0..<count {
        for c in 0..<3 {
          lines[((y - first) * count + x) * 3 + c] = horizontal.apply(at: x) { picture.pixels[(y * w + $0) * 3 + c] }
        }
      }
    }
    var result = Picture(width: count, height: rows.count, pixels: [UInt8](repeating: 0, count: count * rows.count * 3))
    for y in 0..<rows.count {
      for x in 0..<count {
        for c in 0..<3 {
          result.pixels[(y * count + x) * 3 + c] = vertical.apply(at: y) { lines[(($0 - first) * count + x) * 3 + c] }
        }
      }
    }
    return result
  }

  /// Triangle filter whose support grows with the shrinking factor: that is what "antialiased" means.
  private struct Filter {
    var starts: [Int] = []
    var weights: [[Double]] = []

    /// - Parameter part: of the target's positions.
    init(from source: Int, to target: Int, _ part: Range<Int>) {
      let scale = Double(source) / Double(target)
      let support = max(scale, 1)
      for position in part {
        let centre = (Double(position) + 0.5) * scale
        let start = max(0, Int(centre - support + 0.5))
        let end = min(source, Int(centre + support + 0.5))
        let raw = (start..<end).map { max(0, 1 - abs((Double($0) - centre + 0.5) / support)) }
        let sum = raw.reduce(0, +)
        starts.append(start)
        weights.append(raw.map { $0 / sum })
      }
    }

    @inline(__always) func apply(at position: Int, _ pixel: (Int) -> UInt8) -> UInt8 {
      var sum = 0.5
      for (offset, weight) in weights[position].enumerated() {
        sum += weight * Double(pixel(starts[position] + offset))
      }
      return UInt8(min(max(sum, 0), 255))
    }
  }
}
