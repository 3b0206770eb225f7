import RuntimeCore
import TensorCore

extension KernelFamily: AxisRepresentable {}
extension AllocatorKind: AxisRepresentable {}
extension Precision: AxisRepresentable {}
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
