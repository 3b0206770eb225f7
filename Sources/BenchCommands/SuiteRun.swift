import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// One run of a suite as a person sees it: announcement, rows, progress, summary.
struct SuiteRun {
  var suite: Suite
  var options: RunnerOptions
  var command: String

  func run() async throws -> Record {
    let version = await currentVersion().description
    let url =
      try options.output.map { try OutputName($0, [Record.fileExtension]).url }
      ?? projectFolder.appendingPathComponent("Results/local/\(version)/\(suite.name).\(Record.fileExtension)")
    let plan = try suite.plan(catalog)
    for path in Set(plan.flatMap { catalog.axes.paths(of: $0.configuration) }) {
      try checkFile(path, plan.map(\.configuration))
    }
    var workers = Workers.standard(seed: options.seed)
    for work in plan.map({ catalog.axes.work(of: $0.configuration) }).uniqued() { try check(work, workers) }
    let machine = MachineDescription.current(catalog, git: version)
    workers.prefix = options.workerPrefix
    workers.maxMemory = options.maxMemory
    // Of a pair each process waits for the other too.
    workers.timeout = options.timeout + 3 * suite.job.minSeconds
    var start = RecordLine.Start(
      version: version, suite: suite.name,
      suiteDigest: Suite.digest(plan, catalog.axes, suite.job, prefix: options.workerPrefix),
      started: ISO8601DateFormatter().string(from: Date()), command: command, seed: workers.chance.seed,
      environment: machine, passes: catalog.passes.map(\.name), configurations: plan)
    if !options.workerPrefix.isEmpty { start.workerPrefix = options.workerPrefix }
    let lock = try RecordLock(url)
    defer { lock.release() }
    let former = options.resume ? try resumed(url, start) : nil
    if former == nil { try checkPlace(url) }
    // Found out now, not after minutes of measuring.
    try checkWritable(RecordLine.start(start).data, to: url)

    let terminal = Terminal(isQuiet: options.json, rows: (former ?? Record(start, catalog)).rows)
    terminal.announce(
      "\(Format.number(plan.count, "configuration")), at most \(Terminal.duration(suite.budget)), record → "
        + displayPath(url))
    for warning in machine.warnings { terminal.announce("note: \(warning)") }
    let runner =
      try former.map {
        try Runner(suite: suite, catalog, resuming: $0, workers: workers, to: url) { terminal.show($0) }
      } ?? Runner(suite: suite, catalog, start: start, workers: workers, to: url) { terminal.show($0) }
    let interrupts = onInterrupt { Task { await runner.interrupt() } }
    defer { for source in interrupts { source.cancel() } }
    let result = try await runner.run()
    terminal.finish()

    let isKept = FileManager.default.fileExists(atPath: url.path) && !OutputFile(url.path).isStream
    let document = result.document(catalog)
    let reports = !isKept ? [] : ["md", "html"].map(url.resultStem.appendingPathExtension)
    if result.hasTimes {
      for (report, text) in zip(reports, [document.markdown, document.html]) {
        try writeFile(Data(text.utf8), to: report)
        copyMode(of: url, to: report)
      }
    }
    if options.json {
      StandardOutput.print(try JSONReport().render(result, catalog), terminator: "")
    } else {
      terminal.summarise(result, url: displayPath(url), reports: result.hasTimes ? reports.map(displayPath) : [])
    }
    return result
  }

  /// 130 when interrupted, 3 when an output was wrong, 1 when a row failed or something was not measured or not checked.
  static func exitStatus(_ file: Record) -> Int32 {
    if file.ending == .interrupted { return 130 }
    func has(_ status: RowStatus) -> Bool { file.rows.contains { $0.status == status } }
    if has(.invalid) { return 3 }
    if has(.failed) || has(.unchecked) || has(.pending) { return 1 }
    return has(.measured) ? 0 : 1
  }

  private func resumed(_ url: URL, _ fresh: RecordLine.Start) throws -> Record {
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw UserError("nothing to resume at \(displayPath(url)); run without --resume")
    }
    let old = try Record.read(url, catalog)
    guard old.version == fresh.version else {
      throw UserError(
        "\(displayPath(url)) is of version \(old.version), this is \(fresh.version); run without --resume")
    }
    guard old.start.suiteDigest == fresh.suiteDigest, !old.isAsStored else {
      throw UserError(
        "\(displayPath(url)) was measured otherwise: its configurations, weights or inputs, iterations, warm-up or worker "
          + "prefix are not these (it was made with `\(old.command)`); run without --resume")
    }
    if let difference = old.environment.difference(from: fresh.environment) {
      throw UserError("\(displayPath(url)) was measured elsewhere: \(difference); run without --resume")
    }
    return old
  }

  /// Something else than a result, or than a result's reports, is not to be written over by one.
  private func checkPlace(_ url: URL) throws {
    guard !OutputFile(url.path).isStream else { return }
    let stem = url.resultStem
    for report in ["md", "html"].map(stem.appendingPathExtension) {
      guard let text = try? String(contentsOf: report, encoding: .utf8), !text.isEmpty else { continue }
      guard text.contains("Pacer, suite ") else {
        throw UserError("\(displayPath(report)) is no report of Pacer: it is not written over; choose another --output")
      }
    }
    guard let data = FileManager.default.contents(atPath: url.path), !data.isEmpty else { return }
    do { _ = try Record.read(url, catalog) } catch {
      throw UserError("\(error): it is not written over; choose another name with --output")
    }
  }

  /// What is wrong with a model file, its inputs or what they should give is said before anything runs, and once.
  private func check(_ work: Configuration, _ workers: Workers) throws {
    if work.modelReference.path != nil { _ = try WorkFiles.write(work, to: workers.cacheFolder) }
    guard let expect = work[Axes.expect], expect != Axes.engine.standard else { return }
    if let path = Axes.expect.values.path(of: .text(expect)) {
      _ = try WorkFiles.expected(path)
    } else if workers.references[expect] == nil {
      throw UnknownName(kind: "engine to expect", name: expect, known: workers.references.keys.sorted())
    }
  }

  private func checkFile(_ path: String, _ readers: [Configuration]) throws {
    var status = stat()
    guard stat(path, &status) == 0, FileManager.default.isReadableFile(atPath: path) else {
      throw UserError("\(path) cannot be read: no such file, or no permission")
    }
    // Inputs and outputs of a model file may be several.
    let isFolder = status.st_mode & S_IFMT == S_IFDIR
    if isFolder,
      readers.contains(where: {
        $0[Axes.input] == path && $0.modelReference.path != nil || $0[Axes.expect] == path || $0[Axes.calibrate] == path
      })
    {
      return
    }
    // It is read by every worker.
    guard status.st_mode & S_IFMT == S_IFREG else { throw UserError("\(path) cannot be read: it is no regular file") }
  }
}

/// Calls `body` instead of ending the program when it is asked to end, or its terminal is closed. Under `nohup` a closed
/// terminal goes on to mean nothing.
func onInterrupt(_ body: @escaping @Sendable () -> Void) -> [any DispatchSourceSignal] {
  ([SIGINT, SIGTERM] + (ignoresHangUp ? [] : [SIGHUP])).map { number in
    signal(number, SIG_IGN)
    let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
    source.setEventHandler(handler: DispatchWorkItem(block: body))
    source.resume()
    return source
  }
}

/// Whether the program was started to outlive its terminal.
private let ignoresHangUp: Bool = {
  let before = signal(SIGHUP, SIG_DFL)
  let isIgnored = unsafeBitCast(before, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
  if isIgnored { signal(SIGHUP, SIG_IGN) }
  return isIgnored
}()

/// The value of `body`, which is cancelled when the program is asked to end. Half of it decides nothing: the command ends
/// with status 130 then, unless the part there is is wanted.
func untilInterrupted<Value: Sendable>(
  keepsPart: Bool = false, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
  let task = Task { try await body() }
  let interrupts = onInterrupt { task.cancel() }
  defer { for source in interrupts { source.cancel() } }
  let result = await task.result
  if task.isCancelled && !keepsPart {
    StandardError.write("\nbench-suite: interrupted; nothing was decided or written\n")
    throw ExitCode(130)
  }
  return try result.get()
}

extension Workers {
  /// Pacer's own worker, and the engines under `Suites/peers` and of the harness.
  /// - Parameter seed: of all chance; nil for one that is drawn.
  static func standard(seed: UInt64? = nil) -> Workers {
    var workers = Workers(own: ownWorker, cacheFolder: referenceFolder, chance: Chance(seed: seed))
    workers.peers = Peers.commands(in: suitesFolders.map { $0.appendingPathComponent("peers") })
    workers.peers.merge(Harness.current.engines) { $1 }
    workers.references = workers.peers
    workers.exportFiles = { [folder = workers.cacheFolder] in try WorkFiles.write($0, to: folder) }
    workers.exportDrivers = { [folder = workers.cacheFolder] in try Drivers.write($0, to: folder) }
    workers.readExpected = { try WorkFiles.expected($0) }
    return workers
  }

  static var standard: Workers { standard() }

  /// The program that is measured.
  static var ownWorker: WorkerCommand {
    if let worker = Harness.current.worker { return worker }
    // One that is missing is told of where it is to be started.
    let folder = URL(fileURLWithPath: WorkerProgram.ownPath).deletingLastPathComponent()
    let usual = folder.appendingPathComponent(WorkerProgram.name).path
    return WorkerCommand(WorkerProgram.path ?? usual, version: protocolVersion)
  }
}

/// Where references and exported models are kept between runs: with the results, or where those cannot be written in a
/// folder of this user's own.
let referenceFolder: URL = {
  let usual = projectFolder.appendingPathComponent("Results/local/cache")
  let manager = FileManager.default
  try? manager.createDirectory(at: usual, withIntermediateDirectories: true)
  if manager.isWritableFile(atPath: usual.path) { return usual }
  let other = manager.temporaryDirectory.appendingPathComponent("pacer-cache-\(getuid())")
  try? manager.createDirectory(at: other, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
  var status = stat()
  if lstat(other.path, &status) == 0, status.st_uid == getuid(), status.st_mode & (S_IFMT | 0o077) == S_IFDIR {
    return other
  }
  return manager.temporaryDirectory.appendingPathComponent("pacer-cache-\(UUID())")
}()

/// A path from the working directory where that is shorter.
func displayPath(_ url: URL) -> String {
  let here = FileManager.default.currentDirectoryPath + "/"
  return url.path.hasPrefix(here) ? String(url.path.dropFirst(here.count)) : url.path
}
