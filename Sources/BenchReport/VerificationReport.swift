import BenchModel

extension Verification {
  /// Of one model: each output. Of several: how many of each kind are right.
  public var report: Document {
    var document = Document("Verification")
    document.text(words)
    if cases.count == 1 {
      let item = cases[0]
      if !item.fixed.isEmpty {
        document.text("Known before the run, as the data set has them: \(item.fixed.joined(separator: ", ")).")
      }
      document.table(
        Table(
          ["configuration", "data set", "output", "type", "absolute", "relative", ""], left: 4,
          item.outputs.map { output in
            [
              output.configuration, output.dataSet, output.name, output.type, Format.scientific(output.absolute),
              Format.scientific(output.relative), output.holds ? "holds" : output.reason ?? "DIFFERS",
            ]
          }))
      return document
    }
    document.table(
      Table(
        ["op", "passed", "failed", "unsupported"], left: 1,
        counts.map { [$0.op, "\($0.passed)", "\($0.failed)", "\($0.unsupported)"] }))
    let missing = Dictionary(cases.flatMap(\.missing).map { ($0, 1) }, uniquingKeysWith: +)
    document.table(
      Table(
        ["missing op", "models that need it"], left: 1,
        missing.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { [$0.key, "\($0.value)"] }))
    return document
  }

  private var words: String {
    if cases.count == 1 {
      let item = cases[0]
      switch item.status {
      case .passed:
        guard let bytes = item.wholeBytes else { return "\(item.name): all outputs hold." }
        let outputs =
          !item.outputs.isEmpty
          ? "all outputs hold"
          : item.reason.map { "the data beside it does not fit (\($0))" } ?? "no folder test_data_set_0 lies beside it"
        return "\(item.name): its \(Format.bytes(Double(bytes))) are what was written; \(outputs)."
      case .differs: return "\(item.name): outputs DIFFER."
      case .failed, .unsupported, .noData: return "\(item.name): \(item.status.rawValue): \(item.reason ?? "")"
      }
    }
    let total = total
    return "\(Format.number(cases.count, "model")): \(total.passed) passed, \(total.failed) failed, "
      + "\(total.unsupported) unsupported."
  }
}

extension Verification.Case {
  /// In one line.
  public var line: String {
    var detail = reason
    if status == .differs, let worst = outputs.first(where: { !$0.holds }) {
      detail =
        "\(worst.configuration), \(worst.dataSet), \(worst.name): "
        + (worst.reason
          ?? "off by \(Format.scientific(worst.absolute)), of the value \(Format.scientific(worst.relative))")
    }
    let word = status.rawValue
    return word + String(repeating: " ", count: max(1, 13 - word.count)) + name + (detail.map { ": \($0)" } ?? "")
  }
}
