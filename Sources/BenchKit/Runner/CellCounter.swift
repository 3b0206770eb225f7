import Foundation
import ModelZoo
import RuntimeCore
import TensorCore

/// Runs a cell once for its exact figures, and holds its output against the reference.
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

  /// The cell with its figures, and whether it is measured, unavailable, failed, invalid or unchecked; as it was where the
  /// time was not enough.
  /// - Parameter seconds: that are left for it, its reference output included.
  func count(_ pending: CellResult, within seconds: Double = .infinity) async -> CellResult {
    let watch = Stopwatch()
    let outcome = await workers.perform(pending.cell, Job(.counts, pending.cell), within: seconds)
    if outcome.isLate && seconds < workers.timeout { return pending }
    var result = pending
    result.reason = nil
    result.hello = outcome.hello
    result.prepared = outcome.prepared
    result.notes = nil
    result.add(notes: outcome.notes)
    if outcome.hello?.isDebugBuild == true {
      result.add(notes: ["\(pending.cell.engine) was built without optimisation"])
    }
    for figure in outcome.figures {
      if let value = figure.value { result.figures[figure.name] = value }
      if let reason = figure.unavailable { result.unavailableFigures[figure.name] = Format.plain(reason) }
    }
    if let reason = outcome.failure {
      (result.status, result.reason) = (.failed, reason)
    } else if let reason = outcome.skipped {
      (result.status, result.reason) = (.unavailable, reason)
    } else {
      result.status = .measured
      if (try? catalog.backend(result.cell.backend).computesOutputs) != false {
        await check(outcome.output?.values, &result, within: seconds - watch.elapsed)
      }
    }
    return result
  }

  private func check(_ values: [Float]?, _ result: inout CellResult, within seconds: Double) async {
    guard let values else {
      (result.status, result.reason) = (.invalid, "the worker gave no output to check")
      return
    }
    result.outputDigest = Digest(of: values).hex
    let reference: [Float]
    do { reference = try await referenceOutput(for: result.cell, within: seconds) } catch {
      (result.status, result.reason) = (.unchecked, "no reference output: \(error)")
      return
    }
    result.expectedDigest = Digest(of: reference).hex
    guard let accuracy = Accuracy(values, reference: reference) else {
      let isUsable = reference.allSatisfy(\.isFinite)
      (result.status, result.reason) =
        isUsable
        ? (.invalid, "the output has NaN or infinity, or the wrong size")
        : (.unchecked, "the reference output itself has NaN or infinity: look at the weights and the input")
      return
    }
    result.accuracy = accuracy
    let tolerance = Accuracy.tolerance(for: result.cell)
    if !(accuracy.relative <= tolerance) {
      let text = "the output is off by %.2e of its largest value; allowed is %.0e"
      (result.status, result.reason) = (.invalid, String(format: text, accuracy.relative, tolerance))
    }
  }

  /// The output of the unoptimised graph with the reference ops, from the cache or from a worker: one inference.
  private func referenceOutput(for cell: Cell, within seconds: Double) async throws -> [Float] {
    var reference = Cell(model: cell.model)
    (reference.weights, reference.input, reference.shape) = (cell.weights, cell.input, cell.shape)
    reference.kernels = .reference
    var digest = Digest()
    // Keyed by what the files hold and by the program itself: another build's oracle is another oracle.
    for path in [cell.weights, cell.input].compactMap({ $0 }) { digest.combine(FileDigest.of(path)) }
    digest.combine(FileDigest.ofProgram(oracle.executable))
    digest.combine(reference.id)
    let url = workers.cacheFolder.appendingPathComponent("reference-\(digest.hex).json")
    if let data = try? Data(contentsOf: url),
      let output = try? JSONDecoder().decode(WorkerLine.Output.self, from: data),
      let values = output.values
    {
      return values
    }
    guard seconds > 0 else { throw UserError("the budget was spent before it could be computed") }
    let outcome = await oracle.run(Job(.output, reference), timeout: min(workers.timeout, seconds))
    if let failure = outcome.failure {
      throw UserError(outcome.isLate ? "\(failure); a longer --time-budget or --timeout leaves time for it" : failure)
    }
    guard let output = outcome.output, let values = output.values else { throw UserError("the oracle gave no output") }
    try? writeFile(JSONEncoder().encode(output), to: url)
    return values
  }
}
