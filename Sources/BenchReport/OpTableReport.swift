import BenchModel
import BenchStatistics

extension OpTable {
  public var report: Document {
    var document = Document("Which op runs where")
    let ops = entries.map(\.op).uniqued()
    // A backend that is not there at all is one sentence, not a column.
    let columns = entries.map(\.column).uniqued()
    let absent = columns.filter { column in
      entries.allSatisfy { $0.column != column || $0.correct + $0.wrong.count == 0 }
    }
    let present = columns.filter { !absent.contains($0) }
    document.table(
      Table(
        ["op"] + present, left: 1 + present.count,
        ops.map { op in
          [op] + present.map { column in entries.first { $0.op == op && $0.column == column }?.words ?? "–" }
        }))
    for column in absent {
      document.text("\(column): unsupported, \(entries.first { $0.column == column }?.reason ?? "").")
    }
    document.text(
      "In brackets: the cases, each held against the op's own scalar loops. `fast` kernels are made for speed; what has none "
        + "runs on the `reference`, those loops.")
    let wrong = entries.flatMap { entry in entry.wrong.map { "\(entry.column): \($0)" } }
    if !wrong.isEmpty {
      document.heading("Wrong")
      for line in wrong { document.text(line) }
    }
    return document
  }
}
