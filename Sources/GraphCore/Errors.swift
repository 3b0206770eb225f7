import TensorCore

/// A graph, or what it is given, is wrong: shapes or types that do not fit, a value that is not there.
public struct GraphError: Error, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// A weight that a graph reads is not in its weight map.
public struct MissingWeight: Error, CustomStringConvertible {
  /// As in the weight map.
  public let name: String
  /// What it should be, where that is known.
  public let type: TensorType?
  public init(_ name: String, _ type: TensorType? = nil) { (self.name, self.type) = (name, type) }
  public var description: String { "weight \(name)\(type.map { " \($0)" } ?? "") is missing" }
}

/// The graph may be right, but a backend, a device or a file format cannot do what is asked.
public struct Unsupported: Error, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// A file is not what it should be.
public struct BadFile: Error, CustomStringConvertible {
  public let path: String
  public let reason: String
  public init(_ path: String, _ reason: String) { (self.path, self.reason) = (path, reason) }
  public var description: String { "\(path): \(reason)" }
}

/// A device went away while it was used: its driver was reset, or it was unplugged. What it held is gone.
public struct DeviceLost: Error, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}
