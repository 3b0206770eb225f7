import ArgumentParser
import Foundation
import Pacer

@main
enum Program {
  /// A worker has no use for an executor's threads: it runs on the one thread it has.
  static func main() {
    if CommandLine.arguments.dropFirst() == ["worker"] { exit(Worker.serve(catalog)) }
    Task {
      await BenchSuite.main()
      exit(0)
    }
    dispatchMain()
  }
}

struct BenchSuite: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench-suite",
    abstract: "Measures CNN inference through every optimisation and backend.",
    discussion: """
      Without a command it runs the suite `default`: MobileNetV2 and ResNet18 with every pass off, each added, all on,
      and each left out. `bench-suite measure mobilenet-v2` times one cell.

      Exit status: 0 fine, 1 the tool failed or measured nothing, 2 regression, 3 invalid, 4 improvement where asked
      for, 5 nothing to compare, 6 unresolved where that is strict, 64 usage.
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
    FileHandle.standardError.write(Data("bench-suite: \(error)\n".utf8))
    throw ExitCode(1)
  }
}
