/// A model with one choice on every axis.
///
/// It holds the choices that are not an axis's default, so that the same configuration is the same value however it was
/// spelt, and an axis that is added later changes no identity. What the axes are is not known here: see `Axes`.
public struct Configuration: Hashable, Sendable {
  public private(set) var choices: [String: AxisValue]

  public init(model: String) { choices = ["model": .text(model)] }
  public init(choices: [String: AxisValue]) { self.choices = choices }

  /// The choice on an axis; nil for its default.
  public subscript(_ key: String) -> AxisValue? {
    get { choices[key] }
    set { choices[key] = newValue }
  }

  /// Name of the model; empty for work without one.
  public var model: String { choices["model"]?.text ?? "" }

  /// The same text for the same configuration, in every run: what records and baselines are joined by.
  public var id: String {
    let others = choices.filter { $0.key != "model" }.sorted { $0.key < $1.key }
    return ([model] + others.map { "\($0.key)=\($0.value.text)" }).joined(separator: "/")
  }
}

extension Configuration: Codable {
  public init(from decoder: any Decoder) throws {
    choices = try decoder.singleValueContainer().decode([String: AxisValue].self)
  }
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(choices)
  }
}
