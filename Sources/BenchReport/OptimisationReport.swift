import BenchModel

extension Optimisation {
  /// What each pass did, what each variant takes, and the file.
  public var report: Document {
    var document = Document("Optimisation of \(model)")
    document.text(
      "\(path): \(Format.bytes(Double(byteCount))), of \(Format.number(nodes, "node")) with "
        + "\(Format.bytes(Double(weightBytes))) of weights."
        + (inputs.isEmpty
          ? "" : " It brings \(Format.number(inputs.count, "input")): \(inputs.joined(separator: ", ")).")
        + " What variants have in common is there once.")
    let names = variants.map { $0.instructionSet ?? "portable" }
    document.table(
      Table(
        ["pass"] + names, left: 1,
        passes.map { pass in [pass] + variants.map { $0.rewrites[pass].map { "\($0)" } ?? "–" } }))
    document.table(
      Table(
        ["variant", "nodes", "weights"], left: 1,
        zip(names, variants).map { [$0, "\($1.nodes)", Format.bytes(Double($1.weightBytes))] }))
    return document
  }
}
