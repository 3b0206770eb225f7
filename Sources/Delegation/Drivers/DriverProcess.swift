import CDriver
import Foundation
import ModelFiles
import RuntimeCore
import Synchronization
import TensorCore

/// A driver's process as its clients in this one see it; every session has a channel of its own to it.
final class DriverProcess: Sendable {
  let name: String
  let id: pid_t
  /// Over which models are prepared, by one caller at a time.
  private let control: Mutex<DriverChannel>
  private struct Models {
    /// How many use each, by token.
    var users: [String: Int] = [:]
    /// Those that nobody uses any more, of which the driver was not told yet.
    var left: Set<String> = []
  }
  private let models = Mutex(Models())
  private let end = Mutex<String?>(nil)

  /// The one that runs for a profile in this process, or a new one where there is none, or none any more.
  static func shared(_ profile: DriverProfile, _ computing: [String: String]) throws -> DriverProcess {
    let key = Key(profile: profile, computing: computing)
    return try running.withLock { running in
      if let (_, process) = running.first(where: { $0.0 == key }), !process.hasEnded { return process }
      running.removeAll { $0.0 == key }
      let process = try DriverProcess(profile, computing)
      running.append((key, process))
      return process
    }
  }

  private struct Key: Equatable {
    let profile: DriverProfile
    let computing: [String: String]
  }
  private static let running = Mutex<[(Key, DriverProcess)]>([])

  /// Those that run for this process now.
  fileprivate static var names: [String] { running.withLock { $0.filter { !$0.1.hasEnded }.map(\.1.name) } }
  fileprivate static func endAll(where isMeant: (String) -> Bool) {
    let meant = running.withLock { running in
      let meant = running.filter { isMeant($0.1.name) }
      running.removeAll { isMeant($0.1.name) }
      return meant
    }
    for (_, process) in meant { process.stop() }
  }

  private init(_ profile: DriverProfile, _ computing: [String: String]) throws {
    name = profile.name
    let program = try Self.program.get()
    let (channel, other) = try DriverChannel.pair()
    var arguments: [UnsafeMutablePointer<CChar>?] = [strdup(program), nil]
    defer { free(arguments[0]) }
    id = pacer_start_driver(program, &arguments, other.number)
    guard id > 0 else { throw DriverError(.unavailableDevice, driver: name, "\(SystemFailure("starting \(program)"))") }
    control = Mutex(channel)
    _ = try ask(.configure(profile, computing: computing))
  }

  deinit { stop() }

  /// Whether it is known to have ended.
  var hasEnded: Bool {
    end.withLock { end in
      var status: Int32 = 0
      if end == nil, waitpid(id, &status, WNOHANG) == id { end = Self.words(status) }
      return end != nil
    }
  }

  /// Ends it, whatever it does.
  func stop() {
    end.withLock { end in
      guard end == nil else { return }
      end = Self.killed(id) ? "it was ended by its client" : "it ended"
    }
  }

  /// How it ended, now that nobody answers any more.
  func ending() -> String {
    end.withLock { end in
      if let end { return end }
      var status: Int32 = 0
      // The channel goes before the process does.
      for _ in 0..<200 {
        if waitpid(id, &status, WNOHANG) == id {
          end = Self.words(status)
          return end!
        }
        usleep(500)
      }
      end = Self.killed(id) ? "it closed its channel, and was ended by its client" : "it ended"
      return end!
    }
  }

  /// - Returns: whether it was there to be ended.
  private static func killed(_ id: pid_t) -> Bool {
    var status: Int32 = 0
    return kill(id, SIGKILL) == 0 && waitpid(id, &status, 0) == id
  }

  private static func words(_ status: Int32) -> String {
    let signal = status & 0x7f
    return signal == 0 ? "it exited with status \(status >> 8 & 0xff)" : "it was ended by signal \(signal)"
  }

  /// Asks something that takes as long as it takes.
  /// - Throws: ``DriverError``, with `DEAD_OBJECT` where the process has ended.
  func ask(_ request: DriverRequest, with passed: Descriptor? = nil) throws -> DriverReply {
    try control.withLock { try Self.ask(request, on: $0, of: self, with: passed) }
  }

  /// Milliseconds that a driver may take to prepare something: far more than the largest model takes.
  private static let patience = 120_000

  static func ask(
    _ request: DriverRequest, on channel: DriverChannel, of process: DriverProcess, with passed: Descriptor? = nil
  ) throws -> DriverReply {
    do {
      try channel.send(request, with: passed)
      let reply = try channel.receive(timeout: patience) { bytes, _ in
        try JSONDecoder().decode(DriverReply.self, from: Data(bytes))
      }
      guard reply.code == .noError else { throw DriverError(reply.code, driver: process.name, reply.reason) }
      return reply
    } catch is DriverChannel.Closed {
      throw DriverError(.deadObject, driver: process.name, process.ending())
    } catch is DriverChannel.TimedOut {
      process.stop()
      let words = "it did not answer for \(patience / 1000) s while it was prepared, and was ended"
      throw DriverError(.deadObject, driver: process.name, words)
    } catch let error where !(error is DriverError) {
      throw DriverError(.opFailed, driver: process.name, "\(error)")
    }
  }

  /// Prepares a model unless it is prepared already, for one more that uses it: until ``release(_:)``, whatever comes of this.
  /// - Parameter token: the same for the same model, prepared the same way.
  fileprivate func prepare(_ token: String, _ options: PrepareOptions, _ model: () throws -> PacerContents) throws {
    models.withLock { models in
      models.users[token, default: 0] += 1
      models.left.remove(token)
    }
    if try isPrepared(token, options) { return }
    let (byteCount, write) = try model().file()
    let memory = try SharedMemory(byteCount: byteCount)
    var written = 0
    try write { bytes in
      guard let start = bytes.baseAddress else { return }
      (memory.pointer + written).copyMemory(from: start, byteCount: bytes.count)
      written += bytes.count
    }
    _ = try isPrepared(token, options, model: memory.descriptor)
  }

  /// Asks for a model, with the model or whether it is there already, and tells of those that nobody uses any more.
  func isPrepared(_ token: String, _ options: PrepareOptions, model: Descriptor? = nil) throws -> Bool {
    try control.withLock { channel in
      let left = models.withLock { models in
        defer { models.left = [] }
        return models.left.sorted()
      }
      let request = DriverRequest.prepare(
        token: token, options: DriverOptions(options), hasModel: model != nil, forgetting: left)
      return try Self.ask(request, on: channel, of: self, with: model).isPrepared == true
    }
  }

  /// Has a model forgotten if nobody uses it any more, when the driver is asked for the next one: nobody waits for a driver to end.
  fileprivate func release(_ token: String) {
    models.withLock { models in
      let users = models.users[token, default: 1] - 1
      models.users[token] = users > 0 ? users : nil
      if users <= 0 { models.left.insert(token) }
    }
  }

  func connect() throws -> DriverChannel {
    let (channel, other) = try DriverChannel.pair()
    _ = try ask(.connect, with: other)
    return channel
  }

  /// The program that drivers run in: beside this one, or where PACER_DRIVER says.
  static let program: Result<String, DriverError> = {
    let chosen = ProcessInfo.processInfo.environment["PACER_DRIVER"] ?? ""
    let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    let path = chosen.isEmpty ? URL(fileURLWithPath: own).deletingLastPathComponent().path + "/pacer-driver" : chosen
    if FileManager.default.isExecutableFile(atPath: path) { return .success(path) }
    return .failure(
      DriverError(
        .unavailableDevice,
        "there is no program \(path), which drivers run in: build it (swift build --product pacer-driver), or say where it is "
          + "(PACER_DRIVER)"))
  }()
}

/// A model that a driver keeps for as long as this is there.
final class PreparedModel: Sendable {
  private let process: DriverProcess
  private let token: String

  /// - Parameters: as those of ``DriverProcess/prepare(_:_:_:)``.
  init(
    _ token: String, _ options: PrepareOptions, in process: DriverProcess, _ model: () throws -> PacerContents
  ) throws {
    (self.process, self.token) = (process, token)
    try process.prepare(token, options, model)
  }

  deinit { process.release(token) }
}

/// The processes of drivers that this one has started: they stay for the next model, until it ends or has them end.
public enum DriverProcesses {
  /// Names of the drivers whose processes run.
  public static var names: Set<String> { Set(DriverProcess.names) }
  /// Ends them. Sessions that use one fall back as if it had died.
  public static func endAll(where isMeant: (String) -> Bool = { _ in true }) { DriverProcess.endAll(where: isMeant) }
}
