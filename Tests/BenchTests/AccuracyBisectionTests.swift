import PacerBench
import GraphCore
import TensorCore
import Testing

@testable import BenchModel
@testable import BenchReport
@testable import BenchRunner
@testable import BenchStatistics
@testable import BenchWorker

/// The reference kernels, with one activation that gives nothing but zeros.
private struct BrokenBackend: Backend {
  let name = "broken"
  let node: String

  func availability(_ options: PrepareOptions) -> Availability { .available(DeviceInfo(name: "broken", detail: "")) }
  func support(for node: Node, in graph: Graph, _ options: PrepareOptions) -> Support { .kernel("reference") }
  func target(_ options: PrepareOptions) -> any TargetTraits { PlainTarget() }
  func lower(_ nodes: [Int], of graph: Graph, _ options: PrepareOptions) throws -> any Lowering {
    var graph = graph
    if let index = graph.nodes.firstIndex(where: { $0.name == node }) {
      graph.setOp(Activation(.clamp(Clamp(min: 0, max: 0))), ofNode: index)
    }
    return try CPUBackend(kernels: .reference).lower(nodes, of: graph, PrepareOptions())
  }
}

@Suite struct AccuracyBisectionTests {
  private func configuration(_ backend: String) -> Configuration {
    var configuration = Configuration(model: "mobilenet-v2")
    configuration[Axes.backend] = backend
    configuration[Axes.shape] = [1, 3, 32, 32]
    return configuration
  }

  @Test func `kernels that are right have no culprit`() throws {
    var configuration = configuration("cpu")
    configuration[Axes.passes] = standardPasses.map(\.name)
    let bisection = try AccuracyBisection(Runtime.standard, configuration, tolerance: nil)
    #expect(bisection.culprit == nil, "\(String(describing: bisection.culprit))")
    #expect(bisection.nodes.count > 55)
    let report = bisection.report.markdown
    #expect(report.contains("ops alone is within 1.0e-05") && report.contains("In the whole network"))
  }

  @Test func `the first op that is wrong is named, with what is wrong about it`() throws {
    var runtime = Runtime.standard
    let name = try #require(
      ModelDescription.mobileNetV2.build([1, 3, 32, 32]).nodes.filter { $0.op is Activation }.dropFirst(5).first?.name)
    runtime.backends.append(BrokenBackend(node: name))
    let bisection = try AccuracyBisection(runtime, configuration("broken"), tolerance: nil)
    let culprit = try #require(bisection.culprit)
    #expect(culprit.node == name && culprit.isZero && culprit.alone == 1 && culprit.repeats)
    #expect(bisection.nodes.prefix { $0.node != name }.allSatisfy { $0.alone == 0 && $0.inNetwork == 0 })
    #expect(bisection.report.markdown.contains("First wrong: `\(name)` (activation"))
  }
}
