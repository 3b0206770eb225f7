// A package outside Pacer's own: it adds an op, a pass and a metric, and runs them.
import Pacer

struct Negate: Op {
  static let name = "negate"
  var formatRule: FormatRule { .follows }
  func outputTypes(for inputs: [TensorType]) throws -> [TensorType] { inputs }
  func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    [try Tensor(inputs[0].shape, inputs[0].values.map { -$0 })]
  }
}

/// −(−x) = x
struct RemoveDoubleNegation: Pass {
  let name = "remove-double-negation"
  let summary = "two negations in a row cancel"
  let off = "both run"
  let pytorchName: String? = nil

  func run(on graph: inout Graph, for target: any TargetTraits) throws -> Int {
    var removed = 0
    while let (outer, inner) = pair(in: graph) {
      graph.replaceUses(of: outer.outputs[0], with: inner.inputs[0])
      graph.removeUnused()
      removed += 1
    }
    return removed
  }

  private func pair(in graph: Graph) -> (outer: Node, inner: Node)? {
    for outer in graph.nodes where outer.op is Negate {
      guard let index = graph.producer(of: outer.inputs[0]), graph.nodes[index].op is Negate else { continue }
      return (outer, graph.nodes[index])
    }
    return nil
  }
}

var graph = Graph(name: "negations")
let x = graph.addInput("x", TensorType([1, 4]))
let once = try graph.addNode("once", Negate(), [x])
let twice = try graph.addNode("twice", Negate(), [once])
graph.setOutputs([try graph.addNode("again", Negate(), [twice])])

let input = try Tensor([1, 4], [1, -2, 3, -4])
let expected = try graph.evaluate([input])[0].values
precondition(expected == [-1, 2, -3, 4])

let (optimised, reports) = try Pipeline([RemoveDoubleNegation()]).run(on: graph, for: PlainTarget())
precondition(reports[0].rewrites == 1 && optimised.nodes.count == 1 && graph.nodes.count == 3)

let backend = CPUBackend()
let options = PrepareOptions(kernels: .reference)
let session = try backend.prepare(optimised, options).makeSession()
session.inputs[0].write(input.values)
try session.run()
precondition(session.outputs[0].values == expected)
if case .kernel = backend.support(for: optimised.nodes[0], in: optimised, PrepareOptions()) {
  preconditionFailure("there is no fast kernel for an op of somebody else")
}

var catalog = Catalog.standard()
catalog.passes.append(RemoveDoubleNegation())
catalog.metrics.append(Metric("visits", "processes that timed the cell", .count, .exact) { Double($0.visits.count) })
let suite = Suite(
  name: "consumer", budget: 60, cellBudget: 60,
  groups: [CellGroup(choices: ["model": ["resnet-18"], "passes": ["remove-double-negation"]], place: "here")])
let cells = try suite.cells(catalog)
precondition(cells.count == 1 && cells[0].cell.passes == ["remove-double-negation"])
let file = ResultFile(
  version: "1", suite: suite.name, suiteDigest: Suite.digest(cells), started: "now", command: "consumer",
  environment: .current(processor: catalog.processorName, isa: "any", git: "none"), cells: cells)
precondition(CSVReport().render(file, catalog).contains(",visits,ratio,"))
print("consumer: op, pass and metric from outside work")
