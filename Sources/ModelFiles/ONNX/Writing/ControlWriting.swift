import GraphCore
import TensorCore

/// Ops with graphs of their own.
let controlTranslations: ONNXTranslations = {
  var ops = ONNXTranslations()

  ops.add(If.self) { op, node in
    // Branches read the graph around them by its names.
    let captures = Array(node.inputs.dropFirst())
    let branches = try [("then_branch", op.then), ("else_branch", op.otherwise)].map { name, body in
      try node.body(name, body, captures: captures)
    }
    node.emit("If", [node.inputs[0]], branches, outputs: node.results)
  }
  return ops
}()
