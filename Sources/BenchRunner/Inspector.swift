import BenchModel
import BenchProtocol
import Foundation
import TensorCore

/// Runs a configuration once for its deterministic metrics, and holds its output against the reference.
package struct Inspector: Sendable {
  let catalog: Catalog
  let workers: Workers
  /// Computes reference outputs. It needs no prefix: under emulation it would take minutes.
  let oracle: WorkerCommand

  package init(catalog: Catalog, workers: Workers, oracle: WorkerCommand? = nil) {
    self.catalog = catalog
    self.workers = workers
    self.oracle = oracle ?? workers.own
  }

  /// The row with its metrics, and whether it is measured, unavailable, failed, invalid or unchecked; as it was where the
  /// time was not enough.
  /// - Parameter seconds: that are left for it, its reference output included.
  package func inspect(_ pending: Row, within seconds: Double = .infinity) async -> Row {
    let watch = Stopwatch(workers.clock)
    let configuration = pending.configuration
    let outcome = await workers.perform(configuration, Job(.inspect, configuration), within: seconds)
    if outcome.isLate && seconds < workers.timeout { return pending }
    var result = pending
    (result.reason, result.hello, result.prepared, result.notes) = (nil, outcome.hello, outcome.prepared, [])
    result.add(notes: outcome.notes)
    if outcome.hello?.isDebugBuild == true {
      result.add(notes: ["\(configuration[Axes.engine]) was built without optimisation"])
    }
    for reading in outcome.readings {
      if let value = reading.value { result.metrics[reading.name] = value }
      if let reason = reading.unavailable { result.unavailableMetrics[reading.name] = Format.plain(reason) }
    }
    if let failure = outcome.failure {
      (result.status, result.reason) = (.failed, failure.description)
    } else if let reason = outcome.skipped {
      (result.status, result.reason) = (.unavailable, reason)
    } else {
      result.status = .measured
      if catalog.computesOutputs(configuration[Axes.backend]) {
        await check(outcome.output?.values, &result, within: seconds - watch.elapsed)
      }
    }
    return result
  }

  private func check(_ values: [Float]?, _ result: inout Row, within seconds: Double) async {
    guard let values else {
      (result.status, result.reason) = (.invalid, "the worker gave no output to check")
      return
    }
    result.outputDigest = Digest(of: values).hex
    let reference: [Float]
    do { reference = try await referenceOutput(for: result.configuration, within: seconds) } catch {
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
    let tolerance = Accuracy.tolerance(for: result.configuration)
    if !(accuracy.relative <= tolerance) {
      let text = "the output is off by %.2e of its largest value; allowed is %.0e"
      (result.status, result.reason) = (.invalid, String(format: text, accuracy.relative, tolerance))
    }
  }

  /// The output of the unoptimised graph with the reference ops, from the cache or from a worker: one inference.
  private func referenceOutput(for configuration: Configuration, within seconds: Double) async throws -> [Float] {
    var reference = catalog.axes.work(of: configuration)
    reference[Axes.kernels] = .reference
    var digest = Digest()
    // Keyed by what the files hold and by the program itself: another build's oracle is another oracle.
    for path in catalog.axes.paths(of: configuration) { digest.combine(FileDigest.of(path)) }
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
    let outcome = await workers.perform(oracle, Job(.output, reference), within: seconds)
    if let failure = outcome.failure {
      throw UserError(
        outcome.isLate ? "\(failure); a longer --time-budget or --timeout leaves time for it" : failure.description)
    }
    guard let output = outcome.output, let values = output.values else { throw UserError("the oracle gave no output") }
    try? writeFile(JSONEncoder().encode(output), to: url)
    return values
  }
}

extension RecordLine.Inspected {
  /// What an inspection found, as a line of a record.
  init(_ row: Row, at index: Int) {
    self.init(row: index, status: row.status)
    (reason, hello, prepared) = (row.reason, row.hello, row.prepared)
    notes = row.notes.isEmpty ? nil : row.notes
    (metrics, unavailable) = (row.metrics, row.unavailableMetrics.isEmpty ? nil : row.unavailableMetrics)
    (accuracy, output, expected) = (row.accuracy, row.outputDigest, row.expectedDigest)
  }
}
