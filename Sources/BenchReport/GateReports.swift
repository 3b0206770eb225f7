import BenchModel
import BenchStatistics
import Foundation

extension GateResult {
  /// For a person, and for the summary of a workflow.
  public var report: Document {
    var document = Document("Pacer gate: \(verdict.rawValue)")
    document.text(sentence)
    if !differences.isEmpty {
      document.heading("Against the committed baseline")
      document.table(Comparison.table(differences, base: "baseline", head: "now"))
    }
    if let comparison { document.append(comparison.report) }
    document.text("Version \(version), \(Int(elapsed)) s.")
    return document
  }

  /// One finding of the gate, as machines list them.
  private struct Finding {
    var group: String
    var name: String
    var verdict: Verdict
    var text: String
    var isFailure: Bool
  }

  private var findings: [Finding] {
    var list: [Finding] = []
    if let wrong {
      list.append(Finding(group: "exact", name: "output", verdict: .invalid, text: wrong, isFailure: true))
    }
    for (group, differences) in [("exact", differences), ("compare", comparison?.exact.differences ?? [])] {
      list += differences.map {
        Finding(
          group: group, name: "\($0.model): \($0.configuration): \($0.metric)", verdict: $0.verdict,
          text: "\($0.base) → \($0.head)", isFailure: isFailure($0))
      }
    }
    list += (comparison?.exact.failures ?? []).map {
      Finding(
        group: "compare", name: "\($0.model): \($0.configuration)", verdict: .regression,
        text: "measured → \($0.reason)",
        isFailure: true)
    }
    list += (comparison?.exact.failed ?? []).map {
      Finding(
        group: "compare", name: "\($0.model): \($0.configuration)", verdict: .noData,
        text: $0.base == $0.head ? $0.base : "base \($0.base); head \($0.head)", isFailure: verdict == .noData)
    }
    if let invalid = comparison?.invalid {
      list.append(Finding(group: "time", name: "validity", verdict: .invalid, text: invalid, isFailure: true))
    }
    list += (comparison?.times ?? []).map { time in
      let change = time.series.failure ?? (time.pairs.isEmpty ? "no pairs" : Format.change(time.paired.ratio))
      let text = time.verdict == .unresolved && !time.pairs.isEmpty ? "\(change); \(time.explanation)" : change
      return Finding(
        group: "time", name: time.name, verdict: time.verdict, text: text,
        isFailure: [.regression, .failed].contains(time.verdict) || time.verdict == .unresolved && policy.isStrict)
    }
    if let timingProblem {
      list.append(Finding(group: "time", name: "base", verdict: .noData, text: timingProblem, isFailure: true))
    }
    if verdict == .noData && !list.contains(where: \.isFailure) {
      list.append(Finding(group: "gate", name: "data", verdict: .noData, text: sentence, isFailure: true))
    }
    return list
  }

  private func isFailure(_ difference: ExactComparison.Difference) -> Bool {
    if isAccepted { return false }
    return switch difference.verdict {
    case .regression: true
    case .changed: policy.isStrict
    case .noData: difference.metric == Baseline.allMetrics
    case .improvement, .pass, .unresolved, .invalid, .failed: false
    }
  }

  /// One case for each configuration that was counted, with what differs in it; and one for each other finding.
  private var testCases: [Finding] {
    let counted = rows.map { row -> Finding in
      let mine = differences.filter { $0.id == row.id }
      let failures = mine.filter(isFailure)
      let verdicts = (failures.isEmpty ? mine : failures).map(\.verdict)
      let first: Verdict? = [.regression, .noData, .changed, .improvement].first {
        verdicts.contains($0)
      }
      return Finding(
        group: "exact", name: "\(row.model): \(row.configuration)", verdict: first ?? .pass,
        text: mine.map { "\($0.metric): \($0.base) → \($0.head)" }.joined(separator: "; "), isFailure: !failures.isEmpty
      )
    }
    let known = Set(rows.map(\.id))
    let others = differences.filter { !known.contains($0.id) }
    let names = Set(others.map { "\($0.model): \($0.configuration): \($0.metric)" })
    return counted + findings.filter { $0.group != "exact" || $0.name == "output" || names.contains($0.name) }
  }

  /// JUnit XML: a test case for every configuration that was counted or timed.
  public var junit: String {
    func escaped(_ text: String) -> String {
      var result = ""
      for character in text.unicodeScalars {
        switch character {
        case "&": result += "&amp;"
        case "<": result += "&lt;"
        case ">": result += "&gt;"
        case "\"": result += "&quot;"
        case _ where character.value < 0x20 && character != "\n" && character != "\t": result += "?"
        case "\u{FFFE}", "\u{FFFF}": result += "?"
        default: result.unicodeScalars.append(character)
        }
      }
      return result
    }
    func isSkipped(_ finding: Finding) -> Bool {
      !finding.isFailure && [.noData, .unresolved].contains(finding.verdict)
    }
    let cases = testCases
    let counts =
      "tests=\"\(cases.count)\" failures=\"\(cases.count { $0.isFailure })\" skipped=\"\(cases.count(where: isSkipped))\""
    var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    text += "<testsuites name=\"pacer gate\" \(counts)>\n"
    text += "  <testsuite name=\"pacer gate\" \(counts) time=\"\(String(format: "%.1f", elapsed))\">\n"
    for finding in cases {
      text += "    <testcase classname=\"gate.\(finding.group)\" name=\"\(escaped(finding.name))\""
      let message = escaped("\(finding.verdict.rawValue): \(finding.text)")
      if finding.isFailure {
        text += ">\n      <failure message=\"\(message)\"/>\n    </testcase>\n"
      } else if isSkipped(finding) {
        text += ">\n      <skipped message=\"\(message)\"/>\n    </testcase>\n"
      } else if finding.text.isEmpty {
        text += "/>\n"
      } else {
        text += ">\n      <system-out>\(message)</system-out>\n    </testcase>\n"
      }
    }
    return text + "  </testsuite>\n</testsuites>\n"
  }

  /// Workflow commands that a GitHub runner shows at the top of a run; at most ten of each kind are shown there.
  public var annotations: [String] {
    func escaped(_ text: String) -> String {
      text.replacingOccurrences(of: "%", with: "%25").replacingOccurrences(of: "\r", with: "%0D")
        .replacingOccurrences(of: "\n", with: "%0A")
    }
    // Properties are divided by commas, and end with colons.
    func property(_ text: String) -> String {
      escaped(text).replacingOccurrences(of: ":", with: "%3A").replacingOccurrences(of: ",", with: "%2C")
    }
    let failures = findings.filter(\.isFailure).prefix(10).map { ("error", $0) }
    let warnings = findings.filter {
      !$0.isFailure && [.unresolved, .noData, .changed].contains($0.verdict)
    }
    .prefix(10).map { ("warning", $0) }
    return (failures + warnings).map { level, finding in
      "::\(level) title=\(property("Pacer gate, \(finding.verdict.rawValue)"))::"
        + escaped("\(finding.name): \(finding.text)")
    }
  }
}
