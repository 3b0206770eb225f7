import ArgumentParser
import BenchModel
import BenchReport
import BenchRunner
import Foundation
import Pacer
import Synchronization

/// Everything that `bench-suite` offers, as a value: a package from outside adds to it and runs the same commands.
public struct Harness: Sendable {
  /// What graphs are made of, for commands that run them in this process.
  public var runtime: Runtime
  /// What experiments may name.
  public var catalog: Catalog
  public var reports: [any Report]
  /// Other engines, by name, besides the scripts under `Suites/peers`.
  public var engines: [String: WorkerCommand] = [:]
  /// The program that is measured; nil for `pacer-worker` beside this one.
  public var worker: WorkerCommand?

  public init(runtime: Runtime, catalog: Catalog? = nil, reports: [any Report] = standardReports) {
    (self.runtime, self.reports) = (runtime, reports)
    self.catalog = catalog ?? Catalog(runtime)
  }

  /// What comes with Pacer.
  public static let standard = Harness(runtime: .standard)

  private static let box = Mutex<Harness?>(nil)

  /// The harness whose commands run in this process.
  package static var current: Harness {
    get { box.withLock { $0 } ?? .standard }
    set { box.withLock { $0 = newValue } }
  }
}

extension Catalog {
  /// The names of what a runtime has.
  public init(_ runtime: Runtime) {
    self.init(
      models: runtime.models.map { model in
        Catalog.Model(
          name: model.name, aliases: model.aliases, inputShape: model.inputShape, isOptional: model.isOptional
        ) {
          (try? model.build(model.inputShape)).map(character)
        }
      },
      backends: runtime.backends.map { backend in
        Catalog.Backend(name: backend.name, computesOutputs: backend.computesOutputs) {
          switch backend.availability() {
          case .available(let device): "\(device.name), \(device.detail)"
          case .unavailable(let reason): "unavailable: \(reason)"
          }
        }
      },
      passes: runtime.passes.map {
        Catalog.Pass(name: $0.name, summary: $0.summary, off: $0.off, pytorchName: $0.pytorchName)
      },
      instructionSets: InstructionSet.allCases.map(\.rawValue),
      availableInstructionSets: InstructionSet.available.map(\.rawValue),
      processorName: InstructionSet.processorName)
    drivers = NNAPIBackend.shipped.keys.sorted() + Drivers.files.keys.sorted()
  }

  /// Everything that comes with Pacer.
  public static let standard = Catalog(.standard)
}

/// What a model consists of, in words.
private func character(of graph: Graph) -> String {
  let convolutions = graph.nodes.compactMap { node -> (depthwise: Bool, pointwise: Bool)? in
    guard let op = node.op as? Conv2D else { return nil }
    let weight = graph.inputTypes(of: node)[1].shape
    return (op.groups > 1, weight[2] == 1 && weight[3] == 1)
  }
  func count(_ name: String) -> Int { graph.nodes.count { $0.op.name == name } }
  let parts: [(Int, String)] = [
    (convolutions.count { $0.depthwise }, "depthwise convolutions"),
    (convolutions.count { $0.pointwise && !$0.depthwise }, "pointwise convolutions"),
    (convolutions.count { !$0.pointwise && !$0.depthwise }, "other convolutions"),
    (count("batch_norm"), "batch norms"), (count("activation"), "activations"), (count("add"), "additions"),
  ]
  return parts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
    + String(format: "; %.0f million MACs", Double(graph.macs) / 1e6)
}
