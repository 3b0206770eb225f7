import ArgumentParser
import Foundation
import Pacer

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// One run of a suite as a person sees it: announcement, rows, progress, summary.
struct SuiteSession {
  var suite: Suite
  var options: RunnerOptions
  var resume = false
  var command: String

  func run() async throws -> ResultFile {
    let version = await Version.current(release: pacerRelease).description
    let url =
      options.output.map { URL(fileURLWithPath: $0) }
      ?? projectFolder.appendingPathComponent("Results/local/\(version)/\(suite.name).json")
    let cells = try suite.cells(catalog)
    for cell in cells.map(\.cell) { try checkFiles(cell) }
    let machine = MachineDescription.current(catalog, git: version)
    var file = ResultFile(
      version: version, suite: suite.name, suiteDigest: Suite.digest(cells),
      started: ISO8601DateFormatter().string(from: Date()), command: command, environment: machine,
      passes: catalog.passes.map(\.name), cells: cells)
    if resume { file = try resumed(url, file) }
    // Found out now, not after minutes of measuring.
    try file.write(to: url)

    var workers = Workers.standard
    workers.prefix = options.workerPrefix?.split(separator: " ").map(String.init) ?? []
    workers.timeout = options.timeout

    let labels = file.cells.map { $0.cell.label(allPasses: catalog.passes.map(\.name)) }
    let terminal = Terminal(isQuiet: options.json, labels: labels)
    terminal.announce(
      "\(cells.count) cells, at most \(Terminal.duration(suite.budget)), results → \(displayPath(url))")
    for warning in machine.warnings { terminal.announce("note: \(warning)") }
    let runner = Runner(catalog: catalog, suite: suite, file: file, workers: workers, resultURL: url) {
      terminal.show($0)
    }
    let interrupts = onInterrupt { Task { await runner.interrupt() } }
    defer { for source in interrupts { source.cancel() } }
    let result = try await runner.run()
    terminal.finish()

    let document = result.document(catalog)
    let reports = ["md", "html"].map { url.deletingPathExtension().appendingPathExtension($0) }
    for report in reports { try document.write(to: report) }
    if options.json {
      print(try JSONReport().render(result, catalog), terminator: "")
    } else {
      terminal.summarise(result, url: displayPath(url), reports: reports.map(displayPath))
    }
    return result
  }

  /// 130 when interrupted, 3 when an output was wrong, 1 when nothing was measured or a cell failed.
  static func exitStatus(_ file: ResultFile) -> Int32 {
    if !file.isComplete { return 130 }
    if file.cells.contains(where: { $0.status == .invalid }) { return 3 }
    if file.cells.contains(where: { $0.status == .failed }) { return 1 }
    return file.cells.contains { $0.status == .measured } ? 0 : 1
  }

  private func resumed(_ url: URL, _ fresh: ResultFile) throws -> ResultFile {
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw UserError("nothing to resume at \(displayPath(url)); run without --resume")
    }
    var old = try ResultFile.read(url)
    guard old.version == fresh.version, old.suiteDigest == fresh.suiteDigest else {
      throw UserError(
        "\(displayPath(url)) is of version \(old.version) and suite \(old.suiteDigest), this is \(fresh.version) and "
          + "\(fresh.suiteDigest); run without --resume")
    }
    old.isComplete = false
    return old
  }

  private func checkFiles(_ cell: Cell) throws {
    for path in [cell.weights, cell.input].compactMap({ $0 }) where !FileManager.default.isReadableFile(atPath: path) {
      throw UserError("\(path) cannot be read: no such file, or no permission")
    }
  }
}

/// Calls `body` instead of ending the program when it is asked to end.
func onInterrupt(_ body: @escaping @Sendable () -> Void) -> [any DispatchSourceSignal] {
  [SIGINT, SIGTERM].map { number in
    signal(number, SIG_IGN)
    let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
    source.setEventHandler(handler: DispatchWorkItem(block: body))
    source.resume()
    return source
  }
}

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
    FileHandle.standardError.write(Data("\nbench-suite: interrupted; nothing was decided or written\n".utf8))
    throw ExitCode(130)
  }
  return try result.get()
}

extension Workers {
  /// This program as the worker, and the peers under `Suites/peers`.
  static var standard: Workers {
    var workers = Workers(
      own: WorkerCommand(ownPath, ["worker"]),
      cacheFolder: projectFolder.appendingPathComponent("Results/local/cache"))
    workers.peers = Peers.commands(in: suitesFolder.appendingPathComponent("peers"))
    workers.exportFiles = { [folder = workers.cacheFolder] in try Peers.export($0, to: folder) }
    return workers
  }
}

/// This program's own file, for starting workers.
let ownPath = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]

/// A path from the working directory where that is shorter.
func displayPath(_ url: URL) -> String {
  let here = FileManager.default.currentDirectoryPath + "/"
  return url.path.hasPrefix(here) ? String(url.path.dropFirst(here.count)) : url.path
}
