import GraphCore

/// Every pass of Pacer, in the order in which they run.
public let standardPasses: [any Pass] = [
  FoldBatchNorm(), Freeze(), RemoveDropout(), FuseActivation(), FuseAddReLU(), ChannelsLast(), FuseResidual(),
  Winograd(), FuseDepthwise(), PrepackWeights(),
]
