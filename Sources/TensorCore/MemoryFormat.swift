/// How the elements of a tensor lie in memory. The shape is the same in every format.
public enum MemoryFormat: Hashable, Sendable, CustomStringConvertible {
  /// Last extent fastest: NCHW for images, OIHW for convolution weights.
  case nchw
  /// Channels fastest: NHWC. Only for rank 4.
  case nhwc
  /// A weight rearranged for a matrix kernel; see ``PanelLayout``.
  case panels(PanelLayout)
  /// A 3×3 weight transformed for Winograd's F(4×4, 3×3); see ``WinogradLayout``.
  case winograd(WinogradLayout)
  /// A weight of bytes rearranged for kernels that add up four products at a time; see ``DotLayout``.
  case dots(DotLayout)

  public var description: String {
    switch self {
    case .nchw: "nchw"
    case .nhwc: "nhwc"
    case .panels(let layout): layout.description
    case .winograd(let layout): layout.description
    case .dots(let layout): layout.description
    }
  }
}

/// A weight seen as a matrix of `outputs × depth`, cut into panels of `width` outputs; within a panel the
/// `width` values of one depth step are adjacent: `[group][panel][depth][width]`. A group's last panel is narrower if that
/// is enough for what remains. Outputs are padded with zeros.
public struct PanelLayout: Hashable, Sendable, CustomStringConvertible {
  /// Order of the depth axis of a convolution weight.
  public enum Depth: String, Sendable { case channelsThenTaps, tapsThenChannels }

  public var width: Int
  /// A panel's width is a multiple of this, and `width` is.
  public var lanes: Int
  public var depth: Depth
  public var groups: Int
  /// Input channels are padded with zeros to a multiple of this.
  public var depthMultiple: Int

  /// - Parameter lanes: divides `width`; nil for `width`.
  public init(width: Int, lanes: Int? = nil, depth: Depth, groups: Int = 1, depthMultiple: Int = 1) {
    self.init(unchecked: width, lanes ?? width, depth, groups, depthMultiple)
    precondition(width % self.lanes == 0, "a panel of \(width) is no multiple of \(self.lanes) lanes")
  }

  /// Of numbers from outside: ``TensorType/fault`` says whether they are panels.
  init(unchecked width: Int, _ lanes: Int, _ depth: Depth, _ groups: Int, _ depthMultiple: Int) {
    (self.width, self.lanes, self.depth, self.groups, self.depthMultiple) = (width, lanes, depth, groups, depthMultiple)
  }

  public var description: String {
    "panels\(width)" + (lanes != width ? "/\(lanes)" : "") + "\(depth == .tapsThenChannels ? "t" : "c")"
      + (groups > 1 ? "g\(groups)" : "")
      + (depthMultiple > 1 ? "p\(depthMultiple)" : "")
  }

  /// Of more outputs, or of more lanes, no kernel wants a panel.
  static let widest = 1 << 24

  /// What is wrong with panels of a weight of this shape, whose elements can be counted; nil where a kernel may read them.
  func fault(for shape: Shape) -> String? {
    let isSound = [width, lanes, depthMultiple].allSatisfy((1...Self.widest).contains) && width % lanes == 0
    guard isSound, groups >= 1 else {
      return "\(width) outputs in \(lanes) lanes, \(groups) groups and channels by \(depthMultiple) are no panels"
    }
    guard shape.rank > 0, shape.count > 0, shape[0] % groups == 0 else {
      return "\(shape) has no outputs that \(groups) groups divide"
    }
    let channels = shape.rank > 1 ? shape[1] : 1
    let sizes = [groups, paddedOutputs(shape[0] / groups), shape.count / shape[0] / channels, paddedChannels(channels)]
    return Shape(sizes).elementCount == nil ? "\(self) of \(shape) are more than memory can hold" : nil
  }

  /// Elements stored for a weight of this shape, padding included.
  public func elementCount(for shape: Shape) -> Int {
    let channels = shape.rank > 1 ? shape[1] : 1
    let taps = shape.count / max(shape[0] * channels, 1)
    return groups * paddedOutputs(shape[0] / groups) * taps * paddedChannels(channels)
  }

  package func paddedOutputs(_ outputs: Int) -> Int { (outputs + lanes - 1) / lanes * lanes }

  package func paddedChannels(_ channels: Int) -> Int { (channels + depthMultiple - 1) / depthMultiple * depthMultiple }
}
