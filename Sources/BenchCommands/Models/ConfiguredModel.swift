import BenchModel
import BenchProtocol
import BenchRunner
import BenchWorker
import Pacer

extension ModelWork {
  /// What a configuration computes on, in this process: of a model file what workers are given.
  init(_ configuration: Configuration, in runtime: Runtime, for settings: Settings) throws {
    let isFile = configuration.modelReference.path != nil
    try self.init(
      configuration, files: isFile ? WorkFiles.write(configuration, to: referenceFolder) : [:], runtime, for: settings)
  }
}
