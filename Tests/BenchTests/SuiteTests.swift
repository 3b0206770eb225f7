import Foundation
import PacerBench
import Testing

@testable import BenchModel
@testable import BenchReport
@testable import BenchRunner
@testable import BenchStatistics
@testable import BenchWorker

@Suite struct SuiteTests {
  private let catalog = Catalog.standard

  private func configurations(_ yaml: String) throws -> [Configuration] {
    try PacerBench.Suite.parse(yaml, file: "t.yaml", catalog).plan(catalog).map(\.configuration)
  }

  @Test func `a group stands for every combination of its choices`() throws {
    let all = try configurations(
      "configurations:\n- model: resnet18\n  passes: [none, all]\n  threads: [1, 2]\n  allocator: [system, arena]\n")
    #expect(all.count == 8 && Set(all).count == 8 && all.allSatisfy { $0.model == "resnet-18" })
  }

  @Test(arguments: [("none", 1), ("all", 1), ("ladder", 13), ("all-but-one", 12), ("every-combination", 4096)])
  func `pass sets`(name: String, count: Int) throws {
    #expect(try configurations("configurations:\n- model: mobilenet-v2\n  passes: \(name)\n").count == count)
  }

  @Test func `a preset settles the axes it is made of, and says so where they are named beside it`() throws {
    let eras = try configurations(
      "configurations:\n- model: mobilenet-v2\n  preset: [naive-1.3, prepack-1.5, full-1.7, latest]\n")
    #expect(eras.map { Labels.of($0, catalog) } == catalog.presets.map(\.name))
    #expect(
      eras[0][Axes.kernels] == .im2col && eras[0][Axes.passes].isEmpty
        && eras[3][Axes.passes].count == standardPasses.count)
    #expect(Set(eras.map(\.id)).count == 4)
    let latest = try configurations(
      "configurations:\n- model: mobilenet-v2\n  preset: latest\n  isa: sse2\n  input-buffer: [reused, fresh]\n")
    #expect(
      latest.map { Labels.of($0, catalog) } == ["latest, reused input, sse2", "latest, fresh input, sse2"])
    #expect(
      try configurations("configurations:\n- model: resnet-18\n  in-place: [\"on\", \"off\"]\n").map {
        $0[Axes.inPlace]
      } == [true, false])
    let pages = try configurations(
      "configurations:\n- model: resnet-18\n  passes: none\n  huge-pages: [\"on\", \"off\"]\n")
    #expect(pages.map { $0[Axes.hugePages] } == [true, false])
    #expect(pages.map { Labels.of($0, catalog) } == ["no passes", "no passes, huge pages off"])
    let error = #expect(throws: UserError.self) {
      try configurations("configurations:\n- preset: latest\n  allocator: caching\n")
    }
    #expect(error?.description.contains("preset already sets allocator") == true)
    #expect(throws: UserError.self) { try configurations("configurations:\n- preset: naive-1.4\n") }
  }

  @Test func `a suite says in what its configurations may differ from their baselines`() throws {
    let yaml = """
      compares: [allocator, in-place]
      configurations:
      - model: resnet-18
        passes: [none, all]
        allocator: [system, caching]
        in-place: "off"
      - model: resnet-18
        passes: all
        allocator: arena
      """
    let results = try PacerBench.Suite.parse(yaml, file: "t.yaml", catalog).rows(catalog)
    let labels = Dictionary(uniqueKeysWithValues: results.map { ($0.id, $0.label) })
    #expect(
      results.map { $0.baseline.flatMap { labels[$0] } } == [
        nil, "no passes, in-place off", nil, "all passes, in-place off", "all passes, in-place off",
      ])
    #expect(throws: UserError.self) {
      try PacerBench.Suite.parse("compares: colour\ncells:\n- model: resnet-18\n", file: "t", catalog)
    }
  }

  @Test func `a configuration named twice is measured once`() throws {
    #expect(
      try configurations(
        "configurations:\n- model: mobilenet-v2\n  passes: ladder\n- model: mobilenet-v2\n  passes: [none, all]\n"
      ).count
        == 13)
  }

  @Test func `the memory format is what channels-last sets`() throws {
    let formats = try configurations("configurations:\n- model: resnet-18\n  format: [nchw, nhwc]\n")
    #expect(formats.map { $0[Axes.passes].contains("channels-last") } == [false, true])
  }

  @Test(arguments: [
    ("configurations: [", "t.yaml"),
    ("configurations:\n- modell: x\n", "t.yaml:2: unknown key \"modell\"; did you mean model?"),
    ("configurations:\n- model: mobilnet-v2\n", "t.yaml:2: unknown model \"mobilnet-v2\"; did you mean mobilenet-v2?"),
    ("configurations:\n- passes: fuse-activatoin\n", "did you mean fuse-activation?"),
    ("configurations:\n- backend: vulcan\n", "did you mean vulkan?"),
    ("configurations:\n- kernels: quick\n", "unknown kernels \"quick\""),
    ("configurations:\n- threads: 0\n", "threads is a whole number from 1 to 256"),
    ("configurations:\n- shape: 1x3x\n", "shape must look like"),
    ("configurations:\n- isa: avx3\n", "unknown isa \"avx3\""),
    ("budget: soon\ncells:\n- {}\n", "t.yaml:1: budget must be a positive number"), ("", "empty suite"),
    ("name: x\n", "needs a list of configurations"), ("- 1\n", "expected key: value pairs"),
    ("configurations:\n- format: nchv\n", "unknown format"),
  ])
  func `a mistake is named with its place`(yaml: String, message: String) {
    let error = #expect(throws: (any Error).self) { try configurations(yaml) }
    #expect("\(error!)".contains(message), "\(error!)")
  }

  @Test func `every suite of the repository is valid`() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../Suites")
      .standardized
    let names = PacerBench.Suite.names(in: folder)
    #expect(names.contains("default") && names.contains("smoke") && names.contains("full"))
    for name in names where name != "gate" {
      #expect(try !PacerBench.Suite.load(name, in: [folder], catalog).plan(catalog).isEmpty)
    }
    let gate = try GateSuite.load("gate", in: [folder], catalog)
    for groups in [gate.exact, gate.instructions, gate.timed] {
      #expect(try !GateSuite.rows(groups, catalog).isEmpty)
    }
    #expect(throws: UserError.self) { try PacerBench.Suite.load("gate", in: [folder], catalog) }
    #expect(throws: UnknownName.self) { try PacerBench.Suite.load("defualt", in: [folder], catalog) }
  }
}
