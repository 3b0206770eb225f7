/// A weight of bytes as kernels that add up four products at a time read it: the matrix of `outputs × depth` is cut into panels, and
/// before each panel stand the sums of its outputs' weights, which take what the inputs' zero point adds.
///
/// Of matrices, `[group][panel][sums: int32 × width][depth / 4][width][4]`, where `depth` goes through the taps and in each through
/// the channels (of images of a few channels, filled up to fours: ``channels(of:)``), and a panel has two vectors of outputs, or one where that is enough. Of depthwise filters,
/// `[block][sums: int32 × width][kx][ky / 4][width][4]`, where a block has four vectors of channels. What is missing is zeros. Within
/// a panel, outputs stand in the order in which sums come out of instructions that work on 16 bytes each: ``output(at:width:)``.
public struct DotLayout: Hashable, Sendable, CustomStringConvertible {
  public enum Kind: Int, Sendable { case matrix, depthwise }

  public var kind: Kind
  /// 32-bit lanes of a vector.
  public var lanes: Int
  public var groups: Int

  public init(_ kind: Kind, lanes: Int, groups: Int = 1) {
    (self.kind, self.lanes, self.groups) = (kind, lanes, groups)
  }

  public var description: String {
    "dots\(lanes)" + (kind == .depthwise ? "d" : "") + (groups > 1 ? "g\(groups)" : "")
  }

  /// Of one panel or block.
  package var width: Int { lanes * (kind == .matrix ? 2 : 4) }

  func fault(for shape: Shape, _ dtype: DType) -> String? {
    guard dtype == .int8 else { return "\(self) is of int8, not \(dtype.rawValue)" }
    guard [4, 8, 16].contains(lanes), groups >= 1, shape.count > 0, shape[0] % groups == 0 else {
      return "\(shape) has no \(self)"
    }
    switch kind {
    case .matrix: guard shape.rank >= 2 else { return "\(shape) has no \(self)" }
    case .depthwise: guard shape.rank == 4, shape[1] == 1, groups == 1 else { return "\(shape) has no \(self)" }
    }
    return shape.count <= 1 << 40 ? nil : "\(self) of \(shape) are more than memory can hold"
  }

  /// Bytes of products of one output, zeros included.
  package func depth(of shape: Shape) -> Int {
    switch kind {
    case .matrix: (shape.count / shape[0] / shape[1] * channels(of: shape) + 3) / 4 * 4
    case .depthwise: shape[3] * ((shape[2] + 3) / 4) * 4
    }
  }

  /// Bytes of a tap of a matrix. A few channels are filled up, as images are before a window goes over them.
  package func channels(of shape: Shape) -> Int {
    groups == 1 && shape[1] < 8 && shape.count > shape[0] * shape[1] ? (shape[1] + 3) / 4 * 4 : shape[1]
  }

  /// Outputs of the panel that begins with output `first` of so many.
  package func panelWidth(from first: Int, of outputs: Int) -> Int {
    kind == .matrix && outputs - first <= lanes ? lanes : width
  }

  /// Where the panels of `outputs` begin. Blocks lie inside the channels as long as there are enough: the last one may share some with
  /// the one before.
  package func starts(_ outputs: Int) -> [Int] {
    stride(from: 0, to: outputs, by: width).map { kind == .matrix ? $0 : min($0, max(outputs - width, 0)) }
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
    let last = rest == 0 ? 0 : kind == .matrix && rest <= lanes ? lanes : width
    return groups * (outputs - rest + last) * (4 + depth(of: shape))
  }

  /// Where the `d`-th byte of an output's products comes from in its row of the weight; nil for zeros.
  private func source(_ d: Int, _ shape: Shape) -> Int? {
    switch kind {
    case .matrix:
      let (channels, taps) = (channels(of: shape), shape.count / shape[0] / shape[1])
      return d < channels * taps && d % channels < shape[1] ? d % channels * taps + d / channels : nil
    case .depthwise:
      let rows = (shape[2] + 3) / 4 * 4
      return d % rows < shape[2] ? d % rows * shape[3] + d / rows : nil
    }
  }

  /// From OIHW, or a matrix.
  func pack(_ shape: Shape, _ source: UnsafePointer<Int8>, _ target: UnsafeMutablePointer<Int8>) {
    each(shape) { output, places, sums in
      let row = source + output * (shape.count / shape[0])
      var sum: Int32 = 0
      for (place, from) in places {
        let value = from.map { row[$0] } ?? 0
        target[place] = value
        sum += Int32(value)
      }
      UnsafeMutableRawPointer(target + sums).storeBytes(of: sum, as: Int32.self)
    } zeros: { place, count in
      (target + place).update(repeating: 0, count: count)
    }
  }

  func unpack(_ shape: Shape, _ source: UnsafePointer<Int8>, _ target: UnsafeMutablePointer<Int8>) {
    each(shape) { output, places, _ in
      let row = target + output * (shape.count / shape[0])
      for (place, to) in places { if let to { row[to] = source[place] } }
    } zeros: { _, _ in
    }
  }

  /// - Parameters:
  ///   - body: called with each output, its bytes with their places in the row, and the place of its sum.
  ///   - zeros: called with what belongs to no output.
  private func each(
    _ shape: Shape, _ body: (_ output: Int, _ places: [(Int, Int?)], _ sums: Int) -> Void, zeros: (Int, Int) -> Void
  ) {
    let (outputs, depth) = (shape[0] / groups, depth(of: shape))
    let sources = (0..<depth).map { self.source($0, shape) }
    var base = 0
    for group in 0..<groups {
      for first in starts(outputs) {
        let width = panelWidth(from: first, of: outputs)
        for place in 0..<width {
          let output = first + self.output(at: place, width: width)
          let bytes = base + 4 * width + 4 * place
          if output < outputs {
            let places = sources.enumerated().map { (bytes + $0 / 4 * width * 4 + $0 % 4, $1) }
            body(group * outputs + output, places, base + 4 * place)
          } else {
            zeros(base + 4 * place, 4)
            for d in 0..<depth / 4 { zeros(bytes + d * width * 4, 4) }
          }
        }
        base += width * (4 + depth)
      }
    }
  }
}
