import CIntrinsics
import GraphCore
import RuntimeCore
import TensorCore

/// Slices chosen by index along an axis, of elements of any type. Each thread copies a part of them.
struct GatherKernel: CPUKernel {
  let name = "gather"
  /// Slices before and along the axis, and how many are chosen.
  private let outer: Int
  private let extent: Int
  private let count: Int
  /// Of a slice.
  private let byteCount: Int
  private let hasWideIndices: Bool

  static func make(_ op: any Op, _ inputs: [TensorType], _ output: TensorType) -> Self? {
    guard let op = op as? Gather, output.dtype == inputs[0].dtype,
      (inputs + [output]).allSatisfy({ !$0.isUpperBound })
    else { return nil }
    let shape = inputs[0].shape
    let inner = shape.extents[(op.axis + 1)...].reduce(1, *)
    return GatherKernel(
      outer: shape.extents[..<op.axis].reduce(1, *), extent: shape[op.axis], count: inputs[1].shape.count,
      byteCount: inner * output.dtype.byteCount, hasWideIndices: inputs[1].dtype == .int64)
  }

  private struct Work {
    var kernel: GatherKernel
    var source: UnsafeRawPointer
    var indices: UnsafeRawPointer
    var target: UnsafeMutableRawPointer
  }

  func run(_ call: borrowing KernelCall) throws {
    let work = Work(kernel: self, source: call.inputs[0], indices: call.inputs[1], target: call.outputs[0])
    // All of them before anything is read.
    for place in 0..<count { _ = try GraphCore.place(index(work.indices, place), of: extent, Gather.name) }
    let copy: PacerKernel = { raw, begin, end, _ in
      let work = raw!.assumingMemoryBound(to: Work.self).pointee
      let kernel = work.kernel
      for line in begin..<end {
        let index = kernel.index(work.indices, line % kernel.count)
        let slice = line / kernel.count * kernel.extent + (index < 0 ? index + kernel.extent : index)
        let (source, target) = (work.source + slice * kernel.byteCount, work.target + line * kernel.byteCount)
        switch kernel.byteCount {
        case 4: target.storeBytes(of: source.loadUnaligned(as: UInt32.self), as: UInt32.self)
        case 8: target.storeBytes(of: source.loadUnaligned(as: UInt64.self), as: UInt64.self)
        default: target.copyMemory(from: source, byteCount: kernel.byteCount)
        }
      }
    }
    call.runLines(copy, work, count: outer * count, byteCount: byteCount)
  }

  private func index(_ indices: UnsafeRawPointer, _ place: Int) -> Int {
    hasWideIndices
      ? Int(indices.assumingMemoryBound(to: Int64.self)[place])
      : Int(indices.assumingMemoryBound(to: Int32.self)[place])
  }
}
