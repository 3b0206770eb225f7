import GraphCore
import ModelZoo
import TensorCore

/// The graph with weights and the input tensor that a cell asks for.
package struct ModelInput {
  let cell: Cell
  let model: ModelDescription

  package init(_ cell: Cell, _ model: ModelDescription) {
    self.cell = cell
    self.model = model
  }

  package func load() throws -> (graph: Graph, input: Tensor) {
    let shape = cell.shape ?? model.inputShape
    var graph: Graph
    do { graph = try model.build(shape) } catch { throw UserError("\(model.name) does not work at \(shape): \(error)") }
    if let path = cell.weights {
      try graph.readWeights(path)
    } else {
      try SeededWeights.fill(&graph)
    }
    guard let path = cell.input else { return (graph, try SeededWeights.input(shape)) }
    guard shape.rank == 4, shape[0] == 1, shape[1] == 3, shape[2] == shape[3] else {
      throw UserError("a picture needs an input of 1x3xNxN, not \(shape)")
    }
    return (graph, try ImageInput.load(path, side: shape[2]))
  }
}
