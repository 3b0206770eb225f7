import BenchModel
import BenchStatistics

extension Profile {
  /// Two profiles, joined by node in the second's order.
  public static func difference(_ base: Profile, _ head: Profile) -> Document {
    var names = head.working.map(\.name)
    names += base.working.map(\.name).filter { !names.contains($0) }
    let rows = names.map { name in
      let (a, b) = (base.nodes.first { $0.name == name }, head.nodes.first { $0.name == name })
      var row = Comparison.NodeDifference(
        model: head.configuration.model, configuration: head.label, node: name, op: (b ?? a)?.op ?? "",
        baseKernel: a?.kernel, headKernel: b?.kernel)
      (row.base, row.head) = (a?.time.value, b?.time.value)
      if let a, let b, min(a.time.count, b.time.count) >= Estimate.runsForVerdict {
        row.ratio = MedianInterval(
          value: b.time.value / a.time.value, low: b.time.low / a.time.high, high: b.time.high / a.time.low,
          count: min(a.time.count, b.time.count))
      }
      return row
    }
    var document = Document("\(base.configuration.model), \(base.label) → \(head.configuration.model), \(head.label)")
    document.text(
      "\(Format.time(base.plain.value)) (\(base.version)) → \(Format.time(head.plain.value)) (\(head.version)).")
    document.note(
      "the two profiles are of different sessions, so that all nodes may have moved together with the machine; "
        + "`bench-suite compare` interleaves the nodes of two versions.")
    document.text("`~`: the intervals of the two have values in common.")
    document.table(Comparison.table(rows, base: "base", head: "head"))
    return document
  }
}
