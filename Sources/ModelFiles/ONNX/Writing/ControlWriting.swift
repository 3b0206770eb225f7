import GraphCore
import TensorCore

/// Ops with graphs of their own. Bodies read the graph around them by its names.
let controlTranslations: ONNXTranslations = {
  var ops = ONNXTranslations()

  ops.add(If.self) { op, node in
    let captures = Array(node.inputs.dropFirst())
    let branches = try [("then_branch", op.then), ("else_branch", op.otherwise)].map { name, body in
      try node.body(name, body, captures: captures)
    }
    node.emit("If", [node.inputs[0]], branches, outputs: node.results)
  }
  ops.add(Loop.self) { op, node in
    var rest = node.inputs[...]
    let count = op.hasTripCount ? rest.removeFirst() : ""
    let condition = op.hasCondition ? rest.removeFirst() : ""
    let body = try node.body("body", op.body, captures: Array(rest.dropFirst(op.carried)))
    node.emit("Loop", [count, condition] + rest.prefix(op.carried), [body], outputs: node.results)
  }
  ops.add(Scan.self) { op, node in
    let own = op.states + op.inputs.count
    let body = try node.body("body", op.body, captures: Array(node.inputs.dropFirst(own)))
    func directions(_ ways: [Scan.Way]) -> [Int] { ways.map { $0.isReverse ? 1 : 0 } }
    node.emit(
      "Scan", Array(node.inputs.prefix(own)),
      [
        body, .integer("num_scan_inputs", op.inputs.count), .integers("scan_input_axes", op.inputs.map(\.axis)),
        .integers("scan_input_directions", directions(op.inputs)),
        .integers("scan_output_axes", op.outputs.map(\.axis)),
        .integers("scan_output_directions", directions(op.outputs)),
      ], outputs: node.results)
  }
  ops.add(Fail.self) { op, node in
    // No elements under a shape that has one: an error when it runs.
    for (result, type) in zip(node.results, op.types) {
      let nothing = try node.constant(Tensor(zeros: TensorType([0], type.dtype)), "nothing")
      let shape = try node.integers([Int](repeating: 1, count: type.shape.rank), "one")
      node.emit("Reshape", [nothing, shape], [], outputs: [result])
    }
  }
  return ops
}()
