/// A weight of bytes as kernels that add up four products at a time read it: the matrix of `outputs × depth` is cut into panels, and
/// before each panel stand the sums of its outputs' weights, which take what the inputs' zero point adds.
///
/// Of matrices, `[group][panel][sums: int32 × width][depth / 4][width][4]`, where `depth` goes through the taps and in each through
/// the channels, and a panel has two vectors of outputs, or one where that is enough. Of rows the same, where each row of a window is
/// filled up to fours: the channels of its taps lie beside each other in an image too.
///
/// Of depthwise filters, `[block][sums: int32 × width][kx][ky / 4][width][4]`, where a block has four vectors of channels, or two where
/// those are enough.
///
/// What is missing is zeros. Within a panel, outputs stand in the order in which sums come out of instructions that work on 16 bytes
/// each: ``output(at:width:)``.
public struct DotLayout: Hashable, Sendable, CustomStringConvertible {
  public enum Kind: Int, Sendable { case matrix, depthwise, rows }

  public var kind: Kind
  /// 32-bit lanes of a vector.
  public var lanes: Int
  public var groups: Int
  /// Whether no weight is beyond ±``limit``: two products of those and unsigned bytes are no more than 16 bits hold. Where a file
  /// says so of others, sums are wrong, as they are where the sums in a panel are.
  public var isSmall: Bool
  package static let limit: Int8 = 64

  public init(_ kind: Kind, lanes: Int, groups: Int = 1, isSmall: Bool = false) {
    (self.kind, self.lanes, self.groups, self.isSmall) = (kind, lanes, groups, isSmall)
  }

  /// Whether a weight of bytes is small.
  package static func fits(_ weight: Tensor) -> Bool {
    weight.type.dtype == .int8
      && UnsafeBufferPointer(
        start: weight.storage.pointer.assumingMemoryBound(to: Int8.self), count: weight.type.shape.count
      ).allSatisfy { (-limit...limit).contains($0) }
  }

  /// The same of weights that are known to be small, where these are packed so.
  package func asPacked(_ weight: TensorType) -> DotLayout {
    var small = self
    small.isSmall = true
    return weight.format == .dots(small) ? small : self
  }

  public var description: String {
    "dots\(lanes)" + (kind == .depthwise ? "d" : kind == .rows ? "r" : "") + (isSmall ? "s" : "")
      + (groups > 1 ? "g\(groups)" : "")
  }

  /// Of one panel or block but the last, which may have half of it.
  package var width: Int { lanes * (kind == .depthwise ? 4 : 2) }

  func fault(for shape: Shape, _ dtype: DType) -> String? {
    guard dtype == .int8 else { return "\(self) is of int8, not \(dtype.rawValue)" }
    guard [4, 8, 16].contains(lanes), groups >= 1, shape.rank > 0, shape.count > 0, shape[0] % groups == 0 else {
      return "\(shape) has no \(self)"
    }
    switch kind {
    case .matrix: guard shape.rank >= 2 else { return "\(shape) has no \(self)" }
    case .depthwise: guard shape.rank == 4, shape[1] == 1, groups == 1 else { return "\(shape) has no \(self)" }
    case .rows: guard shape.rank == 4, groups == 1 else { return "\(shape) has no \(self)" }
    }
    return shape.count <= 1 << 40 ? nil : "\(self) of \(shape) are more than memory can hold"
  }

  /// Bytes of products of one output, zeros included.
  package func depth(of shape: Shape) -> Int {
    switch kind {
    case .matrix: (shape.count / shape[0] + 3) / 4 * 4
    case .depthwise: shape[3] * ((shape[2] + 3) / 4) * 4
    case .rows: shape[2] * row(of: shape)
    }
  }

  /// Bytes of a row of the window, zeros included.
  package func row(of shape: Shape) -> Int { (shape[1] * shape[3] + 3) / 4 * 4 }

  /// Outputs of the panel that begins with output `first` of so many: the same before and after its start was moved back.
  package func panelWidth(from first: Int, of outputs: Int) -> Int {
    outputs - first <= width / 2 ? width / 2 : width
  }

  /// Where the panels of `outputs` begin. Blocks lie inside the channels as long as there are enough: the last one may share some with
  /// the one before.
  package func starts(_ outputs: Int) -> [Int] {
    stride(from: 0, to: outputs, by: width).map { first in
      guard kind == .depthwise else { return first }
      return min(first, max(outputs - panelWidth(from: first, of: outputs), 0))
    }
  }

  /// The output, counted from the panel's first, whose sum is at a place of a panel of so many.
  package func output(at place: Int, width: Int) -> Int {
    let (vector, lane) = place.quotientAndRemainder(dividingBy: lanes)
    let perLane = width / lanes * 4
    return lane / 4 * perLane + vector * 4 + lane % 4
  }

  public func byteCount(for shape: Shape) -> Int {
    let outputs = shape[0] / groups
    let rest = outputs % width
    let last = rest == 0 ? 0 : panelWidth(from: 0, of: rest)
    return groups * (outputs - rest + last) * (4 + depth(of: shape))
  }

  /// Where each byte of an output's products comes from in its row of the weight; −1 for zeros.
  private func sources(_ shape: Shape) -> [Int] {
    (0..<depth(of: shape)).map { d in
      switch kind {
      case .matrix:
        let (channels, taps) = (shape[1], shape.count / shape[0] / shape[1])
        return d < channels * taps ? d % channels * taps + d / channels : -1
      case .depthwise:
        let rows = (shape[2] + 3) / 4 * 4
        return d % rows < shape[2] ? d % rows * shape[3] + d / rows : -1
      case .rows:
        let (channels, width) = (shape[1], shape[3])
        let (y, place) = d.quotientAndRemainder(dividingBy: row(of: shape))
        return place < channels * width ? (place % channels * shape[2] + y) * width + place / channels : -1
      }
    }
  }

  /// From OIHW, or a matrix.
  func pack(_ shape: Shape, _ source: UnsafePointer<Int8>, _ target: UnsafeMutablePointer<Int8>) {
    let (sources, row) = (sources(shape), shape.count / shape[0])
    target.update(repeating: 0, count: byteCount(for: shape))
    each(shape) { output, bytes, step, sums in
      let weights = source + output * row
      var sum: Int32 = 0
      for d in sources.indices where sources[d] >= 0 {
        let value = weights[sources[d]]
        target[bytes + d / 4 * step + d % 4] = value
        sum += Int32(value)
      }
      UnsafeMutableRawPointer(target + sums).storeBytes(of: sum, as: Int32.self)
    }
  }

  func unpack(_ shape: Shape, _ source: UnsafePointer<Int8>, _ target: UnsafeMutablePointer<Int8>) {
    let (sources, row) = (sources(shape), shape.count / shape[0])
    each(shape) { output, bytes, step, _ in
      for d in sources.indices where sources[d] >= 0 {
        target[output * row + sources[d]] = source[bytes + d / 4 * step + d % 4]
      }
    }
  }

  /// - Parameter body: called for each place of an output: with the output, where its bytes begin and how far it is from four of them to
  ///   the next, and where its sum is.
  private func each(_ shape: Shape, _ body: (_ output: Int, _ bytes: Int, _ step: Int, _ sums: Int) -> Void) {
    let (outputs, depth) = (shape[0] / groups, depth(of: shape))
    var base = 0
    for group in 0..<groups {
      for first in starts(outputs) {
        let width = panelWidth(from: first, of: outputs)
        for place in 0..<width {
          let output = first + self.output(at: place, width: width)
          guard output < outputs else { continue }
          body(group * outputs + output, base + 4 * (width + place), 4 * width, base + 4 * place)
        }
        base += width * (4 + depth)
      }
    }
  }
}
