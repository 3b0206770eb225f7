import BenchProtocol
import Delegation
import Foundation
import TensorCore
import Yams

/// A driver as a file describes it: see `Suites/drivers`.
public enum DriverFile {
  private static let keys = [
    "name", "version", "kind", "summary", "compute", "device", "capabilities", "operations", "without-operations",
    "operands",
    "max-rank", "max-batch", "layout", "max-nodes", "faults",
  ]

  /// - Throws: ``UserError`` that names file and line.
  public static func read(_ path: String) throws -> DriverProfile {
    let text: String
    do { text = try String(contentsOfFile: path, encoding: .utf8) } catch {
      throw UserError("\(path) cannot be read: no text file is there")
    }
    let file = (path as NSString).lastPathComponent
    let node: Node?
    do { node = try compose(yaml: text) } catch { throw UserError("\(file): \(error)") }
    guard let node else { throw UserError("\(file): it is empty") }
    let fields = try YAMLFields(node, file: file, known: keys)
    let name = try fields.name()
    guard NNAPIBackend.shipped[name] == nil, name != "cpu", !name.hasPrefix("nnapi-") else {
      throw UserError(
        "\(fields.place(fields["name"] ?? node)): \(name) is the name of something that Pacer has: take another")
    }
    var profile = DriverProfile(name, isProfile: true)
    profile.version = try fields.text("version") ?? profile.version
    profile.summary = try fields.text("summary") ?? ""
    profile.kind = try choice("kind", fields) ?? .accelerator
    profile.compute = try choice("compute", fields) ?? .cpu
    profile.device = try fields.text("device")
    if let node = fields["device"], profile.compute != .android {
      throw UserError("\(fields.place(node)): a device is one of Android's: compute must be android")
    }
    if let node = fields["capabilities"] { profile.capabilities = try capabilities(node, file) }
    profile.limits = DriverProfile.Limits(
      operations: try names("operations", fields), withoutOperations: try names("without-operations", fields) ?? [],
      operandTypes: try names("operands", fields), maxRank: try fields.int("max-rank", 1...8),
      maxBatch: try fields.int("max-batch", 1...65536), layout: try choice("layout", fields),
      maxNodes: try fields.int("max-nodes", 1...1_000_000))
    profile.faults = try fields.list("faults")?.map { try fault($0, file) } ?? []
    if let node = fields["faults"], profile.compute == .android {
      throw UserError("\(fields.place(node)): faults go wrong in a driver's process, and android has none of ours")
    }
    return profile
  }

  private static func choice<Value: RawRepresentable<String> & CaseIterable>(
    _ key: String, _ fields: YAMLFields
  ) throws -> Value? {
    guard let text = try fields.text(key) else { return nil }
    if let value = Value(rawValue: text) { return value }
    let known = Value.allCases.map(\.rawValue)
    throw UserError("\(fields.place(fields[key]!)): \(UnknownName(kind: key, name: text, known: known))")
  }

  private static func names<Name: NamedNumber>(_ key: String, _ fields: YAMLFields) throws -> Set<Name>? {
    guard let texts = try fields.strings(key) else { return nil }
    return Set(
      try texts.map { text in
        if let name = Name(name: text) { return name }
        let known = UnknownName(kind: "name of NNAPI's", name: text, known: Name.names)
        throw UserError("\(fields.place(fields[key]!)): \(known)")
      })
  }

  private static func capabilities(_ node: Node, _ file: String) throws -> Capabilities {
    let fields = try YAMLFields(
      node, file: file, known: ["others", "relaxed-fp32", "IF", "WHILE"] + OperandType.names)
    func ratios(_ key: String) throws -> PerformanceInfo? {
      guard let node = fields[key] else { return nil }
      let own = try YAMLFields(node, file: file, known: ["time", "power"])
      func ratio(_ key: String) throws -> Float {
        guard let value = try own.double(key) else {
          throw UserError("\(fields.place(node)): both time and power are needed, as ratios to the processor's")
        }
        return Float(value)
      }
      return PerformanceInfo(time: try ratio("time"), power: try ratio("power"))
    }
    var capabilities = Capabilities(
      others: try ratios("others") ?? .cpu, relaxedFloat: try ratios("relaxed-fp32"), if: try ratios("IF"),
      while: try ratios("WHILE"))
    for type in OperandType.allCases { capabilities.operands[type] = try ratios(type.description) }
    return capabilities
  }

  private static func fault(_ node: Node, _ file: String) throws -> DriverProfile.Fault {
    let fields = try YAMLFields(node, file: file, known: ["effect", "at", "from", "count"])
    let text = try fields.text("effect") ?? ""
    guard let effect = DriverProfile.Fault.Effect(text) else {
      throw UserError(
        "\(fields.place(fields["effect"] ?? node)): a fault's effect is die, hang, \"delay 20 ms\" or a result code such as "
          + "OP_FAILED, not \"\(text)\"")
    }
    return DriverProfile.Fault(
      effect, at: try choice("at", fields) ?? .execute, from: try fields.int("from", 1...1_000_000_000) ?? 1,
      count: try fields.int("count", 1...1_000_000_000))
  }
}
