import BenchModel
import BenchStatistics
import Foundation

extension SelfTestOutcome {
  public static func markdown(_ trials: [Trial]) -> String {
    func rate(_ count: Int, _ all: Int) -> String {
      guard all > 0 else { return "–" }
      let (low, high) = SignTest.interval(count, of: all)
      return String(format: "%d/%d (%.0f–%.0f%%)", count, all, low * 100, high * 100)
    }
    return Table(
      ["head", "false positives", "found", "passed", "unresolved", "invalid", "σ of a pair", "pairs", "s a gate"],
      left: 1,
      trials.map { trial in
        let each = Double(max(trial.gates, 1))
        return [
          trial.name, rate(trial.falsePositives, trial.gates), rate(trial.found, trial.slowed),
          rate(trial.missed, trial.slowed),
          "\(trial.unresolved)", "\(trial.invalid)",
          String(format: "%.1f%%", median(trial.sigmas) * 100), String(format: "%.0f", Double(trial.pairs) / each),
          String(format: "%.0f", trial.seconds / each),
        ]
      }
    ).markdown
  }
}
