import BenchProtocol
import TensorCore

/// Sets of passes: how they are named, and what they are called.
enum PassSets {
  /// `none`, `all`, `ladder`, `each-alone`, `every-pair`, `all-but-one`, `every-combination`, or names joined with +.
  static func read(_ text: String, _ catalog: Catalog) throws -> [[String]] {
    let all = catalog.passes.map(\.name)
    switch text {
    case "none": return [[]]
    case "all": return [all]
    case "ladder": return (0...all.count).map { Array(all.prefix($0)) }
    case "each-alone": return all.map { [$0] }
    case "every-pair":
      return all.indices.flatMap { first in all.indices.dropFirst(first + 1).map { [all[first], all[$0]] } }
    case "all-but-one": return all.map { left in all.filter { $0 != left } }
    case "every-combination":
      return (0..<(1 << all.count)).map { bits in all.indices.filter { bits >> $0 & 1 == 1 }.map { all[$0] } }
    default: return [try catalog.passes(text.split(separator: "+").map(String.init)).map(\.name)]
    }
  }

  static func label(_ names: [String], _ all: [String]) -> String {
    let off = all.filter { !names.contains($0) }
    if names.isEmpty { return "no passes" }
    if off.isEmpty { return "all passes" }
    if off.count == 1, names.count > 1 { return "− \(off[0])" }
    if names == Array(all.prefix(names.count)) { return "+ \(names.last!)" }
    return names.count == 1 ? "\(names[0]) alone" : names.joined(separator: "+")
  }
}

/// What is written like an axis and changes the choice on another one.
public struct Shorthand: Sendable {
  public var key: String
  public var summary: String
  public var values: AxisValues
  /// The configurations that a list of texts makes of one.
  var apply: @Sendable (Configuration, [String], Catalog) throws -> [Configuration]

  /// - Throws: ``UserError`` or ``UnknownName`` where a text is no value.
  package func check(_ text: String, _ catalog: Catalog) throws { _ = try values.parse(text, key, catalog) }

  package static let disable = Shorthand(
    key: "disable", summary: "Passes to leave out.", values: .known { $0.passes.map { ($0.name, []) } }
  ) { configuration, names, catalog in
    let left = Set(try catalog.passes(names).map(\.name))
    var configuration = configuration
    configuration[Axes.passes].removeAll(where: left.contains)
    return [configuration]
  }

  package static let format = Shorthand(
    key: "format", summary: "Memory format: nhwc or nchw; sets or clears the pass channels-last.",
    values: .names(["nchw", "nhwc"])
  ) { configuration, names, catalog in
    try names.map { name in
      guard ["nchw", "nhwc"].contains(name) else {
        throw UnknownName(kind: "format", name: name, known: ["nchw", "nhwc"])
      }
      var configuration = configuration
      let set = configuration[Axes.passes].filter { $0 != "channels-last" } + (name == "nhwc" ? ["channels-last"] : [])
      configuration[Axes.passes] = catalog.passes.map(\.name).filter(set.contains)
      return configuration
    }
  }
}
