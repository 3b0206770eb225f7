import RuntimeCore
import TensorCore

extension KernelFamily: AxisRepresentable {}
extension AllocatorKind: AxisRepresentable {}
extension Precision: AxisRepresentable {}

/// What a scale of int8 weights is of.
public enum WeightScales: String, Sendable, Codable, CaseIterable {
  case channel, tensor
}
extension WeightScales: AxisRepresentable {}

/// What is done to a network before its weights become int8.
public enum Int8Preparation: String, Sendable, Codable, CaseIterable {
  /// ReLU6 becomes ReLU: the pass `relu6-to-relu`.
  case relu
  /// Channels are scaled between convolutions: the pass `equalize-channels`.
  case equalize
  /// The first, then the second.
  case reluEqualize = "relu+equalize"
  /// Channels are scaled before depthwise convolutions by what is in them: the pass `equalize-tensors`.
  case tensors = "equalize-tensors"
}
extension Int8Preparation: AxisRepresentable {}
extension TensorStorage: AxisRepresentable {}

/// What an application does for each inference before it runs.
public enum InputBuffer: String, AxisRepresentable, CaseIterable {
  /// Writes the input into the session's own tensor.
  case reused
  /// Makes a tensor (from the C library, whatever the allocator), writes the input into it, hands it to the session and
  /// drops it afterwards.
  case fresh
}

extension Shape: AxisRepresentable {
  public init?(axisValue: AxisValue?) {
    guard case .text(let text) = axisValue, let shape = try? Shape(checking: text) else { return nil }
    self = shape
  }
  public var axisValue: AxisValue? { .text("\(self)") }

  /// A shape as it is written, such as 1x3x224x224.
  /// - Throws: ``UserError`` where it is none, or too large.
  package init(checking text: String) throws {
    let extents = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
    guard !extents.isEmpty, extents.allSatisfy({ $0.map { (1...65536).contains($0) } ?? false }) else {
      throw UserError("shape must look like 1x3x224x224, not \"\(text)\"")
    }
    self.init(extents.compactMap { $0 })
    guard elementCount.map({ $0 <= 1 << 30 }) == true else { throw UserError("shape \(text) is larger than 4 GiB") }
  }
}

/// Shapes of a model's inputs: one for its only input, or by the inputs' names, as `ids=1x128+mask=1x128`.
public struct InputShapes: AxisRepresentable, ExpressibleByArrayLiteral {
  public var only: Shape?
  /// In the order in which they were written.
  public var named: [(name: String, shape: Shape)] = []

  public init(_ shape: Shape) { only = shape }
  public init(arrayLiteral extents: Int...) { only = Shape(extents) }

  /// - Throws: ``UserError`` where it is none, or too large.
  package init(checking text: String) throws {
    guard text.contains("=") else {
      only = try Shape(checking: text)
      return
    }
    for part in text.split(separator: "+") {
      guard let sign = part.lastIndex(of: "="), sign > part.startIndex else {
        throw UserError("shapes look like 1x3x224x224 or NAME=1x3x224x224+OTHER=1x10, not \"\(text)\"")
      }
      let name = String(part[..<sign])
      guard !named.contains(where: { $0.name == name }) else { throw UserError("\(name) has two shapes") }
      named.append((name, try Shape(checking: String(part[part.index(after: sign)...]))))
    }
  }

  public init?(axisValue: AxisValue?) {
    guard case .text(let text) = axisValue, let shapes = try? InputShapes(checking: text) else { return nil }
    self = shapes
  }
  public var axisValue: AxisValue? { .text("\(self)") }

  public static func == (a: InputShapes, b: InputShapes) -> Bool { a.description == b.description }
}

extension InputShapes: CustomStringConvertible {
  public var description: String {
    only.map { "\($0)" } ?? named.map { "\($0.name)=\($0.shape)" }.joined(separator: "+")
  }
}
