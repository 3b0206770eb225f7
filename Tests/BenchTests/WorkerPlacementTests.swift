import GraphCore
import PacerBench
import TestSupport
import Testing

/// The worker's own code in this process: jobs in, lines out.
@Suite struct WorkerPlacementTests {
  private func run(_ job: Job, _ stub: StubBackend, fallback: (any Backend)? = CPUBackend()) throws -> [WorkerLine] {
    var runtime = Runtime.standard
    runtime.backends.append(stub)
    runtime.fallback = fallback
    var lines: [WorkerLine] = []
    try Worker(catalog: WorkerCatalog(runtime: runtime), nextLine: { nil }, emit: { lines.append($0) }).run(job)
    return lines
  }

  private func configuration(_ backend: String = "stub") -> Configuration {
    var configuration = Configuration(model: "resnet-18")
    configuration[Axes.backend] = backend
    configuration[Axes.shape] = [1, 3, 32, 32]
    configuration[Axes.passes] = standardPasses.map(\.name)
    return configuration
  }

  private func prepared(_ lines: [WorkerLine]) -> WorkerLine.Prepared? {
    lines.lazy.compactMap { if case .prepared(let prepared) = $0 { prepared } else { nil } }.first
  }
  private func outputs(_ lines: [WorkerLine]) -> [[Float]] {
    lines.compactMap { if case .output(let output) = $0 { output.values } else { nil } }
  }

  @Test func `where nodes run that their backend does not take is told, with the reason and what is copied`() throws {
    let lines = try run(Job(.output, configuration()), .convolutionsOnly())
    let placement = try #require(prepared(lines)?.placement)
    #expect(placement.nodes["stub"] == 20 && placement.nodes["cpu"]! > 2 && placement.nodes.count == 2)
    #expect(placement.reasons == ["stub: not one of its nodes": placement.nodes["cpu"]!])
    #expect(placement.copies > 2 && placement.copiedBytes > 3 * 32 * 32 * 4)
    let alone = try run(Job(.output, configuration("cpu")), .convolutionsOnly())
    #expect(prepared(alone)?.placement == nil)
    #expect(relativeError(outputs(lines)[0], outputs(alone)[0].map(Double.init)) < 1e-5)
  }

  @Test func `integers that a driver does not take are left to others, and the row is one`() throws {
    var configuration = configuration("nnapi")
    configuration[Axes.precision] = .int8
    configuration[Axes.observer] = "min-max"
    let lines = try run(Job(.output, configuration), .convolutionsOnly())
    let placement = try #require(prepared(lines)?.placement)
    // NNAPI's FULLY_CONNECTED of integers answers in integers.
    #expect(placement.nodes["cpu-fast"] ?? 0 >= 20 && placement.nodes["cpu"] ?? 0 >= 1)
    #expect(outputs(lines).count == 1)
    // Where there is none to take, it is no row.
    var vulkan = configuration
    vulkan[Axes.backend] = "vulkan"
    let skipped = try run(Job(.output, vulkan), .convolutionsOnly()).contains {
      if case .skipped = $0 { true } else { false }
    }
    #expect(skipped)
  }

  @Test func `a measured partition is measured by one job and run by another`() throws {
    var configuration = configuration("nnapi")
    configuration[Axes.partition] = "measured"
    let lines = try run(Job(.partition, configuration), .convolutionsOnly())
    let partition = try #require(lines.lazy.compactMap { if case .partition(let it) = $0 { it } else { nil } }.first)
    try WorkerLine.partition(partition).check()
    var job = Job(.output, configuration)
    job.partition = partition
    let measured = try run(job, .convolutionsOnly())
    #expect(prepared(measured)?.placement?.expected == partition.cost && outputs(measured).count == 1)
    job.partition = nil
    #expect(throws: UserError.self) { try run(job, .convolutionsOnly()) }
    #expect(throws: UserError.self) { try run(Job(.partition, self.configuration("nnapi")), .convolutionsOnly()) }
  }

  @Test func `times in which another backend took over are no result`() throws {
    let stub = StubBackend.convolutionsOnly()
    var job = Job(.latency, configuration())
    (job.iterations, job.warmup) = (5, 1)
    #expect(try run(job, stub).contains { if case .sample = $0 { true } else { false } })
    stub.fault.set(after: 100)
    do {
      _ = try run(job, stub)
      Issue.record("no error")
    } catch let failure as Session.Failure {
      #expect(failure.backend == "stub" && failure.fallback == "cpu")
    }
    stub.fault.set(after: 5)
    #expect(throws: Session.Failure.self) { try run(Job(.output, configuration()), stub) }
  }

  @Test func `without a fallback what a backend does not take is an error that names it`() throws {
    do {
      _ = try run(Job(.output, configuration()), .convolutionsOnly(), fallback: nil)
      Issue.record("no error")
    } catch let error as GraphError {
      #expect(error.description.contains("cannot run on the stub: not one of its nodes"))
    }
  }
}
