import CIntrinsics
import GraphCore

/// An op's epilogue as kernels take it.
struct KernelEpilogue: Sendable {
  private let epilogue: Epilogue
  private let limits: Limits?

  init(_ epilogue: Epilogue?) {
    self.epilogue = epilogue ?? .none
    let clamps = self.epilogue.channelLimits
    limits = clamps.isEmpty ? nil : Limits(clamps)
  }

  /// - Parameter channel: the first of those that the kernel knows of.
  func parameters(from channel: Int = 0) -> PacerEpilogue {
    var p = PacerEpilogue()
    (p.kind, p.minimum, p.maximum) = (epilogue.kind, -.infinity, .infinity)
    if case .clamp(let clamp) = epilogue { (p.minimum, p.maximum) = (clamp.min, clamp.max) }
    if let limits {
      (p.minima, p.maxima) = (UnsafePointer(limits.minima + channel), UnsafePointer(limits.maxima + channel))
    }
    return p
  }

  /// As part of a kernel's name: `clamp` for every kind of clamp.
  var name: String {
    switch epilogue {
    case .clamp, .clampChannels: "clamp"
    default: "\(epilogue)"
    }
  }

  /// By channel.
  ///
  /// `@unchecked Sendable`: never written after `init`.
  private final class Limits: @unchecked Sendable {
    let minima: UnsafeMutablePointer<Float>
    let maxima: UnsafeMutablePointer<Float>

    init(_ clamps: [Clamp]) {
      (minima, maxima) = (.allocate(capacity: clamps.count), .allocate(capacity: clamps.count))
      for (channel, clamp) in clamps.enumerated() { (minima[channel], maxima[channel]) = (clamp.min, clamp.max) }
    }

    deinit {
      minima.deallocate()
      maxima.deallocate()
    }
  }
}
