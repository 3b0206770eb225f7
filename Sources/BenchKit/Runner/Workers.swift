import Foundation

/// The commands that do a cell's work, and what they need for it.
public struct Workers: Sendable {
  public var own: WorkerCommand
  /// Put before `own`, as `qemu-x86_64 -cpu Nehalem`.
  public var prefix: [String] = []
  /// Whether `own` is another program that may not build the models itself, and gets them as files.
  public var exportsForOwn = false
  /// Commands of the peers, by engine name.
  public var peers: [String: WorkerCommand] = [:]
  /// Seconds after which a worker is ended.
  public var timeout: Double = 300
  /// Where reference outputs are kept between runs.
  public var cacheFolder: URL
  /// Writes what a peer needs of a cell and returns file paths by kind.
  public var exportFiles: (@Sendable (Cell) throws -> [String: String])?

  public init(own: WorkerCommand, cacheFolder: URL) {
    self.own = own
    self.cacheFolder = cacheFolder
  }

  /// The command for a cell, and the job with the files it needs.
  /// - Throws: ``UserError`` or ``UnknownName`` where there is no such engine or its files cannot be written.
  func resolve(_ cell: Cell, _ job: Job) throws -> (command: WorkerCommand, job: Job) {
    if cell.engine == "pacer" && !exportsForOwn { return (own.prefixed(prefix), job) }
    guard let command = cell.engine == "pacer" ? own : peers[cell.engine] else {
      throw UnknownName(kind: "engine", name: cell.engine, known: ["pacer"] + peers.keys.sorted())
    }
    var job = job
    if job.cell != nil {
      do { job.files = try exportFiles?(cell) ?? [:] } catch {
        throw UserError("the model could not be exported: \(error)")
      }
    }
    return (command, job)
  }

  /// - Parameter seconds: that are left, where those are fewer than a worker may take.
  func perform(_ cell: Cell, _ job: Job, within seconds: Double = .infinity) async -> JobOutcome {
    do {
      let (command, job) = try resolve(cell, job)
      return await command.run(job, timeout: max(min(timeout, seconds), 0.01))
    } catch {
      var outcome = JobOutcome()
      outcome.failure = "\(error)"
      return outcome
    }
  }
}
