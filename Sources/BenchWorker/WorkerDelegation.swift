import BenchProtocol
import Foundation
import Pacer

/// What a worker has to do with drivers.
extension Worker {
  /// Drivers besides those of the runtime, by what the configuration names them.
  func drivers(in path: String) throws -> [String: DriverProfile] {
    do {
      let data = try Data(contentsOf: URL(fileURLWithPath: path))
      return try JSONDecoder().decode([String: DriverProfile].self, from: data)
    } catch { throw BadFile(path, "it is no list of drivers: \(error)") }
  }

  /// What drivers do for an inference: their own times are means of five.
  func inspectDrivers(_ session: Session, _ infer: () throws -> Void) throws {
    guard let before = session.delegation else { return }
    let count = 5
    for _ in 0..<count { try infer() }
    guard let after = session.delegation else { return }
    func mean(_ path: KeyPath<DelegationStatistics, Int>) -> Double {
      Double(after[keyPath: path] - before[keyPath: path]) / Double(count)
    }
    try emit(.metric(.init("driver-models", mean(\.executions) + mean(\.fallbacks))))
    try emit(.metric(.init("driver-fallbacks", mean(\.fallbacks))))
    try emit(.metric(.init("driver-kept-bytes", Double(after.bytesKeptPerRun))))
    let hasRun = after.executions > before.executions
    for (name, path, reason) in [
      ("driver-time", \.inDriverNs, "a driver does not tell how long it took"),
      ("driver-wait", \.queuedNs, "a driver does not tell how long it waited"),
      ("driver-cpu-time", \.processorNs, "a driver does not tell its processor time"),
      ("driver-hardware-time", \.onHardwareNs, "no driver tells the time on its device"),
    ] as [(String, KeyPath<DelegationStatistics, Int?>, String)] {
      if hasRun, let last = after[keyPath: path],
        let first = before[keyPath: path] ?? (before.executions == 0 ? 0 : nil)
      {
        try emit(.metric(.init(name, Double(last - first) / Double(count))))
      } else {
        try emit(.metric(.init(name, unavailable: hasRun ? reason : "no driver executed anything")))
      }
    }
    try emitFallbacks(session)
  }

  /// Says whether the processor computed what was a driver's.
  func emitFallbacks(_ session: Session) throws {
    guard let delegation = session.delegation, delegation.fallbacks > 0 else { return }
    let all = delegation.executions + delegation.fallbacks
    try emit(
      .note(
        "\(delegation.fallbacks) of \(all) models for drivers were computed by nnapi-reference instead: first, "
          + (delegation.firstFailure ?? "a driver failed")))
  }
}

extension ModelWork {
  /// Where each node is to run by what it takes on each device of settings' backend; nil where that has none.
  package func measuredPartition(_ settings: Settings, _ runtime: Runtime) throws -> MeasuredPartition? {
    try (settings.backend as? NNAPIBackend)?.measuredPartition(
      of: graph, passes: remaining ?? runtime.passes(settings), fallback: settings.fallback, settings.options,
      samples: [inputs])
  }
}
