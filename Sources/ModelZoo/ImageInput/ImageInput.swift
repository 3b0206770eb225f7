import TensorCore

/// Pictures as network input, the way torchvision's classification presets make them: short side to 256/224 of the
/// network's side (bilinear, antialiased, rounded to whole pixel values), centre crop, mean and deviation of ImageNet.
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
    let resized = resize(picture, width: width, height: height)
    let left = roundHalfEven(Double(width - side) / 2)
    let top = roundHalfEven(Double(height - side) / 2)
    let tensor = try Tensor(uninitialized: TensorType([1, 3, side, side]))
    let out = tensor.floats
    for c in 0..<3 {
      for y in 0..<side {
        for x in 0..<side {
          let value = Float(resized.pixels[((top + y) * width + left + x) * 3 + c]) / 255
          out[(c * side + y) * side + x] = (value - mean[c]) / deviation[c]
        }
      }
    }
    return tensor
  }

  private static func roundHalfEven(_ value: Double) -> Int { Int(value.rounded(.toNearestOrEven)) }

  /// Horizontal, then vertical, each to whole pixel values.
  package static func resize(_ picture: Picture, width: Int, height: Int) -> Picture {
    let (w, h) = (picture.width, picture.height)
    let horizontal = Filter(from: w, to: width)
    let vertical = Filter(from: h, to: height)
    var rows = [UInt8](repeating: 0, count: width * h * 3)
    for y in 0..<h {
      for x in 0..<width {
        for c in 0..<3 {
          rows[(y * width + x) * 3 + c] = horizontal.apply(at: x) { picture.pixels[(y * w + $0) * 3 + c] }
        }
      }
    }
    var result = Picture(width: width, height: height, pixels: [UInt8](repeating: 0, count: width * height * 3))
    for y in 0..<height {
      for x in 0..<width {
        for c in 0..<3 {
          result.pixels[(y * width + x) * 3 + c] = vertical.apply(at: y) { rows[($0 * width + x) * 3 + c] }
        }
      }
    }
    return result
  }

  /// Triangle filter whose support grows with the shrinking factor: that is what "antialiased" means.
  private struct Filter {
    var starts: [Int] = []
    var weights: [[Double]] = []

    init(from source: Int, to target: Int) {
      let scale = Double(source) / Double(target)
      let support = max(scale, 1)
      for position in 0..<target {
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
