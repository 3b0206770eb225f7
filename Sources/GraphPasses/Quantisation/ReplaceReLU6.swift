import GraphCore

/// Lets ReLU6 grow without a limit, as torchvision's quantised MobileNetV2 does: then a channel can be scaled without its limit, and an
/// addition's range is that of its data. It changes what a network computes, as far as its activations reach 6.
public struct ReplaceReLU6: Pass {
  public let name = "relu6-to-relu"
  public let summary = "replace ReLU6 by ReLU, whose upper limit is the range that integers cover"
  public let off = "ReLU6 stays, and with it a limit of 6 for each channel"
  /// What activations above 6 make of the outputs is the network's own affair: the report shows it.
  public let tolerance = Double.infinity

  public init() {}

  public func run(on graph: inout Graph, in context: PassContext) throws -> Int {
    try graph.rewrite { graph in
      var count = 0
      for handle in graph.handles {
        if var op = graph[handle]!.op as? any FusingOp, op.epilogue == .relu6 {
          op.epilogue = .relu
          graph.update(handle) { $0.op = op }
          count += 1
        } else if let op = graph[handle]!.op as? Activation, op.function == .relu6 {
          graph.update(handle) { $0.op = Activation(.relu) }
          count += 1
        }
      }
      return count
    }
  }
}
