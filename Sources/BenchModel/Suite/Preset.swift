import BenchProtocol
import RuntimeCore
import TensorCore

/// A set of options under one name: how a release of PyTorch Mobile ran a network, with this program's kernels of that
/// kind, or how Pacer does today.
public struct Preset: Sendable {
  public var name: String
  public var summary: String
  public var passes: [String]
  public var kernels: KernelFamily
  public var allocator: AllocatorKind
  public var inPlace: Bool

  func apply(to configuration: inout Configuration) {
    configuration[Axes.passes] = passes
    configuration[Axes.kernels] = kernels
    configuration[Axes.allocator] = allocator
    configuration[Axes.inPlace] = inPlace
  }
}

extension Catalog {
  /// From the oldest to today's. What each release had: its release notes and its recipe for performance.
  public var presets: [Preset] {
    let all = passes.map(\.name)
    func only(_ names: String...) -> [String] { all.filter(names.contains) }
    return [
      Preset(
        name: "naive-1.3",
        summary: "October 2019: the network as trained, im2col and a matrix product, each tensor from the system",
        passes: [], kernels: .im2col, allocator: .mapped, inPlace: false),
      Preset(
        name: "prepack-1.5",
        summary: "April 2020: optimize_for_mobile folds, freezes, prepacks and clamps in the convolution",
        passes: only(
          "fold-batch-norm", "freeze", "remove-dropout", "fuse-activation", "prepack-weights"),
        kernels: .fast, allocator: .mapped, inPlace: false),
      Preset(
        name: "full-1.7",
        summary: "October 2020: additions clamp too, images stay channels last, tensors come from a cache",
        passes: only(
          "fold-batch-norm", "freeze", "remove-dropout", "fuse-activation", "fuse-add-relu", "channels-last",
          "prepack-weights"), kernels: .fast, allocator: .caching, inPlace: false),
      Preset(
        name: "latest", summary: "Pacer today: every pass, memory planned ahead, outputs in the place of inputs",
        passes: all, kernels: .fast, allocator: .arena, inPlace: true),
    ]
  }

  public func preset(_ name: String) throws -> Preset {
    if let preset = presets.first(where: { $0.name == name }) { return preset }
    throw UnknownName(kind: "preset", name: name, known: presets.map(\.name))
  }
}
