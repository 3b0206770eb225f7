// An application: it knows Pacer's runtime and nothing of its harness.
import Pacer

struct Negate: Op {
  static let name = "negate"
  var formatRule: FormatRule { .follows }
  func outputTypes(for inputs: [TensorType]) throws -> [TensorType] { inputs }
  func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    [try Tensor(inputs[0].shape, inputs[0].values.map { -$0 })]
  }
}

var graph = Graph(name: "negation")
let x = graph.addInput("x", TensorType([1, 4]))
graph.setOutputs([try graph.addNode("once", Negate(), [x])])
let session = try CPUBackend(kernels: .reference).prepare(graph).makeSession()
session.inputs[0].write([1, -2, 3, -4])
try session.run()
precondition(session.outputs[0].values == [-1, 2, -3, 4])

let model = try ModelInput(Runtime.standard.model("resnet-18"), shape: [1, 3, 32, 32])
let mobile = try optimizeForMobile(model.graph)
let fast = try CPUBackend().prepare(mobile, PrepareOptions()).makeSession()
fast.inputs[0].write(model.input.values)
try fast.run()
precondition(fast.outputs[0].values.count == 1000)

// Saved once, mapped wherever it is used.
let path = CommandLine.arguments[0] + ".pacer"
try PacerContents(optimising: model.graph, for: [.best], inputs: [model.input]).write(to: path)
let file = try PacerFile(path)
let mapped = try CPUBackend().prepare(file).makeSession()
mapped.inputs[0].write(file.bundledInputs[0].tensor)
try mapped.run()
precondition(mapped.outputs[0].values == fast.outputs[0].values)
print("consumer: the runtime alone works")
