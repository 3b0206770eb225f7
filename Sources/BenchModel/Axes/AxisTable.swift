import BenchProtocol
import RuntimeCore

/// Every axis there is, in the order of labels: those of Pacer and those that were added from outside.
public struct AxisTable: Sendable {
  public private(set) var axes: [any AxisDescription]
  public let shorthands: [Shorthand] = [.disable, .format]
  private var indices: [String: Int]

  public init(_ axes: [any AxisDescription] = Axes.standard) {
    self.axes = axes
    indices = Dictionary(uniqueKeysWithValues: axes.enumerated().map { ($1.key, $0) })
  }

  /// Adds an axis, or takes the place of the one with the same key.
  public mutating func add(_ axis: any AxisDescription) {
    if let index = indices[axis.key] { return axes[index] = axis }
    indices[axis.key] = axes.count
    axes.append(axis)
  }

  public subscript(_ key: String) -> (any AxisDescription)? { indices[key].map { axes[$0] } }

  /// Keys of suites and of the command line.
  public var keys: [String] { axes.map(\.key) + shorthands.map(\.key) }

  /// Those on which a row may differ from the one it is compared with.
  public var comparable: [any AxisDescription] { axes.filter { $0.role != .work } }

  /// The configuration with another's choices on some of its axes, and on those that they settle.
  public func taking(_ keys: [String], from other: Configuration, in configuration: Configuration) -> Configuration {
    var configuration = configuration
    for key in keys {
      for key in [key] + (self[key]?.settles ?? []) { configuration[key] = other[key] }
    }
    return configuration
  }

  /// What is computed, with the standard choice on everything else: configurations of the same work may be compared.
  public func work(of configuration: Configuration) -> Configuration {
    Configuration(choices: configuration.choices.filter { self[$0.key]?.role == .work })
  }

  /// The id where a set with every pass there was is "all": the same configuration in versions that have other passes.
  public func id(of configuration: Configuration, ofAll passes: Set<String>) -> String {
    guard !passes.isEmpty, Set(configuration[Axes.passes]) == passes else { return configuration.id }
    var configuration = configuration
    configuration[Axes.passes] = ["all"]
    return configuration.id
  }

  /// Paths of files that a configuration reads: their content is part of what it is.
  public func paths(of configuration: Configuration) -> [String] {
    configuration.choices.compactMap { self[$0.key]?.values.path(of: $0.value) }.sorted()
  }

  /// The configuration with each of those paths changed.
  public func mappingPaths(of configuration: Configuration, _ change: (String) -> String) -> Configuration {
    var configuration = configuration
    for (key, value) in configuration.choices {
      guard let values = self[key]?.values, let path = values.path(of: value) else { continue }
      configuration[key] = values.moving(value, to: change(path))
    }
    return configuration
  }
}
