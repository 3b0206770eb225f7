import BenchModel
import BenchStatistics
import Foundation

/// How Pacer stands beside other engines: against each of them, from processes that ran interleaved with it.
public struct PeerFinding: Sendable {
  public struct Rival: Sendable {
    public var configuration: Row
    /// Pacer's time over this engine's.
    public var ratio: Estimate
    var effect: Attribution.Effect { Attribution.Effect(of: ratio, over: .one) }
  }

  public var pacer: Row
  public var rivals: [Rival]

  /// Pairs with each rival that a claim against all of them needs.
  static let pairsForClaim = 10

  /// One for each row of Pacer that other engines' ratios are to.
  public static func all(in file: Record) -> [PeerFinding] {
    let measured = file.rows.filter { $0.status == .measured }
    let most = measured.filter { $0.configuration[Axes.engine] == "pacer" }.map { $0[Axes.passes].count }.max() ?? 0
    // With everything off, Pacer is nobody's measure.
    let own = measured.filter {
      $0.configuration[Axes.engine] == "pacer" && $0.baseline == nil && $0.configuration[Axes.passes].count == most
    }
    return own.compactMap { pacer in
      let rivals = measured.filter { $0.configuration[Axes.engine] != "pacer" && $0.baseline == pacer.id }.compactMap {
        other in
        other.ratio.map { Rival(configuration: other, ratio: $0.inverse) }
      }
      return rivals.isEmpty ? nil : PeerFinding(pacer: pacer, rivals: rivals.sorted { $0.ratio.value > $1.ratio.value })
    }
  }

  /// Whether Pacer is faster than each of them: all at once with at most one chance in twenty of a wrong claim (Holm), from
  /// ten pairs or more each.
  public var beatsAll: Bool {
    guard rivals.allSatisfy({ $0.ratio.count >= Self.pairsForClaim && $0.ratio.value < 1 && $0.ratio.logError > 0 })
    else {
      return false
    }
    let p = rivals.map { 1 - studentTCumulative(-log($0.ratio.value) / $0.ratio.logError, $0.ratio.count - 1) }.sorted()
    // As strict as the intervals, for the same reason.
    let level = 2 * (1 - Estimate.quantile)
    return p.enumerated().allSatisfy { $1 <= level / Double(p.count - $0) }
  }

  /// Without it nobody is called the fastest: by Winograd's way it is the fastest other engine for some networks.
  static let indispensable = "mnn"

  /// Engines that a sentence names, of those with one finding.
  private static let shown = 3

  /// Whether Pacer may be called the fastest of these.
  public var isFastest: Bool {
    beatsAll && rivals.count > 1 && rivals.contains { $0.configuration[Axes.engine] == Self.indispensable }
  }

  /// "mobilenet-v2, pacer, all passes, arena: faster than executorch 1.22× (1.19–1.25); not resolved against ncnn (2 pairs)."
  public var words: String {
    func list(_ finding: Attribution.Effect.Finding, _ phrase: String) -> String? {
      let those = rivals.filter { $0.effect.finding == finding }
      guard !those.isEmpty else { return nil }
      // The nearest of them: who beats those beats the others by more.
      let shown = those.prefix(Self.shown).map { rival in
        "\(rival.configuration.label) \(finding == .slower ? rival.effect.slowdown : rival.effect.words)"
      }
      let more = those.count > Self.shown ? " and \(those.count - Self.shown) more" : ""
      return phrase + shown.joined(separator: ", ") + more
    }
    let parts = [
      list(.faster, "faster than "), list(.slower, "slower than "), list(.none, "against "), list(.unknown, "against "),
    ]
    let claim = isFastest ? "; faster than every other engine measured here" : ""
    return "\(pacer.configuration.model), \(pacer.label): " + parts.compactMap { $0 }.joined(separator: "; ") + claim
      + "."
  }
}
