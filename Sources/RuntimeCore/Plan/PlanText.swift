import GraphCore

extension Plan: CustomStringConvertible {
  /// One line a slot and a step. Slots are `&0`, `&1`, …; `@` before a space says where a slot lies that is not the host's.
  public var description: String {
    var lines = ["plan \(graph.name)"]
    for (index, slot) in slots.enumerated() {
      let names = slot.values.map { graph[$0].name }.joined(separator: ", ")
      lines.append(
        "  \(reference(index)) \(slot.source) \(names) : \(graph[slot.values[0]].type), \(slot.byteCount) bytes")
    }
    for segment in segments {
      lines.append("  segment on \(segment.backend.map(String.init) ?? "the caller's tensors")")
      for index in segment.steps {
        lines.append("    \(index): \(text(of: steps[index]))")
        for body in steps[index].bodies {
          lines += "\(body)".split(separator: "\n").map { "      | \($0)" }
        }
      }
    }
    lines.append("  return \(outputs.map(reference).joined(separator: ", "))")
    return lines.joined(separator: "\n") + "\n"
  }

  private func reference(_ slot: Int) -> String {
    slots[slot].space == .host ? "&\(slot)" : "&\(slot)@\(slots[slot].space)"
  }

  private func text(of step: Step) -> String {
    var text: String
    if let node = step.node {
      text =
        "\(step.outputs.map(reference).joined(separator: ", ")) = \(step.kernel)"
        + "(\(step.inputs.map(reference).joined(separator: ", "))) for \(graph.nodes[node].name)"
    } else {
      text = "copy " + step.copies.map { "\(reference($0.source)) → \(reference($0.target))" }.joined(separator: ", ")
    }
    if step.isInPlace { text += ", in place" }
    let scratch = step.scratch.filter { $0 > 0 }
    if !scratch.isEmpty { text += ", working memory \(scratch.map(String.init).joined(separator: " + "))" }
    if !step.released.isEmpty { text += ", releases \(step.released.map(reference).joined(separator: ", "))" }
    return text
  }
}

extension Plan.Slot.Source: CustomStringConvertible {
  public var description: String {
    switch self {
    case .input(let index): "input \(index)"
    case .output(let index): "output \(index)"
    case .constant: "constant"
    case .parameter: "parameter"
    case .computed: "computed"
    case .part(let slot, let offset): "part of &\(slot) at \(offset)"
    }
  }
}
