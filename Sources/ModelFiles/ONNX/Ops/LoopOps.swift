import Foundation
import GraphCore
import TensorCore

extension ONNXNode {
  /// Iterations up to which a loop becomes its body that many times, where a value changes its shape.
  private static let mostUnrolled = 256

  func loop() throws -> [ValueID] {
    let (count, condition) = (try optional(0), try optional(1))
    let values = try (2..<max(inputCount, 2)).map(input)
    let body = try body("body")
    guard body.input.count == 2 + values.count, body.output.count > values.count else {
      throw GraphError(
        "its body has \(body.input.count) inputs and \(body.output.count) outputs for \(values.count) values")
    }
    // What is declared as a list of one comes as such.
    func one(_ index: Int, _ dtype: DType) -> TensorType {
      let extents = ONNXFile.Port(body.input[index]).extents
      return TensorType(extents.count == 1 ? [1] : [], dtype)
    }
    let limit = try count.flatMap { reader.known($0) }.map { max(try $0.indices.first ?? 0, 0) }
    let whether = condition.map { reader.known($0)?.doubles == [1] } ?? true

    let read = try ONNXBody(self, "body", [one(0, .int64), one(1, .bool)] + values.map(type))
    let goesOn = whether && read.alwaysGoesOn
    guard !goesOn || count != nil else { throw GraphError("it never ends") }
    let carried = zip(values, read.graph.outputs.dropFirst())
    // The body's values are as large as they can be.
    if let (before, after) = carried.first(where: { type(of: $0).largest != read.graph[$1].type }) {
      guard goesOn, let limit, limit <= Self.mostUnrolled else {
        throw Unsupported(
          "its value \(reader.graph[before].name) is \(type(of: before)) before and \(read.graph[after].type) after an "
            + "iteration, and how many there are is not known before a run")
      }
      return try unrolled(body, values, limit)
    }
    guard body.output.count == 1 + values.count || limit != nil else {
      throw Unsupported("it collects \(body.output.last?.name ?? ""), and how much is not known before a run")
    }
    let (graphs, captured) = try sharing([read])
    let op = Loop(
      GraphBody(graphs[0]), hasTripCount: count != nil, hasCondition: condition != nil, carried: values.count,
      limit: body.output.count == 1 + values.count ? nil : limit, reachesLimit: goesOn)
    return try addAll(op, [count, condition].compactMap { $0 } + values + captured)
  }

  /// The body so many times, one behind the other.
  private func unrolled(_ body: Pacer_Onnx_Graph, _ first: [ValueID], _ count: Int) throws -> [ValueID] {
    var values = first
    var collected = body.output.dropFirst(1 + values.count).map { _ in [ValueID]() }
    for iteration in 0..<count {
      let number = constant(try Tensor([], elements: [Int64(iteration)]), "\(iteration)")
      let condition = constant(try Tensor([], elements: [true]), "\(iteration).condition")
      let results = try reader.inline(body, [number, condition] + values)
      values = Array(results[1...].prefix(values.count))
      for index in collected.indices {
        let result = results[1 + values.count + index]
        let axes = type(of: result).shape.extents.indices.map { Reshape.Extent.axis($0) }
        collected[index].append(try add(Reshape([.fixed(1)] + axes), [result], "\(iteration).\(index)"))
      }
    }
    return try values + collected.enumerated().map { index, list in try add(Concat(axis: 0), list, "all\(index)") }
  }

  func scan() throws -> [ValueID] {
    let body = try body("body")
    // Before version 9 all have a batch in front, and an input for the lengths of its sequences.
    let isOld = version < 9
    guard !isOld || !has(0) else { throw Unsupported("lengths of sequences") }
    var all = try (isOld ? 1..<max(inputCount, 1) : 0..<inputCount).map(input)
    let scanned = integer("num_scan_inputs", 0)
    guard scanned > 0, scanned <= all.count, body.input.count == all.count, body.output.count >= all.count - scanned
    else { throw GraphError("it goes over \(scanned) of \(all.count) inputs; its body has \(body.input.count)") }
    let states = all.count - scanned
    let collected = body.output.count - states
    if isOld {
      all = try all.enumerated().map { index, id in
        let shape = type(of: id).shape
        guard shape.extents.first == 1 else { throw Unsupported("a batch of \(shape)") }
        return try reshape(id, to: Shape(Array(shape.extents.dropFirst())), "input\(index)")
      }
    }
    func ways(_ axes: String, _ directions: String, _ ranks: [Int]) throws -> [Scan.Way] {
      let axes = integers(axes) ?? ranks.map { _ in 0 }
      let directions = integers(directions) ?? ranks.map { _ in 0 }
      guard axes.count == ranks.count, directions.count == ranks.count else {
        throw GraphError("axes \(axes) and directions \(directions) for \(ranks.count) tensors")
      }
      return try ranks.indices.map { index in
        let shape = Shape([Int](repeating: 1, count: ranks[index]))
        return Scan.Way(axis: try shape.axis(axes[index], "scan"), isReverse: directions[index] == 1)
      }
    }
    let over = try ways(
      "scan_input_axes", isOld ? "directions" : "scan_input_directions", all[states...].map { type(of: $0).shape.rank })
    let slices = zip(over, all[states...]).map { way, id in
      var slice = type(of: id)
      slice.shape.extents.remove(at: way.axis)
      return slice
    }
    let read = try ONNXBody(self, "body", all[..<states].map(type) + slices)
    for (before, after) in zip(all[..<states], read.graph.outputs)
    where type(of: before).largest != read.graph[after].type {
      throw Unsupported(
        "its state \(reader.graph[before].name) is \(type(of: before)) before and \(read.graph[after].type) after an "
          + "iteration")
    }
    let to = try ways(
      "scan_output_axes", "scan_output_directions",
      read.graph.outputs.suffix(collected).map { read.graph[$0].type.shape.rank + 1 })
    let (graphs, captured) = try sharing([read])
    let outputs = try addAll(
      Scan(GraphBody(graphs[0]), states: states, inputs: over, outputs: to), all + captured)
    guard isOld else { return outputs }
    return try outputs.enumerated().map { index, id in
      try reshape(id, to: Shape([1] + type(of: id).shape.extents), "output\(index)")
    }
  }
}

extension ONNXBody {
  /// Whether its first output says yes each time: a constant, or its condition handed on.
  fileprivate var alwaysGoesOn: Bool {
    guard let condition = graph.outputs.first else { return false }
    return condition == graph.inputs[1] || graph.data(of: condition)?.doubles == [1]
  }
}
