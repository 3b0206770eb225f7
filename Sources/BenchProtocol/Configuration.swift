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

  /// Name of the model; empty for work without one. A file is called by its own name and what it holds.
  public var model: String { modelReference.name }

  public var modelReference: ModelReference { ModelReference(choices["model"]?.text ?? "") }

  /// The same text for the same configuration, in every run: what records and baselines are joined by.
  public var id: String {
    let others = choices.filter { $0.key != "model" }.sorted { $0.key < $1.key }
    return ([model] + others.map { "\($0.key)=\($0.value.text)" }).joined(separator: "/")
  }
}

/// What a configuration's model is: the name of one that is built in, or a file.
public enum ModelReference: Hashable, Sendable {
  case name(String)
  /// - Parameter digest: sixteen hexadecimal digits of what the file holds.
  case file(path: String, digest: String)

  /// From a choice as it stands in JSON: a name, or `path@digest`.
  public init(_ text: String) {
    if let at = text.lastIndex(of: "@"), text[at...].count == 17, text[at...].dropFirst().allSatisfy(\.isHexDigit) {
      self = .file(path: String(text[..<at]), digest: String(text[at...].dropFirst()))
    } else {
      self = .name(text)
    }
  }

  public var text: String {
    switch self {
    case .name(let name): name
    case .file(let path, let digest): "\(path)@\(digest)"
    }
  }

  /// What it is called, wherever the file lies: two files of one name that hold different things are told apart.
  public var name: String {
    switch self {
    case .name(let name): name
    case .file(let path, let digest): "\(path.split(separator: "/").last ?? "")@\(digest.prefix(8))"
    }
  }

  /// Whether it is a file that holds graphs of Pacer's, optimised already.
  public var isPacerFile: Bool { path.map { $0.lowercased().hasSuffix(".pacer") } ?? false }

  /// Of the file; nil for a model that is built in.
  public var path: String? { if case .file(let path, _) = self { path } else { nil } }
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
