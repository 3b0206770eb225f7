import BenchModel
import BenchProtocol
import Pacer

extension ModelInput {
  /// What a configuration of a built-in model computes on.
  init(_ configuration: Configuration, in runtime: Runtime) throws {
    try self.init(
      runtime.model(configuration.model), shape: configuration[Axes.shape]?.only, weights: configuration[Axes.weights],
      picture: configuration[Axes.input])
  }
}
