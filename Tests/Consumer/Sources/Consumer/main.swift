// A package outside Pacer's own: to the harness it adds a model of an op of its own, a pass, a backend, an axis, a metric
// with its probe and a report, each in one declaration, and has Pacer's commands run and write all of them.
//
//   Consumer                 checks that it works
//   Consumer worker          the process that is measured
//   Consumer bench WORDS     bench-suite with what is added here
import Foundation
import PacerBench

struct Negate: Op {
  static let name = "negate"
  var formatRule: FormatRule { .follows }
  func outputTypes(for inputs: [TensorType]) throws -> [TensorType] { inputs }
  func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    [try Tensor(inputs[0].shape, inputs[0].values.map { -$0 })]
  }
}

/// −relu(−(−x))
let negations = ModelDescription(name: "negations", inputShape: [1, 4]) { shape in
  var graph = Graph(name: "negations")
  let x = graph.addInput("x", TensorType(shape))
  let once = try graph.addNode("once", Negate(), [x])
  let twice = try graph.addNode("twice", Negate(), [once])
  let relu = try graph.addNode("relu", Activation(.relu), [twice])
  graph.setOutputs([try graph.addNode("again", Negate(), [relu])])
  return graph
}

/// −(−x) = x
struct RemoveDoubleNegation: Pass {
  let name = "remove-double-negation"
  let summary = "two negations in a row cancel"
  let off = "both run"

  func run(on graph: inout Graph, in context: PassContext) throws -> Int {
    let removed = try graph.rewrite { graph in
      var removed = 0
      for handle in graph.handles {
        guard let outer = graph[handle], outer.op is Negate, let source = graph.producer(of: outer.inputs[0]),
          let inner = graph[source], inner.op is Negate
        else { continue }
        graph.remove(handle, readersRead: inner.inputs[0])
        removed += 1
      }
      return removed
    }
    graph.removeUnused()
    return removed
  }
}

/// A backend that negates in the host's memory and leaves all else to the CPU.
struct Negator: Backend {
  let name = "negator"
  func support(for node: Node, in graph: Graph, _ options: PrepareOptions) -> Support {
    node.op is Negate ? .kernel("negate") : .unsupported(reason: "it only negates")
  }
  func lower(_ nodes: [Int], of graph: Graph, _ options: PrepareOptions) -> any Lowering { Lowered() }

  struct Lowered: Lowering {
    let space = MemorySpace.host
    let device = "negator"
    func viewOffset(_ node: Int) -> Int? { nil }
    func kernel(for node: Int) -> PlannedKernel { PlannedKernel(name: "negate", overwritableInputs: [0]) }
    func byteCount(of value: ValueID) -> Int { 0 }
    func compile(_ segments: [Plan.Segment], of plan: Plan) -> any CompiledSegments {
      Compiled(plan: plan, segments: segments)
    }
  }

  struct Compiled: CompiledSegments {
    let plan: Plan
    let segments: [Plan.Segment]
    func makeSegments() -> [any Segment] { segments.map { Negations(plan, $0.steps) } }
  }

  final class Negations: Segment {
    private let plan: Plan
    private let steps: Range<Int>
    init(_ plan: Plan, _ steps: Range<Int>) { (self.plan, self.steps) = (plan, steps) }

    func run(_ context: borrowing RunContext) throws {
      for (index, step) in zip(steps, plan.steps[steps]) {
        _ = try context.memory.begin(index)
        let (from, to) = (context.memory[step.inputs[0]], context.memory[step.outputs[0]])
        let count = plan.slots[step.outputs[0]].byteCount / 4
        let (source, target) = (from.assumingMemoryBound(to: Float.self), to.assumingMemoryBound(to: Float.self))
        for i in 0..<count { target[i] = -source[i] }
        context.memory.end(index)
      }
    }
  }
}

/// The axis, whole: its key, help, values, standard choice and words in labels.
let frugal = Axis<Bool>(
  "frugal", "Whether tensors share one planned block of small pages: on or off (default).", standard: false,
  values: .flag, engines: ["pacer"], label: { isOn, _ in isOn ? "frugal" : nil })

/// Times that a process gave its processor up.
final class SwitchProbe: Probe {
  private var before = 0
  private var sum = 0
  private var count = 0

  private var switches: Int {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("voluntary_ctxt_switches:") }
    return line?.split(separator: "\t").last.flatMap { Int($0) } ?? 0
  }

  func begin() { before = switches }
  func end(iterations: Int) {
    sum += switches - before
    count += iterations
  }
  var readings: [WorkerLine.Reading] { count > 0 ? [.init("switches", Double(sum) / Double(count))] : [] }
}

struct LabelReport: Report {
  let name = "labels"
  let extensions = ["labels"]
  func render(_ file: Record, _ catalog: Catalog) -> String { file.rows.map { "\($0.label)\n" }.joined() }
}

let runtime = {
  var runtime = Runtime.standard
  runtime.models.append(negations)
  runtime.passes.append(RemoveDoubleNegation())
  runtime.backends.append(Negator())
  return runtime
}()

func worker() -> WorkerCatalog {
  var catalog = WorkerCatalog(
    runtime: runtime, probes: ProbeDeclaration.standard(nil) + [ProbeDeclaration(.timed) { _ in SwitchProbe() }])
  catalog.axes[frugal.key] = { choice, options in
    guard Bool(axisValue: choice) == true else { return }
    (options.allocator, options.hugePages) = (.arena, false)
  }
  return catalog
}

func harness() -> Harness {
  var harness = Harness(runtime: runtime)
  harness.catalog.axes.add(frugal)
  harness.catalog.metrics.append(
    .reading("switches", "times an inference gave its processor up", .count, .sampled, column: "switches"))
  harness.reports.append(LabelReport())
  harness.worker = WorkerCommand(CommandLine.arguments[0], ["worker"], version: protocolVersion)
  // The same worker again, as an engine beside Pacer's.
  harness.engines["mine"] = harness.worker
  return harness
}

let words = Array(CommandLine.arguments.dropFirst())
switch words.first {
case "worker": exit(Worker.serve(worker()))
case "bench": exit(await BenchSuite.run(Array(words.dropFirst()), harness()))
case nil: try check()
default: fatalError("Consumer, Consumer worker or Consumer bench WORDS")
}

func expect(_ condition: Bool, _ message: @autoclosure () -> String) {
  if condition { return }
  try? FileHandle.standardError.write(contentsOf: Data("consumer: \(message())\n".utf8))
  exit(1)
}

/// Runs this program in a folder and returns what it prints.
func bench(_ words: [String], in folder: URL, status: Int32 = 0) throws -> String {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
  process.arguments = ["bench"] + words
  process.currentDirectoryURL = folder
  let output = Pipe()
  (process.standardOutput, process.standardError) = (output, output)
  try process.run()
  let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  expect(process.terminationStatus == status, "\(words): status \(process.terminationStatus)\n\(text)")
  return text
}

func require(_ text: String, _ parts: String...) {
  for part in parts { expect(text.contains(part), "no \"\(part)\" in:\n\(text)") }
}

func check() throws {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-consumer-\(UUID())")
  let suites = folder.appendingPathComponent("Suites")
  try FileManager.default.createDirectory(at: suites, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  func read(_ name: String) throws -> String {
    try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
  }

  func metric(_ name: String, of record: String) throws -> [Double] {
    struct Summary: Decodable { var rows: [Row] }
    struct Row: Decodable { var metrics: [String: Double] }
    let text = try bench(["report", record, "--format", "json"], in: folder)
    return try JSONDecoder().decode(Summary.self, from: Data(text.utf8)).rows.compactMap { $0.metrics[name] }
  }

  // The axis: in the list, on the command line, in a schema.
  require(try bench(["list", "axes"], in: folder), "frugal")
  require(try bench(["list", "passes"], in: folder), "remove-double-negation")
  require(try bench(["measure", "resnet-18", "--axis", "frugal=maybe"], in: folder, status: 64), "frugal is on or off")
  require(try bench(["measure", "resnet-18", "--axis", "frugl=on"], in: folder, status: 64), "frugal")
  _ = try bench(["schema"], in: folder)
  require(try read("Suites/schemas/suite.schema.json"), #""frugal""#)

  // The axis in a suite, a record, a table, a label and an effect; the metric and the report beside it.
  try Data(
    """
    name: mine
    budget: 60
    rounds: 3
    job:
      iterations: 5
    configurations:
      - model: resnet-18
        shape: 1x3x32x32
        passes: all
        frugal: [off, on]
    """.utf8
  ).write(to: suites.appendingPathComponent("mine.yaml"))
  _ = try bench(["run", "mine", "--output", "mine.jsonl"], in: folder)
  let record = try read("mine.jsonl")
  require(record, #""frugal":true"#, #""switches""#)
  let table = try bench(["report", "mine.jsonl", "--format", "markdown"], in: folder)
  require(table, "frugal on instead of off", "switches")
  require(try bench(["report", "mine.jsonl", "--format", "labels"], in: folder), "frugal")
  // What the axis does is done: a planned block needs no allocation.
  let counts = try metric("tensor-allocations", of: "mine.jsonl")
  expect(counts.count == 2 && counts[0] > 0 && counts[1] == 0, "\(counts)")

  // The command line takes it too.
  let given = ["--axis", "frugal=off,on", "--rounds", "2", "--iterations", "5", "--output", "given.jsonl"]
  require(try bench(["measure", "resnet-18", "--shape", "1x3x32x32"] + given, in: folder), "frugal", "switches")

  // The model with its op and the pass: four nodes, and two.
  _ = try bench(
    [
      "measure", "negations", "--kernels", "reference", "--passes", "none,remove-double-negation", "--rounds", "2",
      "--iterations", "5", "--output", "negations.jsonl",
    ], in: folder)
  let nodes = try metric("nodes", of: "negations.jsonl")
  expect(nodes == [4, 2], "\(nodes)")
  // An op of somebody else runs on its own loops, and says so.
  require(try bench(["placement", "negations", "--passes", "none"], in: folder), "4 nodes: 4 on cpu", "reference")
  // The backend takes its part; what it is not for runs on the CPU, with the reason.
  require(
    try bench(["placement", "negations", "--backend", "negator", "--passes", "none"], in: folder),
    "4 nodes: 3 on negator, 1 on cpu",
    "negator: it only negates")
  _ = try bench(
    [
      "measure", "negations", "--backend", "cpu,negator", "--passes", "none", "--rounds", "2", "--iterations", "5",
      "--output",
      "backends.jsonl",
    ], in: folder)
  require(try read("backends.jsonl"), #""negator: it only negates":1"#)
  require(
    try bench(["report", "backends.jsonl", "--format", "markdown"], in: folder), "3 of 4 nodes ran on negator, 1 on cpu"
  )

  // An engine from outside.
  require(try bench(["check-worker", "--engine", "mine", "--shape", "1x3x32x32"], in: folder), "output right")
  print("consumer: model, op, pass, backend, axis, metric, report and engine from outside work")
}
