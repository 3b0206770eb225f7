import TensorCore

/// One rewriting of a graph that keeps its function.
public protocol Pass: Sendable {
  /// Suite key and report column: `fold-batch-norm`.
  var name: String { get }
  /// What it does, in a phrase.
  var summary: String { get }
  /// What a straightforward runtime does without it.
  var off: String { get }
  /// PyTorch Mobile's name for it, where it has one.
  var pytorchName: String? { get }
  /// Whether it has to know where each node runs, to ask what that backend wants or to leave nodes where they are. The others
  /// know no target, and run before.
  var isForTarget: Bool { get }
  /// Largest difference of an output, over the largest output, that it may cause.
  var tolerance: Double { get }
  /// - Returns: rewrites made; 0 means that there was nothing to do.
  func run(on graph: inout Graph, in context: PassContext) throws -> Int
}

extension Pass {
  public var pytorchName: String? { nil }
  public var isForTarget: Bool { false }
  public var tolerance: Double { Pipeline.tolerance }
}

/// What a pass may look at besides the graph.
public struct PassContext: Sendable {
  /// What the devices and kernels want, node by node.
  public var target: any TargetTraits
  /// Inputs like those that the graph will meet, each with a tensor for every input: for passes that have to know what values
  /// become.
  public var samples: [[Tensor]]

  public init(target: any TargetTraits, samples: [[Tensor]] = []) { (self.target, self.samples) = (target, samples) }
}

/// What passes may ask of the device and kernels a graph is optimised for.
public protocol TargetTraits: Sendable {
  /// Chooses a backend for each node, before the first pass that asks for what a target wants.
  func place(_ graph: inout Graph)
  /// The traits of the backend a node is placed on: the ones to ask about it.
  func traits(for node: Node) -> any TargetTraits
  /// The formats the target's kernel wants a node's weights in, by input; those that are not named it takes as they are.
  func weightFormats(for node: Node, in graph: Graph) -> [Int: MemoryFormat]
  /// Whether a kernel adds a residual to the sums of this convolution.
  func addsResidual(in node: Node, of graph: Graph) -> Bool
  /// Whether Winograd's algorithm is expected to pay for this convolution.
  func prefersWinograd(for node: Node, in graph: Graph) -> Bool
  /// Whether a kernel runs these convolutions row by row, and that is expected to pay.
  /// - Parameter types: of the block's inputs.
  func fusesDepthwise(_ block: DepthwiseBlock, of types: [TensorType]) -> Bool
}

extension TargetTraits {
  public func place(_ graph: inout Graph) {}
  public func traits(for node: Node) -> any TargetTraits { self }
  public func weightFormats(for node: Node, in graph: Graph) -> [Int: MemoryFormat] { [:] }
  public func addsResidual(in node: Node, of graph: Graph) -> Bool { false }
  public func prefersWinograd(for node: Node, in graph: Graph) -> Bool { false }
  public func fusesDepthwise(_ block: DepthwiseBlock, of types: [TensorType]) -> Bool { false }
}
