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
    var verdict: String
    var text: String
    var isFailure: Bool
  }

  private var findings: [Finding] {
    var list: [Finding] = []
    if let wrong {
      list.append(Finding(group: "exact", name: "output", verdict: "INVALID", text: wrong, isFailure: true))
    }
    for (group, differences) in [("exact", differences), ("compare", comparison?.exact.differences ?? [])] {
      list += differences.map {
        Finding(
          group: group, name: "\($0.model): \($0.cell): \($0.metric)", verdict: $0.verdict.rawValue,
          text: "\($0.base) → \($0.head)",
          isFailure: !isAccepted && ($0.verdict == .regression || $0.verdict == .changed && policy.isStrict))
      }
    }
    list += (comparison?.exact.failures ?? []).map {
      Finding(
        group: "compare", name: "\($0.model): \($0.cell)", verdict: "REGRESSION", text: "measured → \($0.reason)",
        isFailure: true)
    }
    if let invalid = comparison?.invalid {
      list.append(Finding(group: "time", name: "validity", verdict: "INVALID", text: invalid, isFailure: true))
    }
    list += (comparison?.times ?? []).map { time in
      let change = time.series.failure ?? (time.series.pairs.isEmpty ? "no pairs" : Format.change(time.series.ratio))
      let text = time.verdict == "UNRESOLVED" && !time.series.pairs.isEmpty ? "\(change); \(time.explanation)" : change
      return Finding(
        group: "time", name: "\(time.series.model): \(time.series.label)", verdict: time.verdict, text: text,
        isFailure: ["REGRESSION", "FAILED"].contains(time.verdict) || time.verdict == "UNRESOLVED" && policy.isStrict)
    }
    if let timingProblem {
      list.append(Finding(group: "time", name: "base", verdict: "NO-DATA", text: timingProblem, isFailure: false))
    }
    return list
  }

  /// JUnit XML: a test case per finding, and one for all figures that are as promised.
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
        default: result.unicodeScalars.append(character)
        }
      }
      return result
    }
    let findings = findings
    let failures = findings.count { $0.isFailure }
    let skipped = findings.count { !$0.isFailure && ["NO-DATA", "UNRESOLVED"].contains($0.verdict) }
    var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    text += "<testsuites name=\"pacer gate\" tests=\"\(findings.count + 1)\" failures=\"\(failures)\">\n"
    text += "  <testsuite name=\"pacer gate\" tests=\"\(findings.count + 1)\" failures=\"\(failures)\" "
    text += "skipped=\"\(skipped)\" time=\"\(String(format: "%.1f", elapsed))\">\n"
    text += "    <testcase classname=\"gate\" name=\"\(counted) cells counted\"/>\n"
    for finding in findings {
      text += "    <testcase classname=\"gate.\(finding.group)\" name=\"\(escaped(finding.name))\""
      let message = escaped("\(finding.verdict): \(finding.text)")
      if finding.isFailure {
        text += ">\n      <failure message=\"\(message)\"/>\n    </testcase>\n"
      } else if ["NO-DATA", "UNRESOLVED"].contains(finding.verdict) {
        text += ">\n      <skipped message=\"\(message)\"/>\n    </testcase>\n"
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
    let failures = findings.filter(\.isFailure).prefix(10).map { ("error", $0) }
    let warnings = findings.filter {
      !$0.isFailure && ["UNRESOLVED", "NO-DATA", "CHANGED", "LAYOUT"].contains($0.verdict)
    }
    .prefix(10).map { ("warning", $0) }
    return (failures + warnings).map { level, finding in
      "::\(level) title=Pacer gate, \(finding.verdict)::" + escaped("\(finding.name): \(finding.text)")
    }
  }
}
