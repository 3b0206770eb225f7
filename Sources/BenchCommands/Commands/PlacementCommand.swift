import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchWorker
import Foundation
import Pacer

struct PlacementCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "placement", abstract: "Say on which backend and kernel each node runs, and why not elsewhere.",
    discussion: """
      bench-suite placement mobilenet-v2
      bench-suite placement resnet-18 --backend vulkan --passes all
      bench-suite placement mobilenet-v2 --plan
      bench-suite placement mobilenet-v2 --isa neon --allocator arena --plan

      Nodes that the backend has no kernel for run on the CPU; what crosses the border is copied. Nothing is timed.
      The instruction set need not be this machine's.
      """)

  @Argument(help: "Model.")
  var model: String
  @OptionGroup var axes: AxisOptions
  @Flag(help: "Print the plan instead: slots of memory, steps and segments.")
  var plan = false
  @Flag(help: "Print JSON instead of Markdown.")
  var json = false

  func run() async throws {
    try await userFacing {
      let configurations = try axes.group(models: model).configurations(catalog)
      guard configurations.allSatisfy({ $0[Axes.engine] == "pacer" }) else {
        throw UserError("placement is about Pacer's own backends: other engines do not tell theirs")
      }
      guard configurations.count == 1 else {
        throw UserError("placement takes one configuration, not \(configurations.count)")
      }
      let runtime = Harness.current.runtime
      let settings = try Settings(configurations[0], in: runtime)
      let backend = settings.backend
      // Of a processor's instructions it matters to the plan which they are, not whether they are here.
      let isElsewhere = (backend as? CPUBackend).map { !InstructionSet.available.contains($0.instructionSet) } ?? false
      if !isElsewhere, case .unavailable(let reason) = backend.availability(settings.options) {
        throw UserError("backend \(backend.name) is unavailable: \(reason)")
      }
      let input = try ModelWork(configurations[0], in: runtime, for: settings)
      let placer = try Placer(backend, fallback: settings.fallback, settings.options)
      let passes = try input.remaining ?? runtime.passes(settings)
      let graph = try Pipeline(passes, checksNumbers: false).run(on: input.graph, for: placer).graph
      let table = PlacementTable(configurations[0], try placer.plan(graph))
      let text = json ? try JSONEncoder.text(table) : plan ? table.plan : table.report.markdown
      StandardOutput.print(text, terminator: "")
    }
  }
}
