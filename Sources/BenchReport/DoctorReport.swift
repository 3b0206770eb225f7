import BenchModel
import BenchStatistics
import Foundation

extension Doctor {
  public var report: Document {
    var document = Document("What this machine can measure")
    if let noise {
      var text = String(
        format: "Noise: %.1f %% (standard deviation of a pair of equal versions, %d pairs of %@ in %.0f s)",
        noise.sigma * 100, noise.pairs, noise.configuration, noise.seconds)
      if let sequence = noise.sigmaInSequence {
        text += String(format: "; of processes that run one after the other %.1f %%", sequence * 100)
      }
      text +=
        noise.resolvable.map {
          String(
            format: ". A gate of four such configurations finds a slowdown of %.1f %% here in five minutes.", $0 * 100)
        } ?? ". A gate of four such configurations finds no slowdown here in five minutes."
      document.text(text)
    } else if let noiseUnavailable {
      document.note("the noise was not measured: \(noiseUnavailable).")
    }
    document.heading("The machine")
    document.table(Table(["", "here"], left: 2, facts.map { [$0.name, $0.value] }))
    document.heading("Measured peaks")
    if let peaksUnavailable { document.note("\(peaksUnavailable).") }
    let names = peaks.flatMap { $0.memory.map(\.name) }.uniqued()
    let rows: [[String]] = peaks.map { peak in
      func giga(_ rate: Double?) -> String { rate.map { Format.significant($0 / 1e9) } ?? "unavailable" }
      var row = ["\(peak.threads)", giga(peak.arithmetic["fp32"]), giga(peak.arithmetic["int8"])]
      row += names.map { name in giga(peak.memory.first { $0.name == name }?.rate) }
      return row
    }
    let headings = ["threads", "fp32 GFLOP/s", "int8 GOP/s"] + names.map { "copy in \($0), GB/s" }
    document.table(Table(headings, left: 1, rows))
    document.text("A multiply-add is two operations; a copy counts what it reads and what it writes.")
    let advice = facts.compactMap { fact in fact.advice.map { "\(fact.name): \($0)." } }
    document.heading("What would make it better")
    if advice.isEmpty { document.text("Nothing that can be seen from here.") }
    for line in advice { document.text(line) }
    return document
  }
}
