import TensorCore

extension Graph: CustomStringConvertible {
  /// One line per node; `on 1` names a backend that is not the first. Parameters are `@name`, constants `#name`, computed values and inputs `%name`.
  public var description: String {
    var lines = ["graph \(name)"]
    for id in inputs { lines.append("  input %\(self[id].name) : \(self[id].type)") }
    for node in nodes {
      let attributes = node.op.attributes.map { "\($0.0)=\($0.1)" }.joined(separator: " ")
      let inputs = node.inputs.map(reference).joined(separator: ", ")
      lines.append(
        "  \(node.outputs.map(reference).joined(separator: ", ")) = \(node.op.name)(\(inputs))"
          + (attributes.isEmpty ? "" : " {\(attributes)}")
          + " : \(node.outputs.map { self[$0].type.description }.joined(separator: ", "))"
          + (node.placed.map { $0 > 0 ? " on \($0)" : "" } ?? ""))
    }
    lines.append("  return \(outputs.map(reference).joined(separator: ", "))")
    return lines.joined(separator: "\n") + "\n"
  }

  private func reference(_ id: ValueID) -> String {
    let value = self[id]
    return switch value.source {
    case .input, .node: "%\(value.name)"
    case .parameter: "@\(value.name)"
    case .constant(let tensor): "#\(value.name)<\(tensor.type)>"
    }
  }

  /// Digest of the graph's text: structure, attributes, types and formats, but not the weights' values.
  public var structureDigest: Digest {
    var digest = Digest()
    digest.combine(description)
    for body in bodies { digest.combine(body.structureDigest.value) }
    for value in values { if let quantization = value.type.quantization { digest.combine(quantization.whole) } }
    return digest
  }

  /// Digest of all weights, by name.
  public var weightDigest: Digest {
    var digest = Digest()
    for name in weights.keys.sorted() {
      digest.combine(name)
      digest.combine(weights[name]!.digest.value)
    }
    for value in values {
      if case .constant(let tensor) = value.source { digest.combine(tensor.digest.value) }
    }
    for body in bodies { digest.combine(body.weightDigest.value) }
    return digest
  }
}
