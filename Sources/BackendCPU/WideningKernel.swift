import GraphCore
import RuntimeCore
import TensorCore

/// A float32 kernel for a node of which something is stored in 16-bit floats: inputs are widened before it, and what it computes is
/// rounded behind it, in working memory. As fast as that allows, where a device's nodes are left to the processor.
struct WideningKernel: CPUKernel {
  let name: String
  private let base: any CPUKernel
  /// Elements of each tensor in float32; nil for those that the kernel takes as they are.
  private let inputs: [Int?]
  private let output: Int?

  init(_ base: any CPUKernel, inputs: [TensorType], output: TensorType) {
    func count(_ type: TensorType) -> Int? { type.dtype == .float16 ? type.byteCount / 2 : nil }
    (self.base, self.inputs, self.output) = (base, inputs.map(count), count(output))
    name = base.name + Support.widenedSuffix
  }

  private func padded(_ count: Int) -> Int { (count + 15) / 16 * 16 }
  private var baseCount: Int { padded((base.scratchByteCount + 3) / 4) }
  var scratchByteCount: Int { 4 * (inputs + [output]).reduce(baseCount) { $0 + padded($1 ?? 0) } }

  func run(_ call: borrowing KernelCall) throws {
    let scratch = call.scratch!
    var next = scratch + baseCount
    try withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer.self, capacity: inputs.count + 1) { pointers in
      for (index, count) in inputs.enumerated() {
        pointers[index] = call.inputs[index]
        guard let count else { continue }
        let halves = call.inputs[index].assumingMemoryBound(to: Float16.self)
        HalfConversion.widen(halves, to: next, count: count)
        pointers[index] = UnsafeMutableRawPointer(next)
        next += padded(count)
      }
      pointers[inputs.count] = output == nil ? call.outputs[0] : UnsafeMutableRawPointer(next)
      try base.run(
        KernelCall(
          inputs: UnsafeBufferPointer(rebasing: pointers[..<inputs.count]),
          outputs: UnsafeBufferPointer(rebasing: pointers[inputs.count...]),
          scratch: base.scratchByteCount > 0 ? scratch : nil, pool: call.pool))
    }
    if let output {
      let halves = call.outputs[0].assumingMemoryBound(to: Float16.self)
      HalfConversion.narrow(next, to: halves, count: output)
    }
  }
}
