import ArgumentParser
import CMeasure
import Foundation
import Pacer

@main
enum Program {
  static func main() {
    pacer_keep_standard_descriptors()
    let words = CommandLine.arguments
    if words.dropFirst().first == "supervise" { exit(supervise(Array(words.dropFirst(2)))) }
    if let reason = InstructionSet.capError {
      StandardError.write("bench-suite: \(reason)\n")
      exit(64)
    }
    // A worker has no use for an executor's threads: it runs on the one thread it has.
    if words.dropFirst() == ["worker"] { exit(Worker.serve(catalog)) }
    // Output that nobody reads is an error to be told, not the end of a measurement.
    signal(SIGPIPE, SIG_IGN)
    Task { exit(await run(Array(words.dropFirst()))) }
    dispatchMain()
  }

  private static func run(_ words: [String]) async -> Int32 {
    var status: Int32 = 0
    do {
      try checkRepetition(words)
      var command = try BenchSuite.parseAsRoot(words)
      if var command = command as? any AsyncParsableCommand { try await command.run() } else { try command.run() }
    } catch {
      status = BenchSuite.exitCode(for: error).rawValue
      let message = BenchSuite.fullMessage(for: error)
      if !message.isEmpty { status == 0 ? StandardOutput.write(message + "\n") : StandardError.write(message + "\n") }
    }
    if let failure = StandardOutput.failure {
      StandardError.write("bench-suite: standard output cannot be written: \(failure)\n")
      if status == 0 { status = 1 }
    }
    return status
  }

  /// An option that is given twice would be dropped once without a word.
  private static func checkRepetition(_ words: [String]) throws {
    var seen = Set<Substring>()
    for word in words.prefix(while: { $0 != "--" }) where word.hasPrefix("--") {
      let name = word.prefix { $0 != "=" }
      guard seen.insert(name).inserted else {
        throw ValidationError("\(name) is given twice; where several values are possible, a comma list takes them")
      }
    }
  }

  private static func supervise(_ words: [String]) -> Int32 {
    let command = words.first == "--" ? Array(words.dropFirst()) : words
    guard !command.isEmpty else {
      StandardError.write("bench-suite supervise -- COMMAND: a command is missing\n")
      return 64
    }
    var arguments = command.map { strdup($0) } + [nil]
    return arguments.withUnsafeMutableBufferPointer { pacer_supervise($0.baseAddress!) }
  }
}

struct BenchSuite: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench-suite",
    abstract: "Measures CNN inference through every optimisation and backend.",
    discussion: """
      Without a command it runs the suite `default`: MobileNetV2 and ResNet18 with no passes, each added, all passes,
      and each left out. `bench-suite measure mobilenet-v2` times one configuration.

      PACER_ISA=baseline, avx2 or avx512 caps the instruction set of this program and of every worker it starts.

      Exit status: 0 fine, 1 the tool failed, or something was not measured, 2 regression, 3 invalid, 4 improvement where
      asked for, 5 nothing to compare, 6 unresolved where that is strict, 64 usage, 130 interrupted.
      """,
    version: pacerRelease,
    subcommands: [
      RunCommand.self, MeasureCommand.self, ListCommand.self, ClassifyCommand.self, ExportCommand.self,
      ReportCommand.self, CompareCommand.self, GateCommand.self, BisectCommand.self, RecordCommand.self,
      ProfileCommand.self, KernelsCommand.self, MemoryCommand.self, DoctorCommand.self, RecipeCommand.self,
      HistoryCommand.self,
      OpsCommand.self,
      BisectAccuracyCommand.self,
    ],
    defaultSubcommand: RunCommand.self)
}

/// Ends the command with a message for the user and status 1.
func userFacing<T>(_ body: () async throws -> T) async throws -> T {
  do { return try await body() } catch let error as ExitCode { throw error } catch let error as CleanExit {
    throw error
  } catch let error as ValidationError { throw error } catch {
    StandardError.write("bench-suite: \(error)\n")
    throw ExitCode(1)
  }
}
