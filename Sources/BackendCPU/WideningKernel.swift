import CIntrinsics
import GraphCore
import RuntimeCore
import TensorCore

/// A float32 kernel for a node of which something is stored in 16-bit floats, or as bytes that stand for numbers: inputs are widened
/// before it, and what it computes is rounded behind it, in working memory. As fast as that allows.
struct WideningKernel: CPUKernel {
  let name: String
  private let base: any CPUKernel
  /// Nil for those that the kernel takes as they are.
  private let inputs: [Narrow?]
  private let output: Narrow?

  /// How a tensor's elements are stored.
  private enum Narrow: Sendable {
    case halves(count: Int)
    case bytes(QuantizedLine)

    /// Elements.
    var count: Int {
      switch self {
      case .halves(let count): count
      case .bytes(let line): line.count
      }
    }
  }

  /// - Returns: nil where one is stored in another way.
  init?(_ base: any CPUKernel, inputs: [TensorType], output: TensorType, _ table: PacerKernelTable) {
    var isKnown = true
    func narrow(_ type: TensorType) -> Narrow? {
      if type.isPlainFloat { return nil }
      if type.dtype == .float16, type.widened.isPlainFloat { return .halves(count: type.byteCount / 2) }
      guard let line = QuantizedLine(type, table) else {
        isKnown = false
        return nil
      }
      return .bytes(line)
    }
    (self.base, self.inputs, self.output) = (base, inputs.map(narrow), narrow(output))
    name = base.name + Support.widenedSuffix
    guard isKnown else { return nil }
  }

  private func padded(_ count: Int) -> Int { (count + 15) / 16 * 16 }
  private var baseCount: Int { padded((base.scratchByteCount + 3) / 4) }
  var scratchByteCount: Int { 4 * (inputs + [output]).reduce(baseCount) { $0 + padded($1?.count ?? 0) } }

  func run(_ call: borrowing KernelCall) throws {
    let scratch = call.scratch!
    var next = scratch + baseCount
    try withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer.self, capacity: inputs.count + 1) { pointers in
      for (index, narrow) in inputs.enumerated() {
        pointers[index] = call.inputs[index]
        guard let narrow else { continue }
        switch narrow {
        case .halves(let count):
          HalfConversion.widen(call.inputs[index].assumingMemoryBound(to: Float16.self), to: next, count: count)
        case .bytes(let line): line.dequantize(call.inputs[index], next, call.pool)
        }
        pointers[index] = UnsafeMutableRawPointer(next)
        next += padded(narrow.count)
      }
      pointers[inputs.count] = output == nil ? call.outputs[0] : UnsafeMutableRawPointer(next)
      try base.run(
        KernelCall(
          inputs: UnsafeBufferPointer(rebasing: pointers[..<inputs.count]),
          outputs: UnsafeBufferPointer(rebasing: pointers[inputs.count...]),
          scratch: base.scratchByteCount > 0 ? scratch : nil, pool: call.pool))
    }
    switch output {
    case .halves(let count):
      HalfConversion.narrow(next, to: call.outputs[0].assumingMemoryBound(to: Float16.self), count: count)
    case .bytes(let line): line.quantize(next, call.outputs[0], call.pool)
    case nil: break
    }
  }
}
