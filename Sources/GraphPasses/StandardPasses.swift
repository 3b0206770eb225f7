import GraphCore

/// Every pass of Pacer that keeps the numbers as they are but for the order of additions and, of files that hold integers, for what is
/// rounded to the next one, in the order in which they run.
public let standardPasses: [any Pass] = [
  FoldBatchNorm(), RecogniseQuantised(), Freeze(), RemoveDropout(), FuseActivation(), FuseAddReLU(), SplitTransposed(),
  ChannelsLast(), FuseResidual(), Winograd(), FuseDepthwise(), PrepackWeights(),
]

extension Array where Element == any Pass {
  /// The same with others before the first that knows a target: what they write into the graph is there for those.
  public func adding(portable others: [any Pass]) -> [any Pass] {
    let place = firstIndex(where: \.isForTarget) ?? count
    return Array(self[..<place]) + others + self[place...]
  }
}
