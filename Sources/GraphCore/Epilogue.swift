#if canImport(Glibc)
  import Glibc
#else
  import Foundation
#endif

/// Limits applied to an output: `relu` is 0…∞, `relu6` 0…6.
public struct Clamp: Hashable, Sendable, Codable, CustomStringConvertible {
  public var min: Float
  public var max: Float

  public init(min: Float, max: Float) {
    self.min = min
    self.max = max
  }

  public static let relu = Clamp(min: 0, max: .infinity)
  public static let relu6 = Clamp(min: 0, max: 6)
  public static let none = Clamp(min: -.infinity, max: .infinity)

  @inline(__always) public func callAsFunction(_ value: Float) -> Float { Swift.min(Swift.max(value, min), max) }

  public var description: String {
    switch self {
    case .relu: "relu"
    case .relu6: "relu6"
    case .none: "none"
    default: "clamp(\(min),\(max))"
    }
  }
}

/// What is done to each number before it is stored: an activation, alone or fused into the op that computes the number.
///
/// To add one: a case here, one in `CIntrinsics.h` and `KernelSources/Epilogue.swift`, one in `epilogue.glsl`, and its nodes in the
/// ONNX writer.
public enum Epilogue: Hashable, Sendable, Codable, CustomStringConvertible {
  case clamp(Clamp)
  /// A clamp for each channel.
  case clampChannels([Clamp])
  /// `x · relu6(x + 3) / 6`, as PyTorch's `hardswish`.
  case hardSwish
  /// `relu6(x + 3) / 6`, as PyTorch's `hardsigmoid`.
  case hardSigmoid
  /// `1 / (1 + exp(−x))`.
  case sigmoid
  /// `x / (1 + exp(−x))`, as PyTorch's `silu`; also called swish.
  case silu

  /// The clamps that have names.
  public static let relu = Epilogue.clamp(.relu)
  public static let relu6 = Epilogue.clamp(.relu6)
  public static let none = Epilogue.clamp(.none)

  /// As kernels and shaders count them.
  package var kind: Int {
    switch self {
    case .clamp: 0
    case .clampChannels: 1
    case .hardSwish: 2
    case .hardSigmoid: 3
    case .sigmoid: 4
    case .silu: 5
    }
  }
  /// Those that have nothing to choose but themselves.
  package static let plain: [Epilogue] = [.hardSwish, .hardSigmoid, .sigmoid, .silu]

  /// Limits by channel, if it has such.
  package var channelLimits: [Clamp] { if case .clampChannels(let clamps) = self { clamps } else { [] } }

  public var description: String {
    switch self {
    case .clamp(let clamp): "\(clamp)"
    case .clampChannels(let clamps): "clamp-channels(" + clamps.map(Self.limits).joined(separator: ",") + ")"
    case .hardSwish: "hard-swish"
    case .hardSigmoid: "hard-sigmoid"
    case .sigmoid: "sigmoid"
    case .silu: "silu"
    }
  }

  private static func limits(_ clamp: Clamp) -> String { "\(clamp.min)…\(clamp.max)" }

  /// The function for numbers of one channel, to be looked up once for many of them.
  public func function(channel: Int) -> @Sendable (Float) -> Float {
    switch self {
    case .clamp(let clamp): { clamp($0) }
    case .clampChannels(let clamps): { [clamp = clamps[channel]] in clamp($0) }
    case .hardSwish: { $0 * Clamp.relu6($0 + 3) / 6 }
    case .hardSigmoid: { Clamp.relu6($0 + 3) / 6 }
    case .sigmoid: { 1 / (1 + exp(-$0)) }
    case .silu: { $0 / (1 + exp(-$0)) }
    }
  }

  /// - Throws: ``GraphError`` where it has limits for another number of channels.
  func check(channels: Int, _ name: String) throws {
    if case .clampChannels(let clamps) = self {
      try expect(clamps.count == channels, "\(name): \(clamps.count) clamps for \(channels) channels")
    }
  }
}

/// An op that can finish what it computes with an activation; channels lie along the second axis.
public protocol FusingOp: Op {
  /// Set by fusion; applied to the sum.
  var epilogue: Epilogue? { get set }
}

extension FusingOp {
  var epilogueAttribute: [(String, String)] { epilogue.map { [("activation", "\($0)")] } ?? [] }
}
