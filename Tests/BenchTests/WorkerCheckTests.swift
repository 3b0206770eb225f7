import Foundation
import PacerBench
import Testing

@testable import BenchRunner

/// `check-worker`: what is wrong with a worker is found by asking it.
@Suite struct WorkerCheckTests {
  private func findings(_ command: WorkerCommand) async throws -> [WorkerCheck.Finding] {
    var findings: [WorkerCheck.Finding] = []
    try await inFolder { folder in
      let own = WorkerCommand(try #require(WorkerProgram.path), version: 2)
      var workers = Workers(own: own, cacheFolder: folder)
      workers.peers["mine"] = command
      workers.timeout = 60
      var configuration = Configuration(model: "resnet-18")
      configuration[Axes.engine] = "mine"
      configuration[Axes.shape] = [1, 3, 32, 32]
      findings = await WorkerCheck(
        catalog: .standard, workers: workers, oracle: workers.own, configuration: configuration
      ).findings()
    }
    return findings
  }

  @Test func `nothing is wrong with Pacer's own`() async throws {
    let findings = try await findings(WorkerCommand(try #require(WorkerProgram.path), version: 2))
    #expect(findings.map(\.asked).count == 8)
    #expect(findings.allSatisfy { $0.answer == .right }, "\(findings)")
  }

  @Test(arguments: [
    ("exit 0", ["hello": "exited before sending `hello`"]),
    (#"echo '{"kind":"hello","engine":"x","version":"1","protocol":3}'"#, ["hello": "protocol 3"]),
    (
      // Does nothing but say hello, whatever it is asked.
      #"echo '{"kind":"hello","engine":"x","version":"1","protocol":2}'"#,
      [
        "unknown axis": "an axis that nobody knows", "inspect": "no output", "latency": "no `prepared`",
        "profile": "no `profile`", "memory": "no `memory`",
      ]
    ),
    (
      #"echo '{"kind":"hello","engine":"x","version":"1","protocol":2,"interleaves":true}'; sleep 0"#,
      ["interleaving": "no `ready`"]
    ),
    (
      #"echo '{"kind":"hello","engine":"x","version":"1","protocol":2}'; echo '{"kind":"prepared","loadNs":1,"prepareNs":1}'; "#
        + #"echo '{"kind":"warmed","firstInferenceNs":1,"iterations":1,"timeNs":1,"steady":true}'; "#
        + #"echo '{"kind":"sample","latenciesNs":[7,7]}'; "#
        + #"echo '{"kind":"output","shape":[1,1],"data":"AAAAAA=="}'"#,
      ["latency": "2 latencies where `iterations` was 5", "inspect": "wrong size"]
    ),
  ])
  func `what a worker does wrong is named`(body: String, wrong: [String: String]) async throws {
    let findings = try await findings(WorkerCommand("sh", ["-c", "read job; \(body)"]))
    for (asked, words) in wrong {
      let finding = findings.first { $0.asked == asked }
      #expect(finding?.answer == .wrong && finding?.detail.contains(words) == true, "\(asked): \(findings)")
    }
  }

  @Test func `what a worker cannot do it may say`() async throws {
    let body =
      #"echo '{"kind":"hello","engine":"x","version":"1","protocol":2}'; "#
      + #"case "$job" in *idle*) ;; *) echo '{"kind":"skipped","reason":"not here"}' ;; esac"#
    let findings = try await findings(WorkerCommand("sh", ["-c", "read job; \(body)"]))
    #expect(findings.first { $0.asked == "inspect" }?.answer == .unsupported)
    #expect(findings.first { $0.asked == "unknown axis" }?.answer == .right)
  }
}
