import BenchModel
import BenchStatistics
import Foundation

extension KernelSurvey {
  public var report: Document {
    var document = Document("Kernels alone, on \(peaks.threads) thread\(peaks.threads > 1 ? "s" : "")")
    document.text("Version \(version), on \(environment.summary).")
    for warning in environment.warnings { document.note("\(warning).") }
    document.text("Measured peaks: \(peaks.words).")
    let models = kernels.map(\.model).uniqued()
    func percent(_ share: Double) -> Table.Field {
      Table.Field(share > 0 ? String(format: "%.0f%%", share * 100) : "–", key: share)
    }
    document.table(
      Table(
        ["model", "node", "kernel", "shapes", "×", "time", "±", "GFLOP/s", "of peak", "GB/s", "of bandwidth", "lost"],
        left: 4,
        kernels.map { kernel in
          Table.Row([
            Table.Field(kernel.model), Table.Field(kernel.node), Table.Field(kernel.kernel), Table.Field(kernel.shapes),
            Table.Field("\(kernel.count)", key: Double(kernel.count)),
            Table.Field(Format.time(kernel.time.value), key: kernel.time.value),
            Table.Field(Format.spread(kernel.time), key: kernel.time.relativeHalfWidth),
            kernel.speed.map { Table.Field(Format.significant($0 / 1e9), key: $0) } ?? "–",
            percent(kernel.arithmeticLimit / kernel.time.value),
            Table.Field(Format.significant(kernel.bandwidth / 1e9), key: kernel.bandwidth),
            percent(kernel.memoryLimit / kernel.time.value),
            Table.Field(Format.time(kernel.lost), key: kernel.lost),
          ])
        }))
    for model in models {
      let own = kernels.filter { $0.model == model }
      let whole = own.reduce(0) { $0 + $1.time.value * Double($1.count) }
      let lost = own.reduce(0) { $0 + $1.lost }
      document.text(
        "\(model): all kernels together take \(Format.time(whole)), of which \(Format.time(lost)) are lost.")
    }
    document.text(
      """
      Each kernel runs by itself, again and again, so that what it computes on is in the smallest memory that holds it; × is \
      how many nodes of the model run it. Shares are of the measured arithmetic and of the measured copies in that memory; \
      lost is what the model would win if all of them ran at the nearer of the two. GFLOP/s count the multiplications of the \
      direct algorithm: Winograd's does a quarter of them, so that its share can be over 100 %, and what it has lost is not \
      seen here. Bytes are those that have to \
      be moved at least: what a block keeps in cache between its convolutions is not among them. Made with `\(command)`.
      """)
    return document
  }
}
