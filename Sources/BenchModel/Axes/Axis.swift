import BenchProtocol
import TensorCore

/// Something on which configurations differ: one declaration from which follow its key in suites, its option on the command
/// line, its place in records, identities and labels, its row among the effects, and its part of the schemas.
public struct Axis<Value: AxisRepresentable>: AxisDescription {
  public let key: String
  public let summary: String
  public let standard: Value
  public let role: AxisRole
  public let engines: [String]?
  public let backends: [String]?
  public let precisions: [Precision]?
  public let settles: [String]
  public let unnamed: String?
  public let usual: AxisValue?
  public let values: AxisValues
  private let read: @Sendable (String, Catalog) throws -> [Value]
  private let describe: @Sendable (Value, LabelContext) -> String?
  private let standardLabel: @Sendable (LabelContext) -> String?
  private let settle: @Sendable (Value, inout Configuration, Catalog) throws -> Void

  /// - Parameters:
  ///   - key: in lower case with hyphens, as it stands in suites and behind `--`.
  ///   - summary: what it chooses, for help texts and schemas.
  ///   - standard: the choice of a configuration that says nothing.
  ///   - role: whether it changes the work or how it is done.
  ///   - values: what may be chosen, for schemas and suggestions.
  ///   - engines: that know it; nil for all.
  ///   - backends: that know it; nil for all.
  ///   - precisions: that it is a choice of; nil for all.
  ///   - settles: keys of axes that a choice here decides too.
  ///   - unnamed: what is chosen where nobody names the axis, if that is not `standard`.
  ///   - usual: the choice that effects of the others are held against, if that is not `standard`.
  ///   - label: what a choice is called in a row's label; nil where it needs no word.
  ///   - standardLabel: what `standard` is called beside rows that chose otherwise; nil where its absence says it.
  ///   - settle: makes the other choices that follow.
  ///   - read: the choices that a text stands for, where that is not one of `values`.
  public init(
    _ key: String, _ summary: String, standard: Value, values: AxisValues, role: AxisRole = .option,
    engines: [String]? = nil, backends: [String]? = nil, precisions: [Precision]? = nil, settles: [String] = [],
    unnamed: String? = nil,
    usual: Value? = nil, label: @escaping @Sendable (Value, LabelContext) -> String?,
    standardLabel: @escaping @Sendable (LabelContext) -> String? = { _ in nil },
    settle: @escaping @Sendable (Value, inout Configuration, Catalog) throws -> Void = { _, _, _ in },
    read: (@Sendable (String, Catalog) throws -> [Value])? = nil
  ) {
    (self.key, self.summary, self.standard, self.values, self.role) = (key, summary, standard, values, role)
    (self.engines, self.backends, self.precisions) = (engines, backends, precisions)
    (self.settles, self.unnamed) = (settles, unnamed)
    (describe, self.standardLabel, self.settle) = (label, standardLabel, settle)
    self.usual = usual.flatMap { $0 == standard ? nil : $0.axisValue }
    self.read =
      read ?? { text, catalog in
        guard let value = Value(axisValue: try values.parse(text, key, catalog)) else {
          throw UserError("\(key) cannot be \(text)")
        }
        return [value]
      }
  }

  public func parse(_ text: String, _ catalog: Catalog) throws -> [AxisValue?] {
    try read(text, catalog).map { $0 == standard ? nil : $0.axisValue }
  }

  public func choose(_ choice: AxisValue?, in configuration: inout Configuration, _ catalog: Catalog) throws {
    configuration[key] = choice
    if let choice, let value = Value(axisValue: choice) { try settle(value, &configuration, catalog) }
  }

  public func label(_ choice: AxisValue?, _ context: LabelContext) -> String? {
    guard let choice else { return context.differs ? standardLabel(context) : nil }
    // What another version of the axis wrote is shown as it stands.
    return Value(axisValue: choice).map { describe($0, context) } ?? "\(key) \(choice.text)"
  }

  public func name(_ choice: AxisValue?) -> String {
    (choice ?? standard.axisValue)?.text ?? values.nameOfNone
  }
}

extension Configuration {
  /// The choice on an axis.
  public subscript<Value>(_ axis: Axis<Value>) -> Value {
    get { Value(axisValue: self[axis.key]) ?? axis.standard }
    set { self[axis.key] = newValue == axis.standard ? nil : newValue.axisValue }
  }
}

/// An axis whatever the type of its values.
public protocol AxisDescription: Sendable {
  var key: String { get }
  var summary: String { get }
  var role: AxisRole { get }
  /// Engines and backends that know it, and precisions that it is a choice of; nil for all.
  var engines: [String]? { get }
  var backends: [String]? { get }
  var precisions: [Precision]? { get }
  /// Keys of axes that a choice here decides too.
  var settles: [String] { get }
  var unnamed: String? { get }
  /// The choice that effects are held against; nil for the standard one.
  var usual: AxisValue? { get }
  var values: AxisValues { get }
  /// The choices that a text stands for; nil among them is the standard one.
  /// - Throws: ``UserError`` or ``UnknownName``.
  func parse(_ text: String, _ catalog: Catalog) throws -> [AxisValue?]
  /// Makes a choice, and those that follow from it.
  func choose(_ choice: AxisValue?, in configuration: inout Configuration, _ catalog: Catalog) throws
  /// The words of a choice in a row's label; nil where there are none.
  func label(_ choice: AxisValue?, _ context: LabelContext) -> String?
  /// A choice in one word.
  func name(_ choice: AxisValue?) -> String
}

extension AxisDescription {
  /// Whether a configuration's engine and backend know it, and its precision has that choice.
  public func applies(to configuration: Configuration) -> Bool {
    engines?.contains(configuration[Axes.engine]) != false && backends?.contains(configuration[Axes.backend]) != false
      && precisions?.contains(configuration[Axes.precision]) != false
  }
}

public enum AxisRole: Sendable {
  /// What is computed: times of two choices are times of different work.
  case work
  /// Which passes run: effects of passes are told of apart from those of other options.
  case passes
  /// How it is computed.
  case option
}

/// What a label is made beside.
public struct LabelContext: Sendable {
  /// Every pass there is, in order.
  public var passes: [String]
  /// Whether the rows that are shown together differ on the axis.
  public var differs = false
  /// Their choices.
  public var choices: Set<AxisValue?> = []
  /// The input of the model where no shape is chosen.
  public var inputShape: Shape?

  public init(passes: [String]) { self.passes = passes }
}
