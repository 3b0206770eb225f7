import ArgumentParser
import BenchModel
import BenchProtocol
import CMeasure
import Foundation
import Pacer

/// The program `bench-suite`, for whoever has a harness.
public enum BenchSuite {
  /// Runs the command line of this process and ends it.
  public static func main(_ harness: Harness) -> Never {
    pacer_keep_standard_descriptors()
    if let reason = InstructionSet.capError {
      StandardError.write("bench-suite: \(reason)\n")
      exit(64)
    }
    // Output that nobody reads is an error to be told, not the end of a measurement.
    signal(SIGPIPE, SIG_IGN)
    let words = Array(CommandLine.arguments.dropFirst())
    Task { exit(await run(words, harness)) }
    dispatchMain()
  }

  /// Runs one command line.
  /// - Returns: its exit status.
  public static func run(_ words: [String], _ harness: Harness) async -> Int32 {
    Harness.current = harness
    var status: Int32 = 0
    do {
      try checkRepetition(words)
      var command = try RootCommand.parseAsRoot(words)
      if var command = command as? any AsyncParsableCommand { try await command.run() } else { try command.run() }
    } catch {
      status = RootCommand.exitCode(for: error).rawValue
      let message = RootCommand.fullMessage(for: error)
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
      guard name == "--axis" || seen.insert(name).inserted else {
        throw ValidationError("\(name) is given twice; where several values are possible, a comma list takes them")
      }
    }
  }
}

struct RootCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench-suite",
    abstract: "Measures CNN inference through every optimisation and backend.",
    discussion: """
      Without a command it runs the suite `default`: MobileNetV2 and ResNet18 with no passes, each added, all passes,
      and each left out. `bench-suite measure mobilenet-v2` times one configuration.

      PACER_ISA=sse2, avx2 or avx512 caps the instruction set of this program and of every worker it starts.

      Exit status: 0 fine, 1 the tool failed, or something was not measured, 2 regression, 3 invalid, 4 improvement where
      asked for, 5 nothing to compare, 6 unresolved where that is strict, 64 usage, 130 interrupted.
      """,
    version: pacerRelease,
    groupedSubcommands: [
      CommandGroup(
        name: "Measure",
        subcommands: [
          RunCommand.self, MeasureCommand.self, ProfileCommand.self, MemoryCommand.self, KernelsCommand.self,
        ]),
      CommandGroup(name: "Compare", subcommands: [CompareCommand.self, GateCommand.self, BisectCommand.self]),
      CommandGroup(
        name: "Report",
        subcommands: [ReportCommand.self, RecipeCommand.self, HistoryCommand.self, RecordCommand.self]),
      CommandGroup(
        name: "Models",
        subcommands: [
          OptimizeCommand.self, QuantizeCommand.self, VerifyCommand.self, AccuracyCommand.self, ClassifyCommand.self,
          ExportCommand.self,
          PlacementCommand.self,
          OpsCommand.self, BisectAccuracyCommand.self,
        ]),
      CommandGroup(
        name: "Machine",
        subcommands: [DoctorCommand.self, ListCommand.self, SchemaCommand.self, CheckWorkerCommand.self]),
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
