import BenchModel
import BenchProtocol
import Foundation
import RuntimeCore

/// How jobs and lines are written in a version of the worker protocol.
protocol Dialect: Sendable {
  /// The line that a job is.
  func data(_ job: Job) throws -> Data
  /// What a line means.
  /// - Throws: ``UserError`` that names the field.
  func lines(_ data: Data) throws -> [WorkerLine]
}

/// The version of this program.
struct ProtocolTwo: Dialect {
  func data(_ job: Job) throws -> Data {
    // In order: another order would be other work to read, which is seen where instructions are counted.
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return try encoder.encode(job) + Data("\n".utf8)
  }

  func lines(_ data: Data) throws -> [WorkerLine] { [try CheckedJSON.decode(WorkerLine.self, from: data)] }
}

/// The version of Pacer 0.8 and of workers written for it.
struct ProtocolOne: Dialect {
  private struct OldJob: Encodable {
    var `protocol` = 1
    var action: String
    var cell: LegacyConfiguration?
    var iterations: Int?
    var minTime: Double
    var warmup: Int?
    var takesTurns: Bool?
    var processors: [Int]?
    var slowdown: Double?
    var files: [String: String]
  }

  func data(_ job: Job) throws -> Data {
    let old = OldJob(
      action: job.action == .inspect ? "counts" : job.action.rawValue,
      cell: try job.configuration.map(LegacyConfiguration.init), iterations: job.iterations, minTime: job.minSeconds,
      warmup: job.warmup, takesTurns: job.interleaved, processors: job.processors, slowdown: job.slowdown,
      files: job.files)
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return try encoder.encode(old) + Data("\n".utf8)
  }

  private struct Kind: Decodable { var kind: String }
  private struct Hello: Decodable {
    var engine: String
    var version: String
    var `protocol`: Int
    var isa: String?
    var processor: String?
    var takesTurns: Bool?
    var slowsDown: Bool?
    var isDebugBuild: Bool?
  }
  private struct Sample: Decodable {
    var firstInference: Int
    var warmup: Int
    var warmupTime: Int
    var steady: Bool
    var latencies: [Int]
    var timed: Int?
  }
  private struct Profile: Decodable { var nodes: [Node] }
  private struct Node: Decodable {
    var node: String
    var op: String
    var kernel: String
    var time: Int
    var count: Int?
    var shapes: String?
    var macs: Int?
    var bytes: Int?
    var allocations: Int?
  }

  func lines(_ data: Data) throws -> [WorkerLine] {
    func read<Value: Decodable>(_ type: Value.Type) throws -> Value { try CheckedJSON.decode(type, from: data) }
    switch try read(Kind.self).kind {
    case "hello":
      let line = try read(Hello.self)
      return [
        .hello(
          .init(
            engine: line.engine, version: line.version, protocol: line.protocol,
            isa: line.isa.map { $0 == "baseline" ? "sse2" : $0 }, processor: line.processor,
            interleaves: line.takesTurns, obeysSlowdown: line.slowsDown, isDebugBuild: line.isDebugBuild))
      ]
    case "prepared":
      // It says no more before it waits.
      return [.prepared(try read(LegacyPrepared.self).line), .ready]
    case "sample":
      let line = try read(Sample.self)
      let warmed = WorkerLine.Warmed(
        firstInferenceNs: line.firstInference, iterations: line.warmup, timeNs: line.warmupTime, steady: line.steady)
      // Without latencies it is the end of the warm-up.
      return line.latencies.isEmpty
        ? [.warmed(warmed)] : [.warmed(warmed), .sample(.init(latenciesNs: line.latencies, timed: line.timed))]
    case "profile":
      return [
        .profile(
          try read(Profile.self).nodes.map { node in
            var time = WorkerLine.NodeTime(
              node: node.node, op: node.op, kernel: LegacyPrepared.kernel(node.kernel), timeNs: node.time)
            (time.count, time.shapes, time.macs, time.bytes) = (node.count, node.shapes, node.macs, node.bytes)
            time.allocations = node.allocations
            return time
          })
      ]
    case "figure": return [.metric(try read(WorkerLine.Reading.self))]
    default: return [try read(WorkerLine.self)]
    }
  }
}
