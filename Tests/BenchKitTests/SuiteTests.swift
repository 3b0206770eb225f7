import BenchKit
import Foundation
import Pacer
import Testing

@Suite struct SuiteTests {
  private let catalog = Catalog.standard()

  private func cells(_ yaml: String) throws -> [Cell] {
    try BenchKit.Suite.parse(yaml, file: "t.yaml").cells(catalog).map(\.cell)
  }

  @Test func `a group stands for every combination of its choices`() throws {
    let all = try cells(
      "cells:\n- model: resnet18\n  passes: [none, all]\n  threads: [1, 2]\n  allocator: [system, arena]\n")
    #expect(all.count == 8 && Set(all).count == 8 && all.allSatisfy { $0.model == "resnet-18" })
  }

  @Test(arguments: [("none", 1), ("all", 1), ("ladder", 11), ("all-but-one", 10), ("every-combination", 1024)])
  func `pass sets`(name: String, count: Int) throws {
    #expect(try cells("cells:\n- model: mobilenet-v2\n  passes: \(name)\n").count == count)
  }

  @Test func `a preset settles the axes it is made of, and says so where they are named beside it`() throws {
    let eras = try cells("cells:\n- model: mobilenet-v2\n  preset: [naive-1.3, prepack-1.5, full-1.7, latest]\n")
    #expect(eras.map { $0.label(allPasses: standardPasses.map(\.name)) } == catalog.presets.map(\.name))
    #expect(eras[0].kernels == .im2col && eras[0].passes.isEmpty && eras[3].passes.count == standardPasses.count)
    #expect(Set(eras.map(\.id)).count == 4)
    let latest = try cells(
      "cells:\n- model: mobilenet-v2\n  preset: latest\n  isa: baseline\n  input-buffer: [reused, fresh]\n")
    #expect(
      latest.map { $0.label(allPasses: standardPasses.map(\.name)) } == [
        "latest, reused input, baseline", "latest, fresh input, baseline",
      ])
    #expect(try cells("cells:\n- model: resnet-18\n  in-place: [\"on\", \"off\"]\n").map(\.inPlace) == [nil, false])
    let pages = try cells("cells:\n- model: resnet-18\n  passes: none\n  huge-pages: [\"on\", \"off\"]\n")
    #expect(pages.map(\.hugePages) == [nil, false])
    #expect(pages.map { $0.label(allPasses: standardPasses.map(\.name)) } == ["all off", "all off, small pages"])
    let error = #expect(throws: UserError.self) {
      try cells("cells:\n- preset: latest\n  allocator: caching\n")
    }
    #expect(error?.description.contains("preset already sets allocator") == true)
    #expect(throws: UserError.self) { try cells("cells:\n- preset: naive-1.4\n") }
  }

  @Test func `a suite says in what its cells may differ from their baselines`() throws {
    let yaml = """
      compares: [allocator, in-place]
      cells:
      - model: resnet-18
        passes: [none, all]
        allocator: [system, caching]
        in-place: "off"
      - model: resnet-18
        passes: all
        allocator: arena
      """
    let results = try BenchKit.Suite.parse(yaml, file: "t.yaml").cells(catalog)
    let labels = Dictionary(uniqueKeysWithValues: results.map { ($0.cell.id, $0.label) })
    #expect(
      results.map { $0.baseline.flatMap { labels[$0] } } == [
        nil, "all off, not in place", nil, "all on, not in place", "all on, not in place",
      ])
    #expect(throws: UserError.self) {
      try BenchKit.Suite.parse("compares: colour\ncells:\n- model: resnet-18\n", file: "t")
    }
  }

  @Test func `a cell named twice is measured once`() throws {
    #expect(
      try cells("cells:\n- model: mobilenet-v2\n  passes: ladder\n- model: mobilenet-v2\n  passes: [none, all]\n").count
        == 11)
  }

  @Test func `the memory format is what channels-last sets`() throws {
    let formats = try cells("cells:\n- model: resnet-18\n  format: [nchw, nhwc]\n").map(\.format)
    #expect(formats == ["nchw", "nhwc"])
  }

  @Test(arguments: [
    ("cells: [", "t.yaml"), ("cells:\n- modell: x\n", "t.yaml:2: unknown key \"modell\"; did you mean model?"),
    ("cells:\n- model: mobilnet-v2\n", "t.yaml:2: unknown model \"mobilnet-v2\"; did you mean mobilenet-v2?"),
    ("cells:\n- passes: fuse-activatoin\n", "did you mean fuse-activation?"),
    ("cells:\n- backend: vulcan\n", "did you mean vulkan?"),
    ("cells:\n- kernels: quick\n", "unknown kernel family"), ("cells:\n- threads: 0\n", "threads must be 1 to 256"),
    ("cells:\n- shape: 1x3x\n", "shape must look like"), ("cells:\n- isa: avx3\n", "unknown instruction set"),
    ("budget: soon\ncells:\n- {}\n", "t.yaml:1: budget must be a positive number"), ("", "empty suite"),
    ("name: x\n", "needs a list of cells"), ("- 1\n", "expected key: value pairs"),
    ("cells:\n- format: nchv\n", "unknown memory format"),
  ])
  func `a mistake is named with its place`(yaml: String, message: String) {
    let error = #expect(throws: (any Error).self) { try cells(yaml) }
    #expect("\(error!)".contains(message), "\(error!)")
  }

  @Test func `every suite of the repository is valid`() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../Suites")
      .standardized
    let names = BenchKit.Suite.names(in: folder)
    #expect(names.contains("default") && names.contains("smoke") && names.contains("full"))
    for name in names where name != "gate" {
      #expect(try !BenchKit.Suite.load(name, in: folder).cells(catalog).isEmpty)
    }
    let gate = try GateSuite.load("gate", in: folder)
    for groups in [gate.exact, gate.instructions, gate.timed] {
      #expect(try !GateSuite.cells(groups, catalog).isEmpty)
    }
    #expect(throws: UserError.self) { try BenchKit.Suite.load("gate", in: folder) }
    #expect(throws: UnknownName.self) { try BenchKit.Suite.load("defualt", in: folder) }
  }
}
