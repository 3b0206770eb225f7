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
      bench-suite placement mobilenet-v3-small --backend nnapi --driver float-npu --partition measured

      Nodes that the backend has no kernel for run on the CPU; what crosses the border is copied. Nothing is timed
      unless the partition is a measured one. The instruction set need not be this machine's.
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
      var settings = try Settings(configurations[0], in: runtime)
      settings.divide(by: nil)
      // Of a processor's instructions it matters to the plan which they are, not whether they are here.
      let isElsewhere =
        (settings.backend as? CPUBackend).map { !InstructionSet.available.contains($0.instructionSet) } ?? false
      if !isElsewhere, case .unavailable(let reason) = settings.backend.availability(settings.options) {
        throw UserError("backend \(settings.backend.name) is unavailable: \(reason)")
      }
      let input = try ModelWork(configurations[0], in: runtime, for: settings)
      let passes = try input.remaining ?? runtime.passes(settings)
      func planned(on backend: any Backend) throws -> PlannedGraph {
        let placer = try Placer(backend, fallback: settings.fallback, settings.options)
        return try placer.plan(
          Pipeline(passes, checksNumbers: false).run(on: input.graph, for: placer, samples: [input.inputs]).graph)
      }
      let nnapi = settings.backend as? NNAPIBackend
      let partition = settings.wantsMeasuredPartition ? try input.measuredPartition(settings, runtime) : nil
      settings.divide(by: partition)
      var table = PlacementTable(configurations[0], try planned(on: settings.backend))
      table.partition = partition
      if let nnapi { try table.lift(nnapi, planned: planned) }
      let text = json ? try JSONEncoder.text(table) : plan ? table.plan : table.report.markdown
      StandardOutput.print(text, terminator: "")
    }
  }
}

extension PlacementTable {
  /// Adds what NNAPI's own choice would be without each of the commonest reasons for which drivers refuse nodes.
  fileprivate mutating func lift(_ nnapi: NNAPIBackend, planned: (any Backend) throws -> PlannedGraph) throws {
    let own = try planned(nnapi)
    let drivers = Set(nnapi.drivers.map(\.name))
    let refusals = own.placement.flatMap { place in place.refusals.filter { drivers.contains($0.backend) } }
    let counts = Dictionary(refusals.map { ($0.reason, 1) }, uniquingKeysWith: +)
    let reasons = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(8)
    guard !reasons.isEmpty else { return }
    add(lifting: "", refused: 0, own)
    for (reason, count) in reasons {
      var lenient = nnapi
      lenient.forgiven = reason
      // What is no limit of the profile's stands.
      let other = try planned(lenient)
      if other.placement != own.placement { add(lifting: reason, refused: count, other) }
    }
  }
}
