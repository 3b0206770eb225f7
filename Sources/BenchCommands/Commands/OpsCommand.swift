import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer

struct OpsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ops", abstract: "Say which op runs on which backend: correct, fast or unsupported.",
    discussion: "Runs every op case on every backend and format, and holds it against the scalar loop of the op itself."
  )

  @Option(help: "Instruction set of the CPU: sse2, avx2, avx512 (default: the best there is).")
  var isa: String?
  @Flag(help: "Print JSON instead of Markdown.")
  var json = false

  func run() async throws {
    let isWrong = try await userFacing {
      if let isa, !catalog.availableInstructionSets.contains(isa) {
        throw UnknownName(kind: "instruction set", name: isa, known: catalog.availableInstructionSets)
      }
      let table = try OpTable(Harness.current.runtime, isa: isa)
      StandardOutput.print(json ? try JSONEncoder.text(table) : table.report.markdown, terminator: "")
      return table.hasWrong
    }
    if isWrong { throw ExitCode(3) }
  }
}
