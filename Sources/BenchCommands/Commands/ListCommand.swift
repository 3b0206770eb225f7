import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer

struct ListCommand: AsyncParsableCommand {
  enum Topic: String, ExpressibleByArgument, CaseIterable {
    case models, passes, presets, backends, drivers, kernels, axes, metrics, suites
  }

  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List models, passes, presets, backends, drivers, kernels, axes, metrics or suites.")

  @Argument(help: "What to list (default: everything).")
  var topic: Topic?

  func run() async throws {
    try await userFacing {
      for topic in topic.map({ [$0] }) ?? Topic.allCases {
        if self.topic == nil { StandardOutput.print("\(topic.rawValue):") }
        try list(topic)
        if self.topic == nil { StandardOutput.print("") }
      }
    }
  }

  private func list(_ topic: Topic) throws {
    switch topic {
    case .models:
      for model in Harness.current.runtime.models {
        let graph = try model.build(model.inputShape)
        StandardOutput.print("\(model.name)  input \(model.inputShape)  also: \(model.aliases.joined(separator: ", "))")
        StandardOutput.print(
          "  \(Format.count(Double(graph.parameterCount))) parameters, \(Format.count(Double(graph.macs))) MACs, "
            + "\(graph.parameters.count) state-dict keys, \(graph.nodes.count) nodes")
      }
    case .passes:
      for pass in catalog.passes {
        StandardOutput.print("\(pass.name): \(pass.summary)")
        StandardOutput.print("  off: \(pass.off)")
        if let name = pass.pytorchName { StandardOutput.print("  PyTorch Mobile: \(name)") }
      }
      for precision in Precision.allCases {
        guard let pass = precision.passes.last else { continue }
        StandardOutput.print("\(pass.name): \(pass.summary)")
        StandardOutput.print("  off: \(pass.off)")
        StandardOutput.print("  on with --precision \(precision), none of \"all\": it rounds")
      }
    case .presets:
      for preset in catalog.presets {
        StandardOutput.print("\(preset.name): \(preset.summary)")
        StandardOutput.print(
          "  \(preset.kernels) kernels, allocator \(preset.allocator)\(!preset.inPlace ? ", not in place" : "")"
        )
        StandardOutput.print("  passes: \(preset.passes.isEmpty ? "none" : preset.passes.joined(separator: " "))")
      }
    case .backends:
      for backend in Harness.current.runtime.backends {
        switch backend.availability() {
        case .available(let device):
          let all = backend.devices()
          if all.count < 2 { StandardOutput.print("\(backend.name): \(device.name), \(device.detail)") }
          for (index, device) in all.enumerated() where all.count > 1 {
            StandardOutput.print("\(backend.name) --device \(index): \(device.name), \(device.detail)")
          }
        case .unavailable(let reason): StandardOutput.print("\(backend.name): unavailable: \(reason)")
        }
      }
      StandardOutput.print("instruction sets: \(catalog.availableInstructionSets.joined(separator: ", "))")
    case .drivers:
      for driver in DriverProfile.shipped {
        StandardOutput.print("\(driver.name) (\(driver.kind.rawValue)): \(driver.summary)")
      }
      for (name, path) in Drivers.files.sorted(by: { $0.key < $1.key }) {
        // One that is wrong hides none of the others.
        do {
          let driver = try DriverFile.read(path)
          StandardOutput.print(
            "\(name) (\(driver.kind.rawValue), version \(driver.version), profile): \(driver.summary)")
        } catch { StandardOutput.print("\(name): \(error)") }
      }
    case .kernels:
      for model in Harness.current.runtime.models {
        var graph = try model.build(model.inputShape)
        try SeededWeights.fill(&graph)
        for (title, passes) in [("all passes", Harness.current.runtime.passes), ("no passes", [])] {
          let options = PrepareOptions()
          let backend = CPUBackend()
          let optimised = try Pipeline(passes, checksNumbers: false).run(on: graph, for: backend.target(options)).graph
          var counts: [String: Int] = [:]
          for node in optimised.nodes {
            switch backend.support(for: node, in: optimised, options) {
            case .kernel(let name): counts[name, default: 0] += 1
            case .unsupported(let reason): counts["none: \(reason)", default: 0] += 1
            }
          }
          StandardOutput.print("\(model.name), \(title)")
          for (name, count) in counts.sorted(by: { $0.key < $1.key }) { StandardOutput.print("  \(count) × \(name)") }
        }
      }
    case .axes:
      for axis in catalog.axes.axes {
        let names = axis.values.names(catalog).map { ": \($0.joined(separator: ", "))" } ?? ""
        StandardOutput.print("\(axis.key)\(names)\n  \(axis.summary)")
      }
    case .metrics:
      for metric in catalog.metrics {
        StandardOutput.print("\(metric.name) (\(metric.kind.rawValue), \(metric.unit.name)): \(metric.summary)")
      }
    case .suites:
      for name in Set(suitesFolders.flatMap(Suite.names)).sorted() {
        if let gate = try? GateSuite.load(name, in: suitesFolders, catalog) {
          StandardOutput.print("\(name): \(gate.summary) (for bench-suite gate)")
          continue
        }
        // One that is wrong hides none of the others.
        do {
          let suite = try Suite.load(name, in: suitesFolders, catalog)
          StandardOutput.print(
            "\(name): \(suite.summary) (\(Format.number(try suite.plan(catalog).count, "configuration")))")
        } catch { StandardOutput.print("\(name): \(error)") }
      }
    }
  }
}
