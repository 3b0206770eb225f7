import Foundation

/// The whole result as Markdown.
public struct MarkdownReport: Report {
  public let name = "markdown"
  public init() {}

  public func render(_ file: ResultFile, _ catalog: Catalog) -> String {
    var text = "# Pacer, suite `\(file.suite)`, version \(file.version)\n\n"
    let verdict = ResultTable.verdict(file)
    if !verdict.isEmpty { text += verdict + "\n\n" }
    let machine = file.environment
    text += "Measured \(file.started) on \(machine.processor) (\(machine.isa), \(machine.processors) processors, "
    text += "\(machine.system), \(machine.libc)) in \(Int(file.elapsed)) s"
    text += file.isComplete ? ".\n" : "; interrupted, so some cells have fewer visits.\n"
    for warning in machine.warnings { text += "\n> Note: \(warning).\n" }
    for model in file.cells.map(\.cell.model).uniqued() { text += section(model, file, catalog) }
    text += """

      ## How to read this

      Latency is the median inference of a fresh process, averaged (geometrically) over n processes; ± is half the 95 %
      interval over those processes. The ratio is to the row of the same model marked 1, which was measured just before
      and just after: below 1 is faster. An effect whose interval holds 1 is not resolved. mallocs and tensors are calls in one
      steady inference; peak is the resident set above that of an empty worker; error is the largest difference from
      the reference output over its largest value.

      Made with `\(file.command)`.

      """
    return text
  }

  private func section(_ model: String, _ file: ResultFile, _ catalog: Catalog) -> String {
    let cells = file.cells.filter { $0.cell.model == model }
    var text = "\n## \(model)\n\n"
    text += "| " + ResultTable.headings.joined(separator: " | ") + " |\n"
    text += "|---" + String(repeating: "|--:", count: ResultTable.headings.count - 1) + "|\n"
    for cell in cells {
      let row = ResultTable.row(cell)
      if let note = row.note {
        text += "| \(row.fields[0]) | \(note.replacingOccurrences(of: "|", with: "\\|"))"
        text += String(repeating: " |", count: ResultTable.headings.count - 2) + " |\n"
      } else {
        text += "| " + row.fields.joined(separator: " | ") + " |\n"
      }
    }
    text += passes(cells, catalog) + figures(cells, catalog)
    return text
  }

  private func passes(_ cells: [CellResult], _ catalog: Catalog) -> String {
    guard let full = cells.filter({ $0.prepared != nil }).max(by: { $0.cell.passes.count < $1.cell.passes.count }),
      let prepared = full.prepared, !prepared.passes.isEmpty
    else { return "" }
    var text = "\n| pass | rewrites | without it |\n|---|--:|---|\n"
    for result in prepared.passes {
      let off = catalog.passes.first { $0.name == result.name }?.off ?? ""
      text +=
        "| \(result.name) | \(result.rewrites == 0 ? "0: no effect on this model" : "\(result.rewrites)") | \(off) |\n"
    }
    return text
  }

  private func figures(_ cells: [CellResult], _ catalog: Catalog) -> String {
    let measured = cells.filter { $0.status == .measured }
    let metrics = catalog.metrics.filter { metric in measured.contains { metric.value($0) != nil } }
    guard !measured.isEmpty, !metrics.isEmpty else { return "" }
    var text =
      "\nAll figures, medians over processes:\n\n| cell | " + metrics.map(\.name).joined(separator: " | ") + " |\n"
    text += "|---" + String(repeating: "|--:", count: metrics.count) + "|\n"
    for cell in measured {
      let fields = metrics.map { metric in metric.value(cell).map { Format.value($0, metric.unit) } ?? "–" }
      text += "| \(cell.label) | " + fields.joined(separator: " | ") + " |\n"
    }
    for (name, reason) in measured.first?.unavailableFigures.sorted(by: { $0.key < $1.key }) ?? [] {
      text += "\n\(name): unavailable, \(reason).\n"
    }
    return text
  }
}

/// The result file itself.
public struct JSONReport: Report {
  public let name = "json"
  public init() {}
  public func render(_ file: ResultFile, _ catalog: Catalog) -> String {
    (try? JSONEncoder.readable.encode(file)).map { String(decoding: $0, as: UTF8.self) + "\n" } ?? ""
  }
}

/// One line per cell, one column per metric.
public struct CSVReport: Report {
  public let name = "csv"
  public init() {}
  public func render(_ file: ResultFile, _ catalog: Catalog) -> String {
    func quoted(_ text: String) -> String { "\"" + text.replacingOccurrences(of: "\"", with: "\"\"") + "\"" }
    var text = (["model", "cell", "status", "visits"] + catalog.metrics.map(\.name)).joined(separator: ",") + "\n"
    for cell in file.cells {
      let fields =
        [cell.cell.model, quoted(cell.label), cell.status.rawValue, "\(cell.visits.count)"]
        + catalog.metrics.map { metric in cell.status == .measured ? metric.value(cell).map { "\($0)" } ?? "" : "" }
      text += fields.joined(separator: ",") + "\n"
    }
    return text
  }
}
