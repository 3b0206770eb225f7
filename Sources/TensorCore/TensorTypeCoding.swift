extension TensorType: Codable {
  private enum CodingKeys: String, CodingKey { case shape, dtype, format, quantization, isUpperBound }

  /// What is as usual may be missing: NCHW, no quantization, extents that are known.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      try container.decode(Shape.self, forKey: .shape), try container.decode(DType.self, forKey: .dtype),
      try container.decodeIfPresent(MemoryFormat.self, forKey: .format) ?? .nchw,
      quantization: try container.decodeIfPresent(Quantization.self, forKey: .quantization))
    isUpperBound = try container.decodeIfPresent(Bool.self, forKey: .isUpperBound) ?? false
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(shape, forKey: .shape)
    try container.encode(dtype, forKey: .dtype)
    if format != .nchw { try container.encode(format, forKey: .format) }
    try container.encodeIfPresent(quantization, forKey: .quantization)
    if isUpperBound { try container.encode(true, forKey: .isUpperBound) }
  }
}

/// A list of numbers: 0 for NCHW, 1 for NHWC; 2 with width, lanes, 1 where taps come first, groups and multiple of the depth for
/// panels; 3 with the width for Winograd's; 4 with kind, lanes, groups and 1 where weights are small for dots.
extension MemoryFormat: Codable {
  public init(from decoder: any Decoder) throws {
    let numbers = try [Int](from: decoder)
    switch (numbers.first, numbers.count) {
    case (0, 1): self = .nchw
    case (1, 1): self = .nhwc
    case (2, 6) where (0...1).contains(numbers[3]):
      self = .panels(
        PanelLayout(
          unchecked: numbers[1], numbers[2], numbers[3] == 1 ? .tapsThenChannels : .channelsThenTaps, numbers[4],
          numbers[5]))
    case (4, 5) where DotLayout.Kind(rawValue: numbers[1]) != nil && (0...1).contains(numbers[4]):
      self = .dots(
        DotLayout(
          DotLayout.Kind(rawValue: numbers[1])!, lanes: numbers[2], groups: numbers[3], isSmall: numbers[4] == 1))
    case (3, 2): self = .winograd(WinogradLayout(width: numbers[1]))
    default: throw ImpossibleType(description: "\(numbers) is no memory format")
    }
  }

  public func encode(to encoder: any Encoder) throws {
    let numbers =
      switch self {
      case .nchw: [0]
      case .nhwc: [1]
      case .panels(let layout):
        [
          2, layout.width, layout.lanes, layout.depth == .tapsThenChannels ? 1 : 0, layout.groups, layout.depthMultiple,
        ]
      case .winograd(let layout): [3, layout.width]
      case .dots(let layout): [4, layout.kind.rawValue, layout.lanes, layout.groups, layout.isSmall ? 1 : 0]
      }
    try numbers.encode(to: encoder)
  }
}
