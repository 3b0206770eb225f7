import Foundation

/// What a machine can do at most, as its own worker measured it.
public struct Peaks: Codable, Sendable {
  public struct Memory: Codable, Sendable {
    /// `L1`, `L2`, `L3`, `memory`.
    public var name: String
    public var bytes: Double
    /// Bytes read and written a second by a copy that stays in it.
    public var rate: Double
  }

  public var isa: String?
  public var threads: Int
  /// Operations a second by type; a multiply-add is two.
  public var arithmetic: [String: Double] = [:]
  public var memory: [Memory] = []

  /// The smallest memory that holds so many bytes.
  public func memory(holding bytes: Double) -> Memory? { memory.first { $0.bytes >= bytes } ?? memory.last }

  /// All of them in one phrase.
  var words: String {
    let arithmetic = arithmetic.sorted { $0.key < $1.key }.map { name, rate in
      "\(Format.significant(rate / 1e9)) G\(name == "fp32" ? "FLOP" : "OP")/s (\(name))"
    }
    return (arithmetic + memory.map { "\(Format.significant($0.rate / 1e9)) GB/s in \($0.name)" })
      .joined(separator: ", ")
  }

  /// - Throws: ``UserError`` with the worker's reason.
  public static func measure(_ workers: Workers, backend: String, isa: String?, threads: Int) async throws -> Peaks {
    var cell = Cell(model: "")
    (cell.backend, cell.isa, cell.threads) = (backend, isa, threads)
    let outcome = await workers.perform(cell, Job(.peaks, cell))
    if let reason = outcome.failure ?? outcome.skipped { throw UserError("the peaks cannot be measured: \(reason)") }
    var peaks = Peaks(isa: outcome.hello?.isa, threads: threads)
    let figures = outcome.figures
    for figure in figures where figure.name.hasPrefix("peak-") && figure.name != "peak-resident" {
      peaks.arithmetic[String(figure.name.dropFirst(5))] = figure.value
    }
    for figure in figures where figure.name.hasPrefix("copy-") {
      let name = String(figure.name.dropFirst(5))
      guard let rate = figure.value, let size = figures.first(where: { $0.name == "size-\(name)" })?.value else {
        continue
      }
      peaks.memory.append(Memory(name: name, bytes: size, rate: rate))
    }
    return peaks
  }
}
