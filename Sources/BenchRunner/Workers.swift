import BenchModel
import BenchProtocol
import Foundation
import struct RuntimeCore.MeasuredPartition
import Synchronization
import TensorCore

/// The commands that do a configuration's work, and what they need for it.
public struct Workers: Sendable {
  public var own: WorkerCommand
  /// Put before `own`, as `qemu-x86_64 -cpu Nehalem`.
  public var prefix: [String] = []
  /// Whether `own` is another program that may not build the models itself, and gets them as files.
  public var exportsForOwn = false
  /// Commands of other engines, by name.
  public var peers: [String: WorkerCommand] = [:]
  /// Engines whose outputs others are held against, where a configuration says so: `peers`, unless what runs under their
  /// names is something else.
  public var references: [String: WorkerCommand] = [:]
  /// Bytes that a worker's weights and tensors may take; nil for what its machine has.
  public var maxMemory: Int?
  /// Seconds after which a worker is ended.
  public var timeout: Double = 300
  /// Where reference outputs are kept between runs.
  public var cacheFolder: URL
  /// Writes what an engine needs of a configuration and returns file paths by kind.
  public var exportFiles: (@Sendable (Configuration) throws -> [String: String])?
  /// Writes the drivers that a configuration names and the worker does not have, and returns the file; nil where it has them all.
  public var exportDrivers: (@Sendable (Configuration) throws -> String?)?
  /// Reads the outputs that a file or a folder says are right.
  public var readExpected: (@Sendable (String) throws -> [[Float]])?
  public var chance: Chance
  public var clock = MonotonicClock.system
  package var launcher: any Launcher = ProcessLauncher()
  /// Of the protocol, by command: each is asked once.
  private let versions = Versions()
  /// Each is measured once, so that all processes run the same one.
  private var partitions = Partitions()

  public init(own: WorkerCommand, cacheFolder: URL, chance: Chance = Chance()) {
    (self.own, self.cacheFolder, self.chance) = (own, cacheFolder, chance)
  }

  private final class Versions: Sendable {
    let known = Mutex<[WorkerCommand: Int]>([:])
  }

  private final class Partitions: Sendable {
    /// By configuration: those that commands run, one behind the other. What was read from a record is any command's.
    let known = Mutex<[Configuration: [(command: WorkerCommand?, partition: MeasuredPartition)]]>([:])
  }

  /// The partition that processes of a configuration run; nil where none was measured.
  package func measuredPartition(of configuration: Configuration) -> MeasuredPartition? {
    partitions.known.withLock { $0[configuration]?.first?.partition }
  }

  /// Has all processes of a configuration run a partition that was measured before.
  package func adopt(_ partition: MeasuredPartition, for configuration: Configuration) {
    partitions.known.withLock { $0[configuration] = [(nil, partition)] }
  }

  /// Has workers of another version run the partitions of these, where they have the same nodes and devices: what a plan owes to the
  /// noise of measuring it is no change between versions.
  package func sharePartitions(with other: inout Workers) { other.partitions = partitions }

  /// The command for a configuration, in a protocol that it understands, and the job with the files it needs.
  /// - Throws: ``UserError`` or ``UnknownName`` where there is no such engine or its files cannot be written.
  package func assignment(_ configuration: Configuration, _ job: Job) async throws -> Assignment {
    let engine = configuration[Axes.engine]
    let isOwn = engine == Axes.engine.standard
    guard var command = isOwn ? own.prefixed(prefix) : peers[engine] else {
      throw UnknownName(kind: "engine", name: engine, known: [Axes.engine.standard] + peers.keys.sorted())
    }
    command.version = await version(of: command)
    var job = job
    if job.layout == nil && job.action != .output { job.layout = chance.layout() }
    // What outputs are held against is no worker's business.
    job.configuration?[Axes.expect] = nil
    if job.configuration != nil && (!isOwn || exportsForOwn) { job.files = try files(of: configuration) }
    job.maxMemory = maxMemory
    if isOwn {
      try addModelFiles(to: &job, of: configuration)
      if job.configuration != nil { job.files["drivers"] = try exportDrivers?(configuration) }
      if job.configuration != nil, configuration[Axes.partition] == "measured", job.action != .partition {
        job.partition = try await partition(of: configuration, command, job.files)
      }
    }
    return Assignment(command, job)
  }

  /// Where the nodes of a configuration run by what they take, which a process of its own measures before all others.
  private func partition(
    of configuration: Configuration, _ command: WorkerCommand, _ files: [String: String]
  ) async throws -> MeasuredPartition? {
    let known = partitions.known.withLock { $0[configuration] ?? [] }
    if let own = known.first(where: { $0.command == nil || $0.command == command }) { return own.partition }
    var job = Job(.partition, configuration)
    job.configuration?[Axes.expect] = nil
    (job.files, job.maxMemory) = (files, maxMemory)
    let outcome = await launcher.run(Assignment(command, job), timeout: timeout)
    // What cannot run here says so itself.
    if outcome.skipped != nil { return nil }
    guard outcome.failure == nil, let measured = outcome.partition else {
      throw UserError("the partition could not be measured: \(outcome.problem ?? "the worker tells nothing of it")")
    }
    // Somebody else may have measured it meanwhile.
    return partitions.known.withLock { known in
      let alike = known[configuration]?.first { other in
        other.partition.graph == measured.graph && other.partition.devices.map(\.name) == measured.devices.map(\.name)
      }
      let partition = alike?.partition ?? measured
      known[configuration, default: []].append((command, partition))
      return partition
    }
  }

  /// A model file reaches every engine in the same form, with the same inputs.
  private func addModelFiles(to job: inout Job, of configuration: Configuration) throws {
    if job.configuration != nil, configuration.modelReference.path != nil { job.files = try files(of: configuration) }
  }

  private func files(of configuration: Configuration) throws -> [String: String] {
    do { return try exportFiles?(configuration) ?? [:] } catch {
      throw UserError("the model could not be written for the engines: \(error)")
    }
  }

  /// The protocol that a command speaks: what its hello says. One that says none is taken for this program's.
  private func version(of command: WorkerCommand) async -> Int {
    if let version = command.version ?? versions.known.withLock({ $0[command] }) { return version }
    var hello = await launcher.run(Assignment(command, Job(.idle)), timeout: min(timeout, 60)).hello
    if hello == nil {
      // Version 1 says no hello to a job that it cannot read.
      var old = command
      old.version = 1
      hello = await launcher.run(Assignment(old, Job(.idle)), timeout: min(timeout, 60)).hello
    }
    let version = hello?.protocol == 1 ? 1 : protocolVersion
    // A worker that could not be asked is asked again.
    if hello != nil { versions.known.withLock { $0[command] = version } }
    return version
  }

  /// - Parameter seconds: that are left, where those are fewer than a worker may take.
  package func perform(_ configuration: Configuration, _ job: Job, within seconds: Double = .infinity) async
    -> JobOutcome
  {
    let engine = configuration[Axes.engine]
    if engine != Axes.engine.standard, configuration.modelReference.isPacerFile {
      return JobOutcome([.skipped(reason: "\(engine) reads no .pacer files")])
    }
    do {
      return await launcher.run(
        try await assignment(configuration, job), timeout: max(min(timeout, seconds), 0.01))
    } catch {
      return JobOutcome(failure: .notStarted("\(error)"))
    }
  }

  /// One job of a command that is no engine's, such as the control.
  package func perform(_ command: WorkerCommand, _ job: Job, within seconds: Double = .infinity) async -> JobOutcome {
    var job = job
    do { if let configuration = job.configuration { try addModelFiles(to: &job, of: configuration) } } catch {
      return JobOutcome(failure: .notStarted("\(error)"))
    }
    return await launcher.run(await assignment(command, job), timeout: max(min(timeout, seconds), 0.01))
  }

  package func assignment(_ command: WorkerCommand, _ job: Job) async -> Assignment {
    var (command, job) = (command, job)
    command.version = await version(of: command)
    if job.layout == nil && job.action != .output { job.layout = chance.layout() }
    return Assignment(command, job)
  }

  /// The version that a command says it has; nil where it says none.
  public func release(of command: WorkerCommand) async -> String? {
    await launcher.run(await assignment(command, Job(.idle)), timeout: 60).hello?.version
  }
}
