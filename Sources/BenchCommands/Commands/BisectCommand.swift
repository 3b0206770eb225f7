import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer

struct BisectCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bisect", abstract: "Find the commit that made a configuration slower, or another metric of it worse.",
    discussion: """
      bench-suite bisect v1.0 HEAD --model mobilenet-v2 --allocator arena
      bench-suite bisect v1.0 HEAD --model resnet-18 --metric heap-allocations

      Each commit is built once and compared with GOOD side by side. What does not build, and what stays unresolved, is
      skipped.

      Exit status: 0 found, 1 the tool failed, 5 BAD is no worse than GOOD, 6 several are left because the rest could
      not be judged.
      """)

  @Argument(help: "A git revision that was fast enough.")
  var good: String
  @Argument(help: "A git revision that is not.")
  var bad = "HEAD"
  @Option(help: "Model of the configuration.")
  var model: String
  @OptionGroup var axes: AxisOptions
  @Option(help: "What became worse, as `list metrics` names it.")
  var metric = "latency"
  @Option(help: "Seconds for the times of one commit.", transform: Values.seconds)
  var timeBudget: Double = 120

  func validate() throws {
    do { _ = try catalog.metric(metric) } catch { throw ValidationError("--metric: \(error)") }
  }

  func run() async throws {
    let status = try await userFacing { try await untilInterrupted { try await search(Terminal(isQuiet: false)) } }
    if status != 0 { throw ExitCode(status) }
  }

  private func search(_ terminal: Terminal) async throws -> Int32 {
    let repository = VersionSource.repository
    let (first, last) = (try await repository.commit(good), try await repository.commit(bad))
    let commits = try await repository.commits(from: first, to: last)
    guard !commits.isEmpty else { throw UserError("there is no commit between \(good) and \(bad)") }
    let builder = VersionSource.builder(terminal)
    let base = try await VersionSource.revision(first, builder)

    let (judgement, reason) = try await judge(last, base, builder, terminal)
    terminal.announce("\(await repository.subject(last)): \(judgement.rawValue), \(reason)")
    guard judgement == .bad else {
      terminal.announce("\(bad) is not shown to be worse than \(good): nothing to look for")
      return 5
    }
    var bisection = Bisection(commits)
    while let commit = bisection.next {
      terminal.announce("about \(bisection.stepsLeft) steps left among \(bisection.suspects.count) commits")
      let (judgement, reason) = try await judge(commit, base, builder, terminal)
      bisection.judge(commit, judgement)
      terminal.announce("\(await repository.subject(commit)): \(judgement.rawValue), \(reason)")
    }
    let suspects = bisection.suspects
    StandardOutput.print(suspects.count == 1 ? "It was:" : "It was one of these; the others could not be judged:")
    for commit in suspects { StandardOutput.print("  " + (await repository.subject(commit))) }
    return suspects.count == 1 ? 0 : 6
  }

  /// Whether a commit is worse than the good one; one that cannot be built or resolved is skipped.
  private func judge(
    _ commit: String, _ base: SideBySide.Side, _ builder: VersionBuilder, _ terminal: Terminal
  ) async throws -> (Bisection.Judgement, String) {
    let head: SideBySide.Side
    do { head = try await VersionSource.revision(commit, builder) } catch {
      try Task.checkCancellation()
      return (.skip, "\(error)")
    }
    let all = try GateSuite.rows([try axes.group(models: model)], catalog)
    guard all.count == 1 else {
      throw UserError("bisect follows one configuration, these are \(all.count): choose one")
    }
    var session = SideBySide(
      base: base, head: head, catalog: catalog, rows: all, oracle: Workers.ownWorker)
    let wanted = try catalog.metric(metric)
    if wanted.kind == .sampled { session.metrics = [wanted] }
    session.seconds = wanted.kind == .sampled ? timeBudget : 0
    session.progress = { terminal.show($0) }
    let comparison = await session.run()
    try Task.checkCancellation()
    terminal.finish()
    if wanted.kind == .deterministic {
      guard comparison.exact.count == 1 else {
        return (.skip, comparison.exact.unmatched.first?.reason ?? "not counted")
      }
      let difference = comparison.exact.differences.first { $0.metric == metric }
      return difference?.verdict == .regression
        ? (.bad, "\(metric) \(difference!.base) → \(difference!.head)") : (.good, "\(metric) is no worse")
    }
    if let invalid = comparison.invalid { return (.skip, invalid) }
    guard let time = comparison.times.first, !time.pairs.isEmpty else {
      return (.skip, comparison.exact.unmatched.first?.reason ?? comparison.times.first?.series.failure ?? "no times")
    }
    let change = String(format: "%+.1f %% over %d pairs", (time.paired.ratio.value - 1) * 100, time.pairs.count)
    switch time.verdict {
    case .regression: return (.bad, change)
    case .pass, .improvement: return (.good, change)
    default: return (.skip, "unresolved: " + change)
    }
  }
}
