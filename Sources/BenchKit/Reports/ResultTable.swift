import Foundation

/// The table of a result: the same cells in the terminal and in Markdown.
public struct ResultTable: Sendable {
  public static let headings = ["cell", "latency", "±", "ratio", "±", "n", "mallocs", "tensors", "peak", "error"]

  /// One row of a cell; where it has no figures, its label and the reason.
  /// - Parameter label: what a cell's id is called.
  public static func row(_ result: CellResult, _ label: (String) -> String = { $0 }) -> [Table.Field] {
    func reason(_ text: String) -> [Table.Field] { [Table.Field(result.label), Table.Field(text)] }
    switch result.status {
    case .pending: return reason("not measured" + (result.reason.map { ": \($0)" } ?? ""))
    case .unavailable: return reason("unavailable: \(result.reason ?? "")")
    case .failed: return reason("FAILED: \(result.reason ?? "")")
    case .invalid: return reason("INVALID: \(result.reason ?? "")")
    case .unchecked: return reason("not checked: \(result.reason ?? "")")
    case .same: return reason("same graph as \(result.sameAs.map(label) ?? "")")
    case .measured: break
    }
    func field(_ value: Double?, _ text: (Double) -> String) -> Table.Field {
      Table.Field(value.map(text) ?? "–", key: value)
    }
    func metric(_ name: String, _ text: (Double) -> String) -> Table.Field {
      field(standardMetrics.first { $0.name == name }.flatMap { $0.value(result) }, text)
    }
    func spread(_ estimate: Estimate?) -> Table.Field {
      field(estimate?.relativeHalfWidth) { _ in Format.spread(estimate!) }
    }
    let isBaseline = result.baseline == nil
    return [
      Table.Field(result.label + (result.remarks.isEmpty ? "" : " *")), field(result.latency?.value, Format.time),
      spread(result.latency),
      isBaseline
        ? field(result.relativeTime?.value) { _ in "1" }
        : field(result.ratio?.value) { _ in Format.ratio(result.ratio!) },
      isBaseline ? "" : spread(result.ratio), field(Double(result.visits.count), Format.count),
      metric("heap-allocations", Format.count), metric("tensor-allocations", Format.count),
      metric("peak-resident", Format.bytes), metric("error") { String(format: "%.0e", $0) },
    ]
  }

  /// What the marks of rows stand for: what throws doubt on their times. Other work, which disturbs many, is told of once.
  public static func notes(_ cells: [CellResult]) -> [String] {
    let measured = cells.filter { $0.status == .measured }
    var lines = measured.filter { $0.notes?.isEmpty == false }.map {
      "* \($0.cell.model), \($0.label): \($0.notes!.joined(separator: "; "))."
    }
    let disturbed = measured.filter { $0.otherWork != nil }
    if disturbed.count < 4 {
      lines += disturbed.map { "* \($0.cell.model), \($0.label): \($0.otherWork!.words)." }
    } else {
      let all = disturbed.reduce(into: CellResult.OtherWork()) { $0.add($1.otherWork!) }
      lines.append("* \(all.words) of \(disturbed.count) of the marked rows.")
    }
    return lines
  }

  /// What a run left out, in a sentence that stands before everything else; nil where it did all it was to do.
  public static func shortfall(_ file: ResultFile) -> String? {
    guard let ending = file.ending else { return nil }
    let seconds = file.elapsed < 10 ? String(format: "%.2g", file.elapsed) : "\(Int(file.elapsed))"
    let missing = file.cells.count { $0.status == .pending }
    let count =
      "\(missing) of \(Format.number(file.cells.count, "configuration")) \(missing == 1 ? "was" : "were") not measured"
    let all = missing == 0 ? "some runs are missing" : missing == file.cells.count ? "nothing was measured" : count
    return switch ending {
    case .interrupted: "Interrupted after \(seconds) s: \(all)."
    case .budget: "The budget was spent after \(seconds) s: \(all). A longer --time-budget leaves time for it."
    }
  }

  /// What backends other than the processor ran on: a GPU, or software that plays one.
  public static func devices(_ file: ResultFile) -> [String] {
    file.cells.compactMap { result in
      guard result.cell.backend != "cpu", result.accuracy != nil, let device = result.prepared?.device else {
        return nil
      }
      let engine = result.cell.engine == "pacer" ? "" : " (\(result.cell.engine))"
      return "\(result.cell.backend)\(engine) ran on \(device)."
    }.uniqued()
  }

  /// What a person can repeat: nothing is named that did not win beyond its interval.
  public static func verdict(_ file: ResultFile) -> String {
    let peers = PeerFinding.all(in: file).map(\.words)
    if !peers.isEmpty { return peers.joined(separator: " ") }
    return file.cells.map(\.cell.model).uniqued().compactMap { model in
      verdict(file.cells.filter { $0.cell.model == model && $0.status == .measured && $0.latency != nil }, model, file)
    }.joined(separator: " ")
  }

  private static func verdict(_ measured: [CellResult], _ model: String, _ file: ResultFile) -> String? {
    let pacer = measured.filter { $0.cell.engine == "pacer" && $0.accuracy != nil }
    let backend = pacer.contains { $0.cell.backend == "cpu" } ? "cpu" : pacer.first?.cell.backend
    let there = pacer.filter { $0.cell.backend == backend && $0.cell.precision == .fp32 }
    // Of cells with most passes the plainest: the fastest of many noisy ones would praise the luckiest.
    let most = there.map(\.cell.passes.count).max() ?? 0
    let threads = there.map(\.cell.threads).min() ?? 1
    let fitting = there.filter { $0.cell.threads == threads && $0.cell.passes.count == most }
    guard let first = fitting.first, measured.count > 1 else { return nil }
    // Other inputs are other work.
    let own = fitting.filter {
      $0.cell.shape == first.cell.shape && $0.cell.weights == first.cell.weights && $0.cell.input == first.cell.input
    }
    let place = backend == "cpu" ? (threads == 1 ? "one thread" : "\(threads) threads") : backend!
    var sentence = "\(model) takes \(Format.time(first.latency!.value)) on \(place) with \(first.label)"
    if let baseline = first.baseline, let ratio = first.ratio {
      let effect = Attribution.Effect(of: ratio, over: .one)
      let than = file.label(baseline)
      let words =
        switch effect.finding {
        case .faster:
          ", \(Format.speedup(ratio))× faster than \(than) (95 % interval \(Format.speedupInterval(ratio))×)"
        case .slower: ", slower than \(than): speed-up \(effect.words)"
        case .none: ", not significantly different from \(than) (\(Format.speedupInterval(ratio))×)"
        case .unknown, .sameGraph:
          "; against \(than) it is not resolved after \(Format.number(ratio.count, "pair")), a longer --time-budget would tell"
        }
      sentence += words
    }
    sentence += "."
    // Which of several is the fastest is said where it beats each of the others.
    guard own.count > 1 else { return sentence }
    let winner = own.first { candidate in
      own.allSatisfy { other in
        guard candidate.cell != other.cell else { return true }
        guard candidate.hasBaseline(of: other), let a = candidate.relativeTime, let b = other.relativeTime else {
          return false
        }
        return Attribution.Effect(of: a, over: b).finding == .faster
      }
    }
    let names = own.map(\.label).joined(separator: "; ")
    return sentence
      + (winner.map { " Fastest of \(names): \($0.label)." } ?? " Which of these is fastest is not resolved: \(names).")
  }
}

extension CellResult {
  /// Work of others beside its runs.
  struct OtherWork {
    /// Processors that others kept busy in a run from which on the run is remarked on.
    static let least = 0.3

    /// The most processors they kept busy in a run.
    var most = 0.0
    var disturbed = 0
    var runs = 0

    mutating func add(_ other: OtherWork) {
      (most, disturbed, runs) = (max(most, other.most), disturbed + other.disturbed, runs + other.runs)
    }
    var words: String {
      String(format: "other work kept up to %.1f processors busy during %d of ", most, disturbed)
        + Format.number(runs, "run")
    }
  }

  /// Nil where there was none to speak of.
  var otherWork: OtherWork? {
    let loads = visits.compactMap { $0.figures["other-load"] }.filter { $0 > OtherWork.least }
    return loads.isEmpty ? nil : OtherWork(most: loads.max()!, disturbed: loads.count, runs: visits.count)
  }

  /// What throws doubt on its times: what workers said, and other work beside its runs.
  var remarks: [String] { (notes ?? []) + [otherWork?.words].compactMap { $0 } }
}

extension Sequence where Element: Hashable {
  func uniqued() -> [Element] {
    var seen = Set<Element>()
    return filter { seen.insert($0).inserted }
  }
}
