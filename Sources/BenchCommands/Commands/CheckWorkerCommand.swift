import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import Foundation

struct CheckWorkerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check-worker", abstract: "Ask a worker for what the harness needs and say what is wrong.",
    discussion: """
      bench-suite check-worker -- python3 my-engine.py     asks a command
      bench-suite check-worker --engine onnxruntime        asks an engine under Suites/peers

      Exit status: 0 nothing is wrong; 1 something is, or it could not even say hello.
      """)

  @Argument(help: "The worker's command, after --.")
  var command: [String] = []
  @Option(help: "The model it is asked to run.")
  var model = "mobilenet-v2"
  @OptionGroup(title: "Configuration") var axes: AxisOptions
  @Option(help: "Kill a worker that takes this many seconds longer than it is to time.", transform: Values.seconds)
  var timeout: Double = 60
  @Flag(help: "Print JSON instead of a table.")
  var json = false

  func validate() throws {
    guard command.isEmpty != (axes.engine == nil) else {
      throw ValidationError("name one worker: a command after --, or --engine NAME")
    }
  }

  func run() async throws {
    let findings = try await userFacing {
      var (workers, group) = (Workers.standard, try axes.group(models: model))
      workers.timeout = timeout
      if let program = command.first {
        // As an engine of its own: passes and kernels are Pacer's.
        let name = URL(fileURLWithPath: program).lastPathComponent
        let engine = name == Axes.engine.standard ? "\(name)-worker" : name
        workers.peers[engine] = WorkerCommand(program, Array(command.dropFirst()))
        group.choices[Axes.engine.key] = [engine]
      }
      let configurations = try group.configurations(catalog)
      guard configurations.count == 1 else {
        throw UserError("a worker is asked for one configuration; these options mean \(configurations.count)")
      }
      return try await untilInterrupted { [workers] in
        await WorkerCheck(
          catalog: catalog, workers: workers, oracle: workers.own, configuration: configurations[0]
        ).findings()
      }
    }
    if json {
      StandardOutput.print(try JSONEncoder.text(findings), terminator: "")
    } else {
      for finding in findings {
        let mark = finding.answer == .right ? "ok" : finding.answer.rawValue
        StandardOutput.print("\(pad(finding.asked, 13))  \(pad(mark, 11))  \(finding.detail)")
      }
    }
    if findings.contains(where: { $0.answer == .wrong }) || findings.first?.answer != .right { throw ExitCode(1) }
  }

  private func pad(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }
}
