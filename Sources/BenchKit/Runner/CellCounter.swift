import Foundation
import ModelZoo
import RuntimeCore
import TensorCore

/// Visits a cell once for its exact figures, and holds its output against the reference.
struct CellCounter: Sendable {
  let catalog: Catalog
  let workers: Workers
  /// Computes reference outputs. It needs no prefix: under emulation it would take minutes.
  let oracle: WorkerCommand

  init(catalog: Catalog, workers: Workers, oracle: WorkerCommand? = nil) {
    self.catalog = catalog
    self.workers = workers
    self.oracle = oracle ?? workers.own
  }

  /// The cell with its figures, and whether it is measured, unavailable, failed or invalid.
  func count(_ pending: CellResult) async -> CellResult {
    let outcome = await workers.perform(pending.cell, Job(.counts, pending.cell))
    var result = pending
    result.hello = outcome.hello
    result.prepared = outcome.prepared
    for figure in outcome.figures {
      if let value = figure.value { result.figures[figure.name] = value }
      if let reason = figure.unavailable { result.unavailableFigures[figure.name] = reason }
    }
    if let reason = outcome.failure {
      (result.status, result.reason) = (.failed, reason)
    } else if let reason = outcome.skipped {
      (result.status, result.reason) = (.unavailable, reason)
    } else {
      result.status = .measured
      if (try? catalog.backend(result.cell.backend).computesOutputs) != false {
        await check(outcome.output?.values, &result)
      }
    }
    return result
  }

  private func check(_ values: [Float]?, _ result: inout CellResult) async {
    guard let values else {
      (result.status, result.reason) = (.invalid, "the worker gave no output to check")
      return
    }
    result.outputDigest = Digest(of: values).hex
    do {
      let reference = try await referenceOutput(for: result.cell)
      result.expectedDigest = Digest(of: reference).hex
      guard let accuracy = Accuracy(values, reference: reference) else {
        (result.status, result.reason) = (.invalid, "the output has NaN or the wrong size")
        return
      }
      result.accuracy = accuracy
      let tolerance = Accuracy.tolerance(for: result.cell)
      if !(accuracy.relative <= tolerance) {
        let text = "the output is off by %.2e of its largest value; allowed is %.0e"
        (result.status, result.reason) = (.invalid, String(format: text, accuracy.relative, tolerance))
      }
    } catch {
      (result.status, result.reason) = (.invalid, "no reference output: \(error)")
    }
  }

  /// The output of the unoptimised graph with the reference ops, from the cache or from a worker.
  private func referenceOutput(for cell: Cell) async throws -> [Float] {
    var reference = Cell(model: cell.model)
    (reference.weights, reference.input, reference.shape) = (cell.weights, cell.input, cell.shape)
    reference.kernels = .reference
    var digest = Digest()
    // Keyed by the program itself: another build's oracle is another oracle.
    for path in [cell.weights, cell.input, oracle.executable].compactMap({ $0 }) {
      let attributes = try? FileManager.default.attributesOfItem(atPath: path)
      digest.combine("\(attributes?[.size] ?? 0) \(attributes?[.modificationDate] ?? 0)")
    }
    digest.combine(reference.id)
    let url = workers.cacheFolder.appendingPathComponent("reference-\(digest.hex).json")
    if let data = try? Data(contentsOf: url),
      let output = try? JSONDecoder().decode(WorkerLine.Output.self, from: data),
      let values = output.values
    {
      return values
    }
    let outcome = await oracle.run(Job(.counts, reference), timeout: workers.timeout)
    if let failure = outcome.failure { throw UserError(failure) }
    guard let output = outcome.output, let values = output.values else { throw UserError("the oracle gave no output") }
    try? writeAtomically(JSONEncoder().encode(output), to: url)
    return values
  }
}
