/// How Pacer stands beside other engines: its time over that of the fastest of them in the same place.
public struct PeerFinding: Sendable {
  public var pacer: CellResult
  public var best: CellResult
  /// Pacer's time over the other's, of processes that took turns.
  public var ratio: Estimate

  /// One for each cell of Pacer that other engines' ratios are to.
  public static func all(in file: ResultFile) -> [PeerFinding] {
    let measured = file.cells.filter { $0.status == .measured }
    let most = measured.filter { $0.cell.engine == "pacer" }.map(\.cell.passes.count).max() ?? 0
    // With everything off, Pacer is nobody's measure.
    let own = measured.filter { $0.cell.engine == "pacer" && $0.baseline == nil && $0.cell.passes.count == most }
    return own.compactMap { pacer in
      let others = measured.filter {
        $0.cell.engine != "pacer" && $0.cell.model == pacer.cell.model && $0.baseline == pacer.label && $0.ratio != nil
      }
      guard let best = others.min(by: { $0.ratio!.value < $1.ratio!.value }), let ratio = best.ratio else { return nil }
      return PeerFinding(pacer: pacer, best: best, ratio: Estimate.product([(ratio, -1)]))
    }
  }

  /// "mobilenet-v2, all on, arena, 2 threads: 0.87 ±3.0% of the time of executorch, 2 threads, the fastest other engine."
  public var words: String {
    "\(pacer.cell.model), \(pacer.label): \(Format.ratio(ratio)) \(Format.spread(ratio)) of the time of \(best.label), "
      + "the fastest other engine."
  }
}
