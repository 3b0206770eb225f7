import BenchProtocol
import Yams

/// Lists of choices on every axis; stands for all their combinations.
public struct ConfigurationGroup: Sendable {
  /// By key of an axis or a shorthand, as they were written.
  public var choices: [String: [String]]
  /// Whether the report concludes on these: they are timed first, to the suite's own interval, and shown on top.
  public var isHeadline = false
  /// Where the group stands, for messages.
  public var place: String

  package static let headlineKey = "headline"

  public init(choices: [String: [String]], place: String) {
    self.choices = choices
    self.place = place
  }

  init(_ node: Node, file: String, _ axes: AxisTable) throws {
    let fields = try YAMLFields(node, file: file, known: axes.keys + [Self.headlineKey])
    isHeadline = try fields.flag(Self.headlineKey) ?? false
    place = fields.place(node)
    choices = [:]
    for key in axes.keys { choices[key] = try fields.strings(key) }
  }

  /// - Throws: ``UserError`` that says where the group stands.
  public func configurations(_ catalog: Catalog) throws -> [Configuration] {
    do { return try expand(catalog) } catch { throw UserError("\(place): \(error)") }
  }

  private func expand(_ catalog: Catalog) throws -> [Configuration] {
    // An empty list would drop every configuration without a word.
    for (key, values) in choices where values.isEmpty { throw UserError("\(key) is an empty list: name a value") }
    try checkSettled(catalog.axes)
    var configurations = [Configuration(choices: [:])]
    for axis in catalog.axes.axes {
      guard let texts = choices[axis.key] ?? unnamed(axis, catalog) else { continue }
      let parsed = try texts.flatMap { try axis.parse($0, catalog) }
      configurations = try configurations.flatMap { configuration in
        try parsed.map { choice in
          var copy = configuration
          try axis.choose(choice, in: &copy, catalog)
          return copy
        }
      }
    }
    for shorthand in catalog.axes.shorthands {
      guard let texts = choices[shorthand.key] else { continue }
      configurations = try configurations.flatMap { try shorthand.apply($0, texts, catalog) }
    }
    for index in configurations.indices {
      try checkModel(configurations[index])
      if configurations[index].modelReference.isPacerFile { try settleFile(&configurations[index]) }
    }
    return try applicable(configurations, catalog.axes)
  }

  /// What is chosen where nobody names the axis.
  private func unnamed(_ axis: any AxisDescription, _ catalog: Catalog) -> [String]? {
    if axis.key == Axes.model.key { return catalog.models.filter { !$0.isOptional }.map(\.name) }
    let isSettled = catalog.axes.axes.contains { choices[$0.key] != nil && $0.settles.contains(axis.key) }
    return isSettled ? nil : axis.unnamed.map { [$0] }
  }

  private func checkSettled(_ axes: AxisTable) throws {
    for axis in axes.axes where choices[axis.key] != nil {
      let settled = axis.settles + (axis.settles.contains(Axes.passes.key) ? axes.shorthands.map(\.key) : [])
      if let other = settled.first(where: { choices[$0] != nil }) {
        throw UserError("\(axis.key) already sets \(other): leave one of the two out")
      }
    }
  }

  /// What a file decides itself, and what only a file has.
  private func checkModel(_ configuration: Configuration) throws {
    if configuration.modelReference.path != nil {
      guard configuration[Axes.weights] == nil else { throw UserError("weights: \(configuration.model) has its own") }
    } else if let shape = configuration[Axes.shape], shape.only == nil {
      throw UserError("shape: \(configuration.model) has one input; write 1x3x224x224, not \(shape)")
    }
  }

  /// What a file that is optimised already says itself.
  private func settleFile(_ configuration: inout Configuration) throws {
    // No more passes is what there are.
    let settled = [Axes.passes.key, Axes.preset.key, Shorthand.disable.key, Shorthand.format.key]
    for key in settled where choices[key] != nil && choices[key] != ["none"] {
      throw UserError(
        "\(key): \(configuration.model) is optimised already; name other passes when it is made (optimize --disable)")
    }
    configuration[Axes.passes] = Axes.passes.standard
    // Its weights stay in the file unless somebody wants them elsewhere.
    if choices[Axes.hugePages.key] == nil, configuration[Axes.kernels] != .reference {
      configuration[Axes.hugePages] = false
    }
  }

  /// Without the choices that a configuration's engine, backend or precision does not know.
  private func applicable(_ configurations: [Configuration], _ axes: AxisTable) throws -> [Configuration] {
    var (used, dropped) = (Set<String>(), Set<String>())
    let result = configurations.map { configuration in
      var copy = configuration
      for axis in axes.axes {
        if axis.applies(to: configuration) {
          used.insert(axis.key)
        } else if copy[axis.key] != nil {
          dropped.insert(axis.key)
          copy[axis.key] = nil
        }
      }
      return copy
    }
    // A choice that means nothing anywhere is a slip, not a wish.
    for axis in axes.axes where choices[axis.key] != nil && dropped.contains(axis.key) && !used.contains(axis.key) {
      let known =
        (axis.precisions ?? []).map { "precision \($0)" } + (axis.backends ?? []).map { "backend \($0)" }
        + (axis.engines ?? []).map { "engine \($0)" }
      throw UserError("\(axis.key) means nothing to these: it is for \(known.joined(separator: ", "))")
    }
    return result
  }
}
