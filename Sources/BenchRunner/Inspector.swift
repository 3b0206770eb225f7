import BenchModel
import BenchProtocol
import Foundation
import Synchronization
import TensorCore

/// Runs a configuration once for its deterministic metrics, and holds its outputs against the reference.
package struct Inspector: Sendable {
  let catalog: Catalog
  let workers: Workers
  /// Computes reference outputs. It needs no prefix: under emulation it would take minutes.
  let oracle: WorkerCommand
  private let found = Found()

  package init(catalog: Catalog, workers: Workers, oracle: WorkerCommand? = nil) {
    self.catalog = catalog
    self.workers = workers
    self.oracle = oracle ?? workers.own
  }

  /// Outputs that others are held against, and where they come from.
  private struct Reference: Sendable {
    var outputs: [[Float]]
    /// Nil for Pacer's oracle.
    var source: String?
    var isFile = false
    /// Whether the model rounds numbers to integers.
    var isQuantised = false
  }
  /// What an oracle computed, as a file.
  private struct OracleFile: Codable {
    var outputs: [WorkerLine.Output]
    var isQuantised: Bool
  }
  private struct BudgetSpent: Error {}

  /// What was found out already: one inference for all rows of the same work, even where no file can be kept.
  private final class Found: Sendable {
    let references = Mutex<[Configuration: Result<Reference, any Error>]>([:])
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
        let isChecked = await check(outcome.outputs.map(\.values), &result, within: seconds - watch.elapsed)
        // Not checked for want of time: it is inspected anew when there is some.
        if !isChecked { return pending }
      }
    }
    return result
  }

  /// - Returns: false where the budget was spent before there was anything to hold the outputs against.
  private func check(_ outputs: [[Float]?], _ result: inout Row, within seconds: Double) async -> Bool {
    guard !outputs.isEmpty, !outputs.contains(nil) else {
      (result.status, result.reason) = (.invalid, "the worker gave no output to check")
      return true
    }
    let outputs = outputs.map { $0! }
    result.outputDigest = Digest(of: outputs.flatMap { $0 }).hex
    let reference: Reference
    do { reference = try await self.reference(for: result.configuration, within: seconds) } catch is BudgetSpent {
      return false
    } catch {
      (result.status, result.reason) = (.unchecked, "\(error)")
      return true
    }
    result.expectedDigest = Digest(of: reference.outputs.flatMap { $0 }).hex
    result.expectedFrom = reference.source
    guard reference.outputs.allSatisfy({ $0.allSatisfy(\.isFinite) }) else {
      (result.status, result.reason) = (
        .unchecked, "the reference output itself has NaN or infinity: look at the weights and the input"
      )
      return true
    }
    if outputs.count < reference.outputs.count {
      (result.status, result.reason) = (
        .invalid, "\(outputs.count) of \(reference.outputs.count) outputs are there"
      )
      return true
    }
    // A file may say what is right of the first ones alone.
    if outputs.count > reference.outputs.count {
      result.add(notes: ["of \(outputs.count) outputs the first \(reference.outputs.count) were checked"])
    }
    let sizes = zip(outputs, reference.outputs).map { ($0.count, $1.count) }
    if reference.isFile, let wrong = sizes.first(where: { $0 != $1 }) {
      (result.status, result.reason) = (
        .unchecked,
        "\(reference.source ?? "") has \(wrong.1) numbers where the output has \(wrong.0): it is another output's"
      )
      return true
    }
    let accuracies = zip(outputs, reference.outputs).map { Accuracy($0, reference: $1) }
    guard let accuracy = Accuracy(worstOf: accuracies) else {
      (result.status, result.reason) = (.invalid, "the output has NaN or infinity, or the wrong size")
      return true
    }
    result.accuracy = accuracy
    let tolerance = Accuracy.tolerance(
      for: result.configuration, isQuantised: reference.isQuantised || result.prepared?.isQuantised == true)
    if !(accuracy.relative <= tolerance) {
      let text = "the output is off by %.2e of its largest value; allowed is %.0e"
      (result.status, result.reason) = (.invalid, String(format: text, accuracy.relative, tolerance))
    }
    return true
  }

  // MARK: Reference outputs

  /// What says which output of a model file is right where nobody named anything and Pacer has not all of its ops: what its format
  /// was made for.
  private static let usualEngine = "onnxruntime"
  /// Why the oracle has no output.
  private struct OracleLacks: Error { var reason: String }

  private func reference(for configuration: Configuration, within seconds: Double) async throws -> Reference {
    let work = catalog.axes.work(of: configuration)
    if let known = found.references.withLock({ $0[work] }) { return try known.get() }
    do {
      let reference = try await makeReference(work, within: seconds)
      found.references.withLock { $0[work] = .success(reference) }
      return reference
    } catch let error where !(error is BudgetSpent) {
      // It would fail for every row of this work, and might take as long each time.
      found.references.withLock { $0[work] = .failure(error) }
      throw error
    }
  }

  private func makeReference(_ work: Configuration, within seconds: Double) async throws -> Reference {
    let expect = work[Axes.expect]
    if let path = expect.flatMap({ Axes.expect.values.path(of: .text($0)) }) {
      guard let read = workers.readExpected else { throw UserError("no reference output: \(path) cannot be read here") }
      return Reference(outputs: try read(path), source: "file \(path.split(separator: "/").last ?? "")", isFile: true)
    }
    if let expect, expect != Axes.engine.standard { return try await outputs(of: expect, work, within: seconds) }
    do { return try await oracleReference(work, within: seconds) } catch let lack as OracleLacks {
      guard expect == nil, work.modelReference.path != nil, !work.modelReference.isPacerFile else {
        throw UserError("no reference output: \(lack.reason)")
      }
      return try await outputs(of: Self.usualEngine, work, within: seconds)
    }
  }

  /// What a named engine computes, in a process of its own.
  private func outputs(of engine: String, _ work: Configuration, within seconds: Double) async throws -> Reference {
    guard seconds > 0 else { throw BudgetSpent() }
    var (others, configuration) = (workers, work)
    (others.peers, configuration[Axes.engine]) = (workers.references, engine)
    let outcome = await others.perform(configuration, Job(.inspect, configuration), within: seconds)
    if outcome.isLate && seconds < workers.timeout { throw BudgetSpent() }
    if let problem = outcome.problem {
      throw UserError(
        "no reference output: \(engine), which is to say what is right: \(problem); --expect names another")
    }
    let outputs = outcome.outputs.compactMap(\.values)
    guard !outputs.isEmpty else { throw UserError("no reference output: \(engine) gave none") }
    let version = outcome.hello.map { " " + Format.plain($0.version) } ?? ""
    return Reference(outputs: outputs, source: engine + version)
  }

  /// The outputs of the unoptimised graph with the reference ops, from the cache or from a worker: one inference.
  private func oracleReference(_ work: Configuration, within seconds: Double) async throws -> Reference {
    var reference = work
    (reference[Axes.kernels], reference[Axes.expect]) = (.reference, nil)
    var digest = Digest()
    // Keyed by what the files hold and by the program itself: another build's oracle is another oracle.
    for path in catalog.axes.paths(of: work) { digest.combine(FileDigest.of(path)) }
    digest.combine(FileDigest.ofProgram(oracle.executable))
    digest.combine(reference.id)
    let url = workers.cacheFolder.appendingPathComponent("reference-\(digest.hex).json")
    if let data = try? Data(contentsOf: url),
      let kept = try? JSONDecoder().decode(OracleFile.self, from: data), !kept.outputs.isEmpty
    {
      let values = kept.outputs.compactMap(\.values)
      if values.count == kept.outputs.count { return Reference(outputs: values, isQuantised: kept.isQuantised) }
    }
    guard seconds > 0 else { throw BudgetSpent() }
    let outcome = await workers.perform(oracle, Job(.output, reference), within: seconds)
    if let reason = outcome.skipped { throw OracleLacks(reason: reason) }
    if let failure = outcome.failure {
      if outcome.isLate && seconds < workers.timeout { throw BudgetSpent() }
      throw UserError(
        "no reference output: \(failure)" + (outcome.isLate ? "; a longer --timeout leaves time for it" : ""))
    }
    let values = outcome.outputs.compactMap(\.values)
    guard !values.isEmpty, values.count == outcome.outputs.count else {
      throw UserError("no reference output: the oracle gave none")
    }
    let file = OracleFile(outputs: outcome.outputs, isQuantised: outcome.prepared?.isQuantised == true)
    try? writeFile(JSONEncoder().encode(file), to: url)
    return Reference(outputs: values, isQuantised: file.isQuantised)
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
    expectedFrom = row.expectedFrom
  }
}
