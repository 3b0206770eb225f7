extension Tensor {
  /// A copy in another memory format, or the tensor itself if it has that format already.
  public func converted(to format: MemoryFormat, allocator: any Allocator = SystemAllocator.shared) throws -> Tensor {
    if format == type.format { return self }
    var wanted = type
    wanted.format = format
    if let fault = wanted.fault ?? type.fault { throw ImpossibleType(description: "\(wanted): \(fault)") }
    let result = try Tensor(uninitialized: wanted, allocator: allocator)
    FormatConversion.convert(from: type, storage.pointer, to: format, result.storage.pointer)
    withExtendedLifetime(self) {}
    return result
  }
}

/// A tensor cannot be of a type.
public struct ImpossibleType: Error, CustomStringConvertible {
  public let description: String
}

/// Rearranging elements between memory formats. Through NCHW where neither side is NCHW.
package enum FormatConversion {
  /// Elements of any type.
  package static func convert(
    from type: TensorType, _ source: UnsafeMutableRawPointer, to format: MemoryFormat, _ target: UnsafeMutableRawPointer
  ) {
    if convertDots(from: type, source, to: format, target) { return }
    func convert<Element: AdditiveArithmetic>(_ kind: Element.Type) {
      move(
        from: type, UnsafePointer(source.assumingMemoryBound(to: kind)), to: format,
        target.assumingMemoryBound(to: kind))
    }
    switch type.dtype.byteCount {
    case 1: convert(UInt8.self)
    case 2: convert(UInt16.self)
    case 4:
      Self.convert(
        from: type, UnsafePointer(source.assumingMemoryBound(to: Float.self)), to: format,
        target.assumingMemoryBound(to: Float.self))
    default: convert(UInt64.self)
    }
  }

  /// - Returns: whether bytes are arranged for dot products on one side, and not on the other.
  private static func convertDots(
    from type: TensorType, _ source: UnsafeMutableRawPointer, to format: MemoryFormat, _ target: UnsafeMutableRawPointer
  ) -> Bool {
    guard type.format != format else { return false }
    let (bytes, result) = (source.assumingMemoryBound(to: Int8.self), target.assumingMemoryBound(to: Int8.self))
    if type.format == .nchw, case .dots(let layout) = format {
      layout.pack(type.shape, bytes, result)
      return true
    }
    guard case .dots(let layout) = type.format else { return false }
    if format == .nchw {
      layout.unpack(type.shape, bytes, result)
    } else {
      let plain = TensorType(type.shape, type.dtype)
      let dense = UnsafeMutablePointer<Int8>.allocate(capacity: type.shape.count)
      defer { dense.deallocate() }
      layout.unpack(type.shape, bytes, dense)
      convert(from: plain, UnsafeMutableRawPointer(dense), to: format, target)
    }
    return true
  }

  /// Elements of float32, which alone are transformed for Winograd's algorithm.
  package static func convert(
    from type: TensorType, _ source: UnsafePointer<Float>, to format: MemoryFormat,
    _ target: UnsafeMutablePointer<Float>
  ) {
    switch (type.format, format) {
    case (.nchw, .winograd(let layout)): layout.transform(type.shape, source, target)
    case (.winograd(let layout), .nchw): layout.restore(type.shape, source, target)
    case (.winograd, _) where type.format != format, (_, .winograd) where type.format != format:
      let dense = UnsafeMutablePointer<Float>.allocate(capacity: type.shape.count)
      defer { dense.deallocate() }
      convert(from: type, source, to: .nchw, dense)
      convert(from: TensorType(type.shape), dense, to: format, target)
    default: move(from: type, source, to: format, target)
    }
  }

  /// What changes places and nothing else.
  private static func move<Element: AdditiveArithmetic>(
    from type: TensorType, _ source: UnsafePointer<Element>, to format: MemoryFormat,
    _ target: UnsafeMutablePointer<Element>
  ) {
    switch (type.format, format) {
    case (.nchw, .nhwc): transpose(type.shape, channelsLast: true, source, target)
    case (.nhwc, .nchw): transpose(type.shape, channelsLast: false, source, target)
    case (.nchw, .panels(let layout)): pack(type.shape, layout, source, target)
    case (.panels(let layout), .nchw): unpack(type.shape, layout, source, target)
    case (let from, let to) where from == to: target.update(from: source, count: type.byteCount / type.dtype.byteCount)
    default:
      let dense = UnsafeMutablePointer<Element>.allocate(capacity: type.shape.count)
      defer { dense.deallocate() }
      move(from: type, source, to: .nchw, dense)
      move(from: TensorType(type.shape, type.dtype), dense, to: format, target)
    }
  }

  private static func transpose<Element: AdditiveArithmetic>(
    _ shape: Shape, channelsLast: Bool, _ source: UnsafePointer<Element>, _ target: UnsafeMutablePointer<Element>
  ) {
    precondition(shape.rank == 4, "nhwc needs rank 4, not \(shape)")
    let channels = shape[1]
    let pixels = shape[2] * shape[3]
    for image in 0..<shape[0] {
      let from = source + image * channels * pixels
      let to = target + image * channels * pixels
      for channel in 0..<channels {
        if channelsLast {
          for pixel in 0..<pixels { to[pixel * channels + channel] = from[channel * pixels + pixel] }
        } else {
          for pixel in 0..<pixels { to[channel * pixels + pixel] = from[pixel * channels + channel] }
        }
      }
    }
  }

  private static func unpack<Element: AdditiveArithmetic>(
    _ shape: Shape, _ layout: PanelLayout, _ source: UnsafePointer<Element>, _ target: UnsafeMutablePointer<Element>
  ) {
    let outputs = shape[0]
    let channels = shape.rank > 1 ? shape[1] : 1
    let depth = shape.count / outputs
    let taps = depth / channels
    let perGroup = outputs / layout.groups
    let (padded, paddedOutputs) = (layout.paddedChannels(channels), layout.paddedOutputs(perGroup))
    for group in 0..<layout.groups {
      for output in 0..<perGroup {
        let lane = output % layout.width
        let width = min(layout.width, paddedOutputs - (output - lane))
        let base = (group * paddedOutputs + output - lane) * padded * taps + lane
        let row = (group * perGroup + output) * depth
        for channel in 0..<channels {
          for tap in 0..<taps {
            let step = layout.depth == .channelsThenTaps ? channel * taps + tap : tap * padded + channel
            target[row + channel * taps + tap] = source[base + step * width]
          }
        }
      }
    }
  }

  /// Writes in order; each source line serves many depth steps while it is in cache.
  private static func pack<Element: AdditiveArithmetic>(
    _ shape: Shape, _ layout: PanelLayout, _ source: UnsafePointer<Element>, _ target: UnsafeMutablePointer<Element>
  ) {
    let outputs = shape[0]
    let channels = shape.rank > 1 ? shape[1] : 1
    let depth = shape.count / outputs
    let taps = depth / channels
    let perGroup = outputs / layout.groups
    let padded = layout.paddedChannels(channels)
    var next = target
    for group in 0..<layout.groups {
      for first in stride(from: 0, to: perGroup, by: layout.width) {
        let count = min(layout.width, perGroup - first)
        let width = layout.paddedOutputs(count)
        let rows = source + (group * perGroup + first) * depth
        func write(_ offset: Int) {
          for lane in 0..<count { next[lane] = rows[lane * depth + offset] }
          next += count
          guard count < width else { return }
          next.update(repeating: .zero, count: width - count)
          next += width - count
        }
        func writeZeros(_ steps: Int) {
          next.update(repeating: .zero, count: steps * width)
          next += steps * width
        }
        if layout.depth == .channelsThenTaps {
          for offset in 0..<depth { write(offset) }
          writeZeros((padded - channels) * taps)
        } else {
          for tap in 0..<taps {
            for offset in stride(from: tap, to: depth, by: taps) { write(offset) }
            writeZeros(padded - channels)
          }
        }
      }
    }
  }
}
