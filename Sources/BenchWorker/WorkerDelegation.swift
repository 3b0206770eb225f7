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
    if after.executions > before.executions {
      try emit(.metric(.init("driver-time", mean(\.inDriverNs))))
      try emit(.metric(.init("driver-wait", mean(\.queuedNs))))
      try emit(.metric(.init("driver-cpu-time", mean(\.processorNs))))
    } else {
      for name in ["driver-time", "driver-wait", "driver-cpu-time"] {
        try emit(.metric(.init(name, unavailable: "no driver executed anything")))
      }
    }
    if let hardware = after.onHardwareNs, let first = before.onHardwareNs {
      try emit(.metric(.init("driver-hardware-time", Double(hardware - first) / Double(count))))
    } else {
      try emit(.metric(.init("driver-hardware-time", unavailable: "no driver tells the time on its device")))
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
